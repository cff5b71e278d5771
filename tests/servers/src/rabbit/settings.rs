//! What a node is started with.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::folder::Folder;
use crate::port::Port;

use crate::certificates::Certificates;

/// What a test wants of its node.
#[derive(Clone, Debug, Default)]
pub struct RabbitOptions {
    /// How long a consumer may hold a delivery. RabbitMQ's default is half an hour; it looks every second here.
    pub consumer_timeout: Option<Duration>,
    /// A listener for TLS besides the plain one. The client must show a certificate of the node's authority.
    pub tls: bool,
    /// Further lines of `rabbitmq.conf`.
    pub settings: Vec<String>,
    /// Further settings of the application `rabbit` as Erlang terms: `{delegate_count,1}`.
    pub terms: Vec<String>,
    /// The RabbitMQ to start, as tests/services/rabbitmq4 unpacks it. `None`: that of `ACKORD_TEST_RABBITMQ_HOME`, else
    /// the distribution's.
    pub home: Option<PathBuf>,
    /// Whether it may use every processor and wait for work awake, as a server does that is to be fast. Otherwise one that
    /// sleeps, so that many of them disturb nobody.
    pub all_processors: bool,
}

/// The ports of one node.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) amqp: Port,
    pub(super) tls: Port,
    pub(super) management: Port,
    pub(super) distribution: Port,
}

impl Ports {
    pub(super) fn free() -> Self {
        Self { amqp: Port::free(), tls: Port::free(), management: Port::free(), distribution: Port::free() }
    }
}

/// Writes the configuration and returns its paths: of `rabbitmq.conf`, `advanced.config` and the list of plugins.
pub(super) fn write(
    folder: &Folder,
    ports: &Ports,
    options: &RabbitOptions,
    certificates: Option<&Certificates>,
    peers: &[String],
) -> [String; 3] {
    [
        folder.write("rabbitmq.conf", &main_file(ports, options, certificates, peers)),
        folder.write("advanced.config", &format!("[{{rabbit,[{}]}}].\n", terms(options).join(","))),
        folder.write("enabled_plugins", "[rabbitmq_management].\n"),
    ]
}

fn main_file(
    ports: &Ports,
    options: &RabbitOptions,
    certificates: Option<&Certificates>,
    peers: &[String],
) -> String {
    // Figures of the management API follow quickly; the tests' machine may have a full disk.
    let mut text = format!(
        "listeners.tcp.1 = 127.0.0.1:{}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {}\nloopback_users = none\n\
         collect_statistics_interval = 200\ndisk_free_limit.absolute = 1MB\n",
        ports.amqp.number(),
        ports.management.number()
    );
    if let Some(certificates) = certificates {
        let _ = write!(
            text,
            "listeners.ssl.1 = 127.0.0.1:{}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\n\
             ssl_options.keyfile = {}\nssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n",
            ports.tls.number(),
            certificates.ca,
            certificates.server_certificate,
            certificates.server_key
        );
    }
    if peers.len() > 1 {
        text.push_str("cluster_formation.peer_discovery_backend = classic_config\n");
        for (index, peer) in peers.iter().enumerate() {
            let _ = writeln!(text, "cluster_formation.classic_config.nodes.{} = {peer}", index + 1);
        }
    }
    for line in &options.settings {
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn terms(options: &RabbitOptions) -> Vec<String> {
    // A queue notices what happened to its members, and tells its figures, once in a tick.
    let mut terms = vec!["{quorum_tick_interval,200}".to_owned()];
    if let Some(timeout) = options.consumer_timeout {
        terms.push(format!("{{consumer_timeout,{}}}", timeout.as_millis()));
        terms.push("{channel_tick_interval,1000}".to_owned());
    }
    terms.extend(options.terms.iter().cloned());
    terms
}

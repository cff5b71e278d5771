//! One RabbitMQ of a test's own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use uuid::Uuid;

use crate::folder::Folder;
use crate::management::{Management, Queue};
use crate::process::{AtOurDeath, Process, command, tail};
use crate::wait::eventually;

use super::epmd::Epmd;
use super::installation::Installation;
use super::settings::{self, Ports, RabbitOptions};
use crate::certificates::{Certificates, LOOPBACK};

/// Six seconds on an idle machine; many tests may be starting theirs at once.
const START: Duration = Duration::from_secs(110);
const STOP: Duration = Duration::from_secs(60);
/// After this long an election that has not begun is not going to. It takes half a second on an idle machine.
const ELECTION: Duration = Duration::from_secs(15);

/// A RabbitMQ server with its own data, ports and Erlang cookie. Dropping it kills it and removes all that it stored.
#[derive(Debug)]
pub struct RabbitNode {
    process: Option<Process>,
    name: String,
    installation: Installation,
    ports: Ports,
    environment: Vec<(&'static str, String)>,
    certificates: Option<Certificates>,
    _epmd: Arc<Epmd>,
    // Removed after the process has ended.
    folder: Folder,
}

/// What the nodes of one cluster share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) installation: Installation,
    pub(super) epmd: Arc<Epmd>,
    pub(super) cookie: String,
    /// All nodes' names.
    pub(super) peers: Vec<String>,
}

impl Shared {
    /// `None` where RabbitMQ is not installed and need not be.
    pub(super) async fn new(options: &RabbitOptions, peers: Vec<String>) -> Option<Self> {
        let installation = Installation::find(options.home.as_deref())?;
        let epmd = Arc::new(Epmd::start(&installation).await);
        // Only who knows it may command the nodes.
        let cookie = format!("{}{}", Uuid::now_v7().simple(), Uuid::now_v7().simple());
        Some(Self { installation, epmd, cookie, peers })
    }
}

impl RabbitNode {
    /// Starts a node and waits until it answers. `None` where RabbitMQ is not installed.
    ///
    /// # Panics
    /// When it does not start, and when it is not installed although `CI` or `ACKORD_TEST_REQUIRE_PROGRAMS` asks for it.
    pub async fn start(options: RabbitOptions) -> Option<Self> {
        let name = "alone@localhost".to_owned();
        let shared = Shared::new(&options, vec![name.clone()]).await?;
        let mut node = Self::prepare(name, &options, &shared);
        node.launch();
        node.ready().await;
        Some(node)
    }

    pub(super) fn prepare(name: String, options: &RabbitOptions, shared: &Shared) -> Self {
        let (folder, ports) = (Folder::in_target(), Ports::free());
        let certificates = options.tls.then(|| Certificates::write(&folder, &LOOPBACK));
        let [main_file, advanced, plugins] =
            settings::write(&folder, &ports, options, certificates.as_ref(), &shared.peers);
        folder.write_secret(".erlang.cookie", &shared.cookie);
        let environment = vec![
            ("HOME", folder.path().display().to_string()),
            ("LANG", "C.UTF-8".to_owned()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            ("ERL_EPMD_PORT", shared.epmd.port().to_string()),
            ("RABBITMQ_NODENAME", name.clone()),
            ("RABBITMQ_DIST_PORT", ports.distribution.number().to_string()),
            ("RABBITMQ_CONFIG_FILE", main_file),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", advanced),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", plugins),
            ("RABBITMQ_CONF_ENV_FILE", "/dev/null".to_owned()),
            ("RABBITMQ_MNESIA_BASE", folder.join("data")),
            ("RABBITMQ_LOG_BASE", folder.join("log")),
            ("RABBITMQ_PID_FILE", folder.join("pid")),
            // The port mapper is there.
            (
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                format!(
                    "{} -start_epmd false -kernel inet_dist_use_interface {{127,0,0,1}}",
                    if options.all_processors {
                        ""
                    } else {
                        "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
                    }
                ),
            ),
            // The script becomes the server instead of watching it, so that our signals reach the server.
            ("RABBITMQ_ALLOW_INPUT", "1".to_owned()),
        ];
        Self {
            process: None,
            name,
            installation: shared.installation.clone(),
            ports,
            environment,
            certificates,
            _epmd: Arc::clone(&shared.epmd),
            folder,
        }
    }

    /// `name@host`, as the management API calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens for AMQP.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.amqp.number()).into()
    }

    /// `amqp://` with the administrator of the virtual host `/`.
    pub fn url(&self) -> String {
        self.url_at(self.address())
    }

    /// The same through another address, as that of a [`Proxy`](crate::Proxy).
    pub fn url_at(&self, address: SocketAddr) -> String {
        format!("amqp://guest:guest@{address}/%2f")
    }

    /// `amqps://localhost`, for a node with TLS.
    pub fn tls_url(&self) -> String {
        assert!(self.certificates.is_some(), "this node was started without TLS");
        format!("amqps://guest:guest@localhost:{}/%2f", self.ports.tls.number())
    }

    /// The certificates of a node with TLS.
    pub fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("this node was started with TLS")
    }

    /// `http://USER:PASSWORD@HOST:PORT` of its management API.
    pub fn management_url(&self) -> String {
        format!("http://guest:guest@127.0.0.1:{}", self.ports.management.number())
    }

    /// Its management API, looking at the virtual host `/`.
    pub fn management(&self) -> Management {
        Management::new(&self.management_url(), "/")
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// SIGKILL: the process is gone when this returns. What it had confirmed is on its disk.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// SIGTERM, and waits until it has stopped in order.
    pub async fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        // A frozen one would not take the request.
        process.signal(Signal::CONT);
        process.signal(Signal::TERM);
        let deadline = Instant::now() + STOP;
        while process.ended().is_none() {
            assert!(Instant::now() < deadline, "{} does not stop", self.name);
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Starts it again with the same data and ports, after it was killed or stopped; one that runs is stopped first. Its quorum
    /// queues have leaders when this returns.
    pub async fn restart(&mut self) {
        self.restart_as_one_of_several().await;
        self.led().await;
    }

    /// The same where others may have to be there before a queue has a leader.
    pub(super) async fn restart_as_one_of_several(&mut self) {
        self.stop().await;
        self.launch();
        self.ready().await;
    }

    /// Waits until each queue of the virtual host `/` has a leader.
    ///
    /// The only member of a queue sometimes waits for ever to be elected after it was killed, the more often the busier the machine
    /// is: <https://github.com/rabbitmq/rabbitmq-server/issues/10070>. What an operator does about it is done here.
    async fn led(&self) {
        let deadline = Instant::now() + START;
        let mut patience = Instant::now() + ELECTION;
        loop {
            // While it is busy it may have no answer.
            let queues = self.management().queues().await.ok();
            let is_without = |queue: &Queue| queue.r#type == "quorum" && queue.state.is_none();
            let without = queues.map(|queues| queues.into_iter().filter(is_without).collect::<Vec<_>>());
            if without.as_ref().is_some_and(Vec::is_empty) {
                return;
            }
            assert!(Instant::now() < deadline, "queues without a leader: {without:?}\n{}", self.events());
            if Instant::now() > patience {
                for Queue { name, .. } in without.into_iter().flatten() {
                    let elect = format!("ra:trigger_election({{'%2F_{name}', node()}}).");
                    eprintln!("the queue {name} has no leader, an election is triggered");
                    if let Err(complaint) = self.ctl(&["eval", &elect]).await {
                        eprintln!("no election of {name}: {complaint}");
                    }
                }
                patience = Instant::now() + ELECTION;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Kills it, removes all that it stored and starts it again: a disk was lost.
    pub async fn wipe(&mut self) {
        self.kill();
        std::fs::remove_dir_all(self.folder.path().join("data")).expect("the data can be removed");
        self.launch();
        self.ready().await;
    }

    /// SIGSTOP: connections stay and nothing answers.
    pub fn freeze(&mut self) {
        self.running().signal(Signal::STOP);
    }

    /// SIGCONT: it goes on where it was.
    pub fn thaw(&mut self) {
        self.running().signal(Signal::CONT);
    }

    /// The memory alarm: while it is on, the server reads nothing more from connections that publish.
    pub async fn alarm(&self, on: bool) {
        let watermark = if on { "0.000001" } else { "0.6" };
        self.ctl(&["set_vm_memory_high_watermark", watermark]).await.expect("the watermark can be set");
        let (management, name) = (self.management(), self.name.as_str());
        eventually("the alarm is as it should be", START, || {
            let management = management.clone();
            async move {
                let nodes = management.nodes().await.ok()?;
                nodes.iter().any(|node| node.name == name && node.mem_alarm == on).then_some(())
            }
        })
        .await;
    }

    /// `rabbitmqctl ..` on this node: what it printed, or what it complained of.
    pub async fn ctl(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = command(&self.installation.ctl, None, AtOurDeath::Kill);
        command.envs(self.environment.iter().cloned()).arg("--quiet").args(arguments);
        // It ends before this process can, and its parent thread waits for it.
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        let output = output.expect("no panic").expect("rabbitmqctl can be started");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(printed)
        } else {
            Err(printed + &String::from_utf8_lossy(&output.stderr))
        }
    }

    pub(super) fn launch(&mut self) {
        assert!(self.process.is_none(), "{} runs already", self.name);
        let mut command: Command = command(&self.installation.server, None, AtOurDeath::Kill);
        command.envs(self.environment.iter().cloned()).arg("-noinput");
        self.process = Some(Process::start(command, &self.log_file()));
    }

    /// Ready when it speaks AMQP and its management API knows the node.
    pub(super) async fn ready(&mut self) {
        let (management, deadline) = (self.management(), Instant::now() + START);
        let address = self.address();
        loop {
            let speaks = tokio::task::spawn_blocking(move || speaks_amqp(address)).await.expect("no panic");
            if speaks && management.overview().await.is_ok() {
                return;
            }
            let log = self.log_file();
            let ended = self.process.as_mut().expect("it was started").ended();
            assert!(ended.is_none(), "RabbitMQ ended with {ended:?}:\n{}\n{}", tail(&log), self.events());
            assert!(Instant::now() < deadline, "RabbitMQ is not ready within {START:?}:\n{}", self.events());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether it was started and not killed or stopped since.
    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("the node runs")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("output")
    }

    /// The end of what it logs about itself; its output has little more than its banner.
    fn events(&self) -> String {
        tail(&self.folder.path().join(format!("log/{}.log", self.name)))
    }
}

/// The client's greeting; a server that takes it answers with a method frame.
fn speaks_amqp(address: SocketAddr) -> bool {
    let greet = || -> std::io::Result<u8> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut first = [0];
        stream.read_exact(&mut first)?;
        Ok(first[0])
    };
    greet().is_ok_and(|first| first == 1)
}

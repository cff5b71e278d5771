//! What can be chosen about RabbitMQ, and how its URL is read.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ackord_entities::jobs::Backoff;
use lapin::uri::{AMQPQueryString, AMQPUri};
use url::Url;

use super::error::ConnectError;

/// The largest frame that is agreed on, in bytes. lapin holds two buffers of 32 frames for each connection: with the 128 KiB
/// that servers offer a connection takes 8 MiB, with 32 KiB two. A larger body travels in several frames.
const FRAME_MAX: u32 = 32 * 1024;

/// Options of the connection to RabbitMQ.
#[derive(Clone)]
pub struct AmqpOptions {
    /// `amqp://USER:PASSWORD@HOST:PORT/VHOST`, or `amqps://`. User, password and virtual host are percent-encoded; without a
    /// virtual host it is `/`. Several `HOST:PORT`, separated by commas, are the nodes of a cluster and are tried in turn.
    pub url: String,
    /// How the connections are called in the server's own lists; ` publisher` and ` consumer` are added.
    pub name: String,
    /// For `amqps`.
    pub tls: AmqpTls,
    /// How often both sides let the other know that they live. A connection over which nothing came for twice as long is
    /// given up.
    pub heartbeat: Duration,
    /// How long any single call may take: opening a connection, declaring. What was not answered by then is unknown, and the
    /// connection is replaced. No window of messages takes longer either.
    pub deadline: Duration,
    /// How long a window of messages waits for another confirm. What has none by then is
    /// [unanswered](super::super::Confirm::Unanswered).
    pub unanswered_after: Duration,
    /// The wait between attempts to connect, for ever.
    pub reconnect: Backoff,
}

/// Files for `amqps`, all PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AmqpTls {
    /// The certificates that the server's must descend from. Without it, those of this system.
    pub ca: Option<PathBuf>,
    /// The certificate to show to the server, with those between it and the server's authority. Needs `key`.
    pub certificate: Option<PathBuf>,
    /// The private key of `certificate`, unencrypted.
    pub key: Option<PathBuf>,
}

impl AmqpOptions {
    /// Options with their defaults: a heartbeat of 10 s, a deadline of 30 s, unanswered after 10 s, a new attempt after 100 ms
    /// and up to 5 s.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            name: "ackord".to_owned(),
            tls: AmqpTls::default(),
            heartbeat: Duration::from_secs(10),
            deadline: Duration::from_secs(30),
            unanswered_after: Duration::from_secs(10),
            reconnect: Backoff {
                initial: Duration::from_millis(100),
                factor: 2.0,
                longest: Duration::from_secs(5),
                jitter: 0.25,
            },
        }
    }
}

impl fmt::Debug for AmqpOptions {
    /// Without the password.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AmqpOptions")
            .field("url", &Target::read(self).map_or_else(|_| "unreadable".to_owned(), |target| target.shown))
            .field("name", &self.name)
            .field("tls", &self.tls)
            .field("heartbeat", &self.heartbeat)
            .field("deadline", &self.deadline)
            .field("unanswered_after", &self.unanswered_after)
            .field("reconnect", &self.reconnect)
            .finish()
    }
}

/// Where to connect to, read from the URL.
#[derive(Clone)]
pub(super) struct Target {
    /// One for each node, in the order in which they are tried.
    pub(super) nodes: Vec<AMQPUri>,
    /// The URL without its password.
    pub(super) shown: String,
    pub(super) user: String,
    pub(super) vhost: String,
}

impl Target {
    /// Reads the URL.
    pub(super) fn read(options: &AmqpOptions) -> Result<Self, ConnectError> {
        let Parts { scheme, user_info, hosts, path } = Parts::of(&options.url)?;
        let nodes =
            hosts.split(',').map(|host| node(options, &format!("{scheme}://{user_info}{host}{path}")));
        let nodes: Vec<AMQPUri> = nodes.collect::<Result<_, _>>()?;
        let Some(first) = nodes.first() else { return Err(bad_url("it names no host")) };
        let (user, vhost) = (first.authority.userinfo.username.clone(), first.vhost.clone());
        let written_user =
            user_info.split([':', '@']).next().filter(|user| !user.is_empty()).unwrap_or(&user);
        let shown = format!("{scheme}://{written_user}@{hosts}{path}");
        Ok(Self { nodes, shown, user, vhost })
    }
}

/// A URL that may name several hosts, and so is none that the `url` crate reads.
struct Parts<'a> {
    scheme: &'a str,
    /// With the `@`, or empty.
    user_info: &'a str,
    hosts: &'a str,
    path: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Result<Self, ConnectError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| bad_url("it has no scheme"))?;
        if !matches!(scheme, "amqp" | "amqps") {
            return Err(bad_url("its scheme is neither amqp nor amqps"));
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if path.contains(['?', '#']) {
            return Err(bad_url(
                "it has a query or a fragment; what can be chosen stands in the configuration",
            ));
        }
        let (user_info, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        Ok(Self { scheme, user_info, hosts, path })
    }
}

fn node(options: &AmqpOptions, url: &str) -> Result<AMQPUri, ConnectError> {
    let mut uri: AMQPUri = url.parse().map_err(|problem: String| bad_url(&problem))?;
    let parsed = Url::parse(url).map_err(|error| bad_url(&error.to_string()))?;
    let host =
        parsed.host_str().filter(|host| !host.is_empty()).ok_or_else(|| bad_url("it names no host"))?;
    // lapin's parser takes an IPv6 address for `localhost`. The resolver and rustls want it without its brackets.
    host.trim_start_matches('[').trim_end_matches(']').clone_into(&mut uri.authority.host);
    if uri.vhost.is_empty() {
        "/".clone_into(&mut uri.vhost);
    }
    uri.query = AMQPQueryString {
        frame_max: Some(FRAME_MAX),
        heartbeat: Some(u16::try_from(options.heartbeat.as_secs().max(1)).unwrap_or(u16::MAX)),
        ..AMQPQueryString::default()
    };
    Ok(uri)
}

fn bad_url(problem: &str) -> ConnectError {
    ConnectError::Url { problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn read(url: &str) -> Target {
        Target::read(&AmqpOptions::new(url)).unwrap()
    }

    #[test]
    fn a_url_is_read_with_its_percent_encoding() {
        let target = read("amqp://us%40er:p%2Fw%3A%25@rabbit.example:5673/team%2Fone");
        let authority = &target.nodes[0].authority;
        assert_eq!((authority.host.as_str(), authority.port), ("rabbit.example", 5673));
        assert_eq!(
            (authority.userinfo.username.as_str(), authority.userinfo.password.as_str()),
            ("us@er", "p/w:%")
        );
        assert_eq!((target.user.as_str(), target.vhost.as_str()), ("us@er", "team/one"));
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        for url in ["amqp://localhost", "amqp://localhost/", "amqp://guest:guest@localhost:5672/%2f"] {
            let target = read(url);
            let authority = &target.nodes[0].authority;
            assert_eq!(
                (authority.port, target.user.as_str(), target.vhost.as_str()),
                (5672, "guest", "/"),
                "{url}"
            );
        }
        assert_eq!(read("amqps://localhost").nodes[0].authority.port, 5671);
        assert_eq!(read("amqp://127.0.0.1").nodes[0].authority.host, "127.0.0.1");
        assert_eq!(read("amqp://[::1]:5673").nodes[0].authority.host, "::1");
    }

    #[test]
    fn several_hosts_share_the_rest() {
        let target = read("amqp://a:b@one:1,two,[::1]:3/v");
        let nodes: Vec<_> = target
            .nodes
            .iter()
            .map(|node| (node.authority.host.as_str(), node.authority.port, node.vhost.as_str()))
            .collect();
        assert_eq!(nodes, [("one", 1, "v"), ("two", 5672, "v"), ("::1", 3, "v")]);
        assert!(target.nodes.iter().all(|node| node.authority.userinfo.password == "b"));
    }

    #[test]
    fn the_password_is_shown_nowhere() {
        let options = AmqpOptions::new("amqp://anna:s3cr%65t@localhost:5673/x");
        assert_eq!(read(&options.url).shown, "amqp://anna@localhost:5673/x");
        for shown in [format!("{options:?}"), format!("{:?}", AmqpOptions::new("amqp://a:s3cret@:x"))] {
            assert!(!shown.contains("s3cr"), "{shown}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_broker_is_refused_without_repeating_it() {
        for url in [
            "localhost",
            "http://h",
            "amqp://",
            "amqp://a:s3cret@",
            "amqp://h:99999",
            "amqp://h/v?heartbeat=1",
            "amqp://h/%ff",
        ] {
            let error = Target::read(&AmqpOptions::new(url)).err().unwrap().to_string();
            assert!(!error.contains("s3cret"), "{error}");
            assert!(error.contains("amqp://USER:PASSWORD@HOST:PORT/VHOST"), "{error}");
        }
    }
}

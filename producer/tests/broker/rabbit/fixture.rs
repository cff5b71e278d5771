//! A broker on a RabbitMQ of the test's own: a virtual host on the server that all share, or a server.

use std::time::Duration;

use ackord_producer::broker::conformance::Disturbed;
use ackord_producer::broker::{AmqpBroker, AmqpOptions, Around, Broker, BrokerState};
use ackord_test_servers::{Management, RabbitNode, RabbitOptions, VirtualHost, eventually};
use async_trait::async_trait;
use tokio::sync::watch;

/// How long a server may take for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A broker and where it is. The broker is dropped first.
pub(crate) struct Rabbit {
    pub(crate) broker: AmqpBroker,
    pub(crate) management: Management,
    pub(crate) url: String,
    version: (u32, u32),
    home: Home,
}

enum Home {
    Shared(#[expect(dead_code, reason = "dropping it deletes it")] VirtualHost),
    Own(Box<RabbitNode>),
}

/// Connects to a virtual host of its own. `None` where no server was given.
pub(crate) async fn shared() -> Option<Rabbit> {
    let host = VirtualHost::new().await?;
    let (url, management) = (host.url().to_owned(), host.management().clone());
    Some(Rabbit::connect(&url, management, Home::Shared(host)).await)
}

/// Starts a server that nobody else uses, so that it may run out of memory. `None` where RabbitMQ is not installed.
pub(crate) async fn alone() -> Option<Rabbit> {
    let node = RabbitNode::start(RabbitOptions::default()).await?;
    let (url, management) = (node.url(), node.management());
    Some(Rabbit::connect(&url, management, Home::Own(Box::new(node))).await)
}

/// Options with which a lost connection is back at once.
pub(crate) fn options(url: &str) -> AmqpOptions {
    let mut options = AmqpOptions::new(url);
    options.reconnect.initial = Duration::from_millis(20);
    options.reconnect.longest = Duration::from_millis(200);
    options
}

impl Rabbit {
    async fn connect(url: &str, management: Management, home: Home) -> Self {
        let version = version(&management).await;
        let broker = AmqpBroker::connect(options(url)).await.expect("a connection");
        Self { broker, management, url: url.to_owned(), version, home }
    }

    /// Closes the connection of a role from the server's side, and waits until there is another.
    pub(crate) async fn lose_connection(&self, role: &str) {
        let name = format!("ackord {role}");
        let back = tokio::spawn(back(self.broker.state()));
        eventually("the server closes the connection", PATIENCE, || async {
            let closed = self.management.close_connections_of(&name).await.ok()?;
            (closed > 0).then_some(())
        })
        .await;
        back.await.unwrap();
    }

    /// The server, where it is the test's own.
    fn node(&self) -> &RabbitNode {
        match &self.home {
            Home::Own(node) => node,
            Home::Shared(_) => panic!("an alarm would stop the tests of everybody else: take `alone`"),
        }
    }
}

/// The server's version, as far as its behaviour depends on it.
pub(crate) async fn version(management: &Management) -> (u32, u32) {
    let version = management.overview().await.expect("the management API answers").rabbitmq_version;
    let mut numbers = version.split('.').map(|number| number.parse().expect("a version of numbers"));
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Waits until the broker has been closed and is open again. To be begun before it is closed: only the last state is kept.
pub(crate) async fn back(mut state: watch::Receiver<BrokerState>) {
    let round = async {
        state.wait_for(|state| *state == BrokerState::Closed).await.unwrap();
        state.wait_for(|state| *state == BrokerState::Open).await.unwrap();
    };
    tokio::time::timeout(PATIENCE, round).await.expect("the broker comes back");
}

#[async_trait]
impl Disturbed for Rabbit {
    async fn block(&self) {
        self.node().alarm(true).await;
        // The server says so only to a connection that publishes, which the broker does now and then by itself.
        let mut state = self.broker.state();
        let blocked = tokio::time::timeout(PATIENCE, state.wait_for(|state| *state == BrokerState::Blocked));
        blocked.await.expect("the state in time").unwrap();
    }

    async fn unblock(&self) {
        self.node().alarm(false).await;
    }

    async fn unsettled(&self, queue: &str) -> usize {
        let queue = self.management.queue(queue).await.unwrap();
        queue.map_or(0, |queue| usize::try_from(queue.unacked).unwrap())
    }

    fn hand_backs_count(&self) -> bool {
        self.version < (4, 3)
    }

    /// By closing its connection, with all that is on it: the server closes a single channel by itself only.
    async fn close_consumer(&self, consumer: u64) {
        let tag = format!("ackord-{consumer}-");
        let known = eventually("the server lists the consumer", PATIENCE, || async {
            let consumers = self.management.consumers().await.ok()?;
            consumers.iter().any(|consumer| consumer.consumer_tag.starts_with(&tag)).then_some(())
        });
        known.await;
        self.lose_connection("consumer").await;
    }
}

impl Around for Rabbit {
    fn inner(&self) -> &dyn Broker {
        &self.broker
    }
}

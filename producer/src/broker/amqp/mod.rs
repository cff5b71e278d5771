//! RabbitMQ 3.10 to 4.x, through lapin.
//!
//! Two connections per process: one publishes, one consumes and settles. An alarm of the server (memory, disk) stops it from
//! reading connections that publish, and acknowledgements must still be read. What only asks or declares goes over the second
//! one, so that health can be told while the first is blocked.
//!
//! | file | holds |
//! |---|---|
//! | `options` | what can be chosen, and the URL |
//! | `tls` | certificates, and how a connection is made with them |
//! | `connection` | one connection for ever: supervisor, deadlines |
//! | `status` | the state of both connections as one, and the log of its changes |
//! | `publisher`, `window` | windows of confirms, a channel each; what becomes of their messages |
//! | `consumer`, `settle` | a channel and a task per consumer; settling from any thread |
//! | `message`, `value` | messages and headers on the wire |
//! | `topology` | declaring and comparing |
//! | `error` | the server's refusals in words that say what to do |

mod connection;
mod consumer;
mod error;
mod message;
mod options;
mod publisher;
mod remove;
mod settle;
mod status;
mod tls;
mod topology;
mod value;
mod window;

use std::collections::BTreeSet;
use std::sync::Arc;

use ackord_entities::envelope::Message;
use ackord_entities::ids::Incarnation;
use async_trait::async_trait;
use tokio::sync::watch;

use self::topology::Desk;
use super::topology::{EVENTS_EXCHANGE, Queue, Topology, queue_of_incarnation};
use super::{
    Applied, Broker, BrokerError, BrokerState, Confirm, Consumer, Depth, Description, Difference, Notice,
};
use connection::{CONSUMER, Link, PUBLISHER};
pub use error::ConnectError;
use options::Target;
pub use options::{AmqpOptions, AmqpTls};
use publisher::Publisher;
use status::Status;
use tls::Tls;

/// RabbitMQ. Dropping it closes its connections.
pub struct AmqpBroker {
    publisher: Publisher,
    consuming: Arc<Link>,
    status: Status,
    description: Description,
}

impl AmqpBroker {
    /// Connects. A server that cannot be reached is no error: the broker is then [`BrokerState::Closed`] until it can.
    ///
    /// # Errors
    /// What trying again cannot cure: a URL that cannot be read, refused credentials, an unknown virtual host, refused TLS.
    pub async fn connect(options: AmqpOptions) -> Result<Self, ConnectError> {
        let target = Arc::new(Target::read(&options)?);
        let tls = Arc::new(Tls::read(&options)?);
        let options = Arc::new(options);
        let open = |role| Link::open(Arc::clone(&options), Arc::clone(&target), Arc::clone(&tls), role);
        let (publishing, consuming) = tokio::try_join!(open(PUBLISHER), open(CONSUMER))?;
        Ok(Self {
            status: Status::of(&publishing, &consuming),
            publisher: Publisher::new(publishing),
            consuming,
            description: Description { url: target.shown.clone(), server: None },
        })
    }

    fn desk(&self) -> Result<Desk, BrokerError> {
        self.consuming.live().map(Desk::new)
    }
}

#[async_trait]
impl Broker for AmqpBroker {
    async fn apply_but_for(
        &self,
        topology: &Topology,
        there: &BTreeSet<String>,
    ) -> Result<Applied, BrokerError> {
        topology::apply(&self.consuming, topology, there).await
    }

    async fn verify(&self, topology: &Topology) -> Result<Vec<Difference>, BrokerError> {
        topology::verify(&self.consuming, topology).await
    }

    async fn publish(&self, exchange: &str, messages: &[Message]) -> Result<Vec<Confirm>, BrokerError> {
        self.publisher.publish(exchange, messages).await
    }

    async fn announce(&self, notices: &[Notice]) -> Result<(), BrokerError> {
        self.publisher.announce(EVENTS_EXCHANGE, notices).await
    }

    async fn consume(&self, queue: &str, prefetch: usize) -> Result<Consumer, BrokerError> {
        consumer::consume(&self.consuming, queue, prefetch).await
    }

    async fn depth(&self, queue: &str) -> Result<Depth, BrokerError> {
        let found = self.desk()?.queue(queue).await?;
        let found = found.ok_or_else(|| BrokerError::NoSuchQueue { queue: queue.to_owned() })?;
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        Ok(Depth { ready: count(found.message_count()), consumers: count(found.consumer_count()) })
    }

    async fn remembers(&self, incarnation: Incarnation) -> Result<bool, BrokerError> {
        let found = self.desk()?.queue(&queue_of_incarnation(incarnation)).await?;
        Ok(found.is_some_and(|queue| queue.message_count() > 0))
    }

    async fn imprint(&self, incarnation: Incarnation) -> Result<(), BrokerError> {
        let name = queue_of_incarnation(incarnation);
        let queue = Queue { name: name.clone(), delivery_limit: None, dead_letters: false };
        self.desk()?.declare_queue(&queue).await?;
        // By way of the default exchange, in which the routing key names the queue.
        let message = Message { kind: Some(name), ..Message::default() };
        match self.publisher.publish("", &[message]).await?.pop() {
            Some(Confirm::Confirmed) => Ok(()),
            Some(Confirm::Refused(reason)) => {
                Err(BrokerError::Refused { what: "its incarnation".to_owned(), reason })
            }
            Some(Confirm::Unanswered) => Err(BrokerError::Unanswered { what: "its incarnation".to_owned() }),
            None => Err(BrokerError::Closed),
        }
    }

    fn state(&self) -> watch::Receiver<BrokerState> {
        self.status.watch()
    }

    fn description(&self) -> Description {
        self.description.clone()
    }
}

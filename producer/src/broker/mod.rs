//! The broker as the rest of ackord sees it: publish with confirms, consume with acknowledgements.
//!
//! There are two: `embedded` runs in this process and keeps nothing over a restart, RabbitMQ is a server. Both mean the
//! same by every word here, and one conformance suite runs against both.

mod amqp;
mod around;
#[cfg(feature = "testing")]
pub mod conformance;
mod embedded;
mod error;
mod settle;
pub mod topology;

use std::collections::BTreeSet;

use ackord_entities::envelope::Message;
use ackord_entities::ids::Incarnation;
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, watch};

pub use amqp::{AmqpBroker, AmqpOptions, AmqpTls, ConnectError};
pub use around::Around;
pub use embedded::{EmbeddedBroker, EmbeddedOptions, Held};
pub use error::BrokerError;
pub use settle::{Settler, Tag};
use topology::Topology;

/// A broker. Object safe: the program decides at start which one it is.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// Declares what is missing and compares what is there.
    ///
    /// # Errors
    /// [`BrokerError::Mismatch`] names a queue or an exchange that differs; nothing is ever deleted. What was declared before
    /// the difference was met stays.
    async fn apply(&self, topology: &Topology) -> Result<Applied, BrokerError> {
        self.apply_but_for(topology, &BTreeSet::new()).await
    }

    /// The same, but a queue that was seen `there` is not made anew should it be gone by now: messages that were in it would be
    /// missed by nobody.
    ///
    /// # Errors
    /// Those of [`apply`](Self::apply), and [`BrokerError::NoSuchQueue`] with the first such queue. Over AMQP it may have been made
    /// anew all the same, without a binding, when it went between two questions: to whoever is told of it, it was gone.
    async fn apply_but_for(
        &self,
        topology: &Topology,
        there: &BTreeSet<String>,
    ) -> Result<Applied, BrokerError>;

    /// Compares what is there with what has to be, and declares nothing. Empty when nothing is missing or different.
    ///
    /// Over AMQP a binding cannot be looked at; there it is [`apply`](Self::apply) that makes sure of them.
    ///
    /// # Errors
    /// [`BrokerError::Closed`].
    async fn verify(&self, topology: &Topology) -> Result<Vec<Difference>, BrokerError>;

    /// Publishes one confirm window, persistent and mandatory, and waits for what became of each message, but for ever for
    /// none. The answers stand in the order of the messages.
    ///
    /// # Errors
    /// [`BrokerError::Blocked`] when the broker takes nothing at the moment (nothing was published),
    /// [`BrokerError::Closed`] when it is gone (what became of any of the messages is unknown: publish them again).
    async fn publish(&self, exchange: &str, messages: &[Message]) -> Result<Vec<Confirm>, BrokerError>;

    /// Publishes notices to [`EVENTS_EXCHANGE`](topology::EVENTS_EXCHANGE) for whoever listens, without waiting for the broker
    /// to have them: best effort, and a notice that nobody listens for is gone.
    ///
    /// # Errors
    /// [`BrokerError::Blocked`], [`BrokerError::Closed`]: some or all of them were not sent.
    async fn announce(&self, notices: &[Notice]) -> Result<(), BrokerError>;

    /// Starts a consumer that holds at most `prefetch` unsettled deliveries.
    ///
    /// # Errors
    /// [`BrokerError::NoSuchQueue`], [`BrokerError::Closed`].
    async fn consume(&self, queue: &str, prefetch: usize) -> Result<Consumer, BrokerError>;

    /// How many messages of `queue` are ready, and how many consumers take them.
    ///
    /// # Errors
    /// [`BrokerError::NoSuchQueue`], [`BrokerError::Closed`].
    async fn depth(&self, queue: &str) -> Result<Depth, BrokerError>;

    /// Whether this is still the broker that was given the incarnation: its queue is there and holds its message. A broker
    /// that lost its messages has lost that one too.
    ///
    /// # Errors
    /// [`BrokerError::Closed`].
    async fn remembers(&self, incarnation: Incarnation) -> Result<bool, BrokerError>;

    /// Gives the broker an incarnation to remember, in a queue of its own. An earlier one is not removed.
    ///
    /// # Errors
    /// [`BrokerError::Blocked`], [`BrokerError::Closed`], [`BrokerError::Unanswered`]: whether it remembers is to be asked again.
    async fn imprint(&self, incarnation: Incarnation) -> Result<(), BrokerError>;

    /// The broker's state now and whenever it changes.
    fn state(&self) -> watch::Receiver<BrokerState>;

    /// Which broker this is, for health and for people: never a password.
    fn description(&self) -> Description;
}

/// What became of one published message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirm {
    /// The broker has it in a queue.
    Confirmed,
    /// The broker has it nowhere: no queue is bound to the kind, or the queue refused it. Try later, with a word on why.
    Refused(String),
    /// The broker has not said within its time, though it is there: the queue has no leader, or it is too busy. The message may
    /// be there or come there yet. Publish it again with the same id: a second one has no effect.
    Unanswered,
}

/// The three states of a broker, which health keeps apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BrokerState {
    /// It takes and gives messages.
    #[default]
    Open,
    /// It gives messages, and takes none until it has room again.
    Blocked,
    /// It is not there.
    Closed,
}

/// What [`Broker::apply`] did.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Applied {
    /// The queues that were not there. Where messages were expected in one of them, they are lost.
    pub created: Vec<String>,
}

/// Something that is missing or not as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The name of the queue, the exchange or the binding.
    pub what: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

/// A word to whoever listens, about something that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Such as `job.synthesis.succeeded`.
    pub routing_key: String,
    /// JSON.
    pub body: Bytes,
}

/// Which broker it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// `embedded`, or a URL without its password.
    pub url: String,
    /// Product and version of the server, once a connection has been open.
    pub server: Option<String>,
}

/// A queue, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Depth {
    /// Messages that wait for a consumer.
    pub ready: usize,
    /// Consumers that take messages, of this process or another. RabbitMQ counts one that was stopped until it has settled
    /// everything.
    pub consumers: usize,
}

/// A running consumer. Dropping it cancels it and gives its unsettled deliveries back to the queue, as a closed channel
/// would: each of them counts as delivered once more.
#[derive(Debug)]
pub struct Consumer {
    /// The deliveries, in the queue's order. Ends when the consumer was cancelled or the broker closed.
    pub deliveries: mpsc::UnboundedReceiver<Delivery>,
    /// Answers for the deliveries.
    pub settler: Settler,
}

/// One handing-over of a message.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// What to settle it by.
    pub tag: Tag,
    /// How often the broker handed this message over before. Zero the first time; of a message that has died in another queue
    /// RabbitMQ 4 may go on counting from there.
    pub deliveries_before: u32,
    /// The queue it came from.
    pub queue: std::sync::Arc<str>,
}

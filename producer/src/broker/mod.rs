//! The broker as the rest of ackord sees it: publish with confirms, consume with acknowledgements.
//!
//! There are two: `embedded` runs in this process and keeps nothing over a restart, RabbitMQ is a server. Both mean the
//! same by every word here, and one conformance suite runs against both.

#[cfg(feature = "testing")]
pub mod conformance;
mod embedded;
mod error;
mod settle;
pub mod topology;

use ackord_entities::envelope::Message;
use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

pub use embedded::{EmbeddedBroker, EmbeddedOptions};
pub use error::BrokerError;
pub use settle::{Settler, Tag};
use topology::Topology;

/// A broker. Object safe: the program decides at start which one it is.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// Declares what is missing and compares what is there.
    ///
    /// # Errors
    /// [`BrokerError::Mismatch`] names a queue whose arguments differ; nothing is ever deleted.
    async fn apply(&self, topology: &Topology) -> Result<(), BrokerError>;

    /// Publishes one confirm window, persistent and mandatory, and waits for what became of each message.
    /// The answers stand in the order of the messages.
    ///
    /// # Errors
    /// [`BrokerError::Blocked`] when the broker takes nothing at the moment (nothing was published),
    /// [`BrokerError::Closed`] when it is gone (what became of the messages is unknown: publish them again).
    async fn publish(&self, exchange: &str, messages: &[Message]) -> Result<Vec<Confirm>, BrokerError>;

    /// Starts a consumer that holds at most `prefetch` unsettled deliveries.
    ///
    /// # Errors
    /// [`BrokerError::NoSuchQueue`], [`BrokerError::Closed`].
    async fn consume(&self, queue: &str, prefetch: usize) -> Result<Consumer, BrokerError>;

    /// How many messages of `queue` are ready, and how many are out unsettled.
    ///
    /// # Errors
    /// [`BrokerError::NoSuchQueue`], [`BrokerError::Closed`].
    async fn depth(&self, queue: &str) -> Result<Depth, BrokerError>;

    /// The broker's state now and whenever it changes.
    fn state(&self) -> watch::Receiver<BrokerState>;

    /// Whether the queues start empty after a restart of this process, so that a reconciler has to fill them again.
    fn forgets_at_restart(&self) -> bool;
}

/// What became of one published message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirm {
    /// The broker has it in a queue.
    Confirmed,
    /// The broker has it nowhere: no queue is bound to the kind, or the queue refused it. Try later, with a word on why.
    Refused(String),
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

/// Messages of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Depth {
    /// Waiting for a consumer.
    pub ready: usize,
    /// With a consumer, not settled.
    pub unsettled: usize,
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
    /// How often the broker handed this message over before. Zero the first time.
    pub deliveries_before: u32,
    /// The queue it came from.
    pub queue: std::sync::Arc<str>,
}

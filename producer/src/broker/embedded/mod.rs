//! A broker inside this process, with the semantics of RabbitMQ's quorum queues. It keeps nothing over a restart.
//!
//! All of it is plain data behind one mutex: no task, no timer. Every operation runs to its end under the lock, and hands
//! over what has become deliverable before it lets go. What waits, waits in the consumers' channels.
//!
//! | file | holds |
//! |---|---|
//! | `parcel` | a message with what the broker knows about it |
//! | `queue` | the order of the messages, and of the consumers that wait for one |
//! | `exchange` | where a message goes |
//! | `consumer` | what is out with one consumer, unsettled |
//! | `memory` | when the broker is full |
//! | `state` | all of these together, and the operations on them |
//! | `shared` | the lock, and who takes it |

mod consumer;
mod exchange;
mod memory;
mod options;
mod parcel;
mod queue;
mod settle;
mod shared;
mod state;

use std::collections::BTreeSet;
use std::sync::Arc;

use ackord_entities::envelope::Message;
use ackord_entities::ids::Incarnation;
use async_trait::async_trait;
use tokio::sync::watch;

use super::topology::Topology;
use super::{
    Applied, Broker, BrokerError, BrokerState, Confirm, Consumer, Depth, Description, Difference, Notice,
};
pub use options::EmbeddedOptions;
use parcel::Parcel;
use shared::Shared;

/// Messages of one queue. Only a broker in this process can count them exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Held {
    /// Waiting for a consumer.
    pub ready: usize,
    /// With a consumer, not settled.
    pub unsettled: usize,
}

/// The broker in this process. Dropping it closes it.
pub struct EmbeddedBroker {
    shared: Arc<Shared>,
}

impl EmbeddedBroker {
    /// An empty broker without topology.
    #[must_use]
    pub fn new(options: EmbeddedOptions) -> Self {
        Self { shared: Arc::new(Shared::new(options)) }
    }

    /// The messages of a queue, if there is such a queue.
    #[must_use]
    pub fn held(&self, queue: &str) -> Option<Held> {
        self.shared.state().held(queue)
    }

    /// Closes it for good: consumers end after what they were handed, and everything else answers [`BrokerError::Closed`].
    pub fn close(&self) {
        self.shared.state().close();
    }
}

/// What a test does to the broker from outside.
#[cfg(any(test, feature = "testing"))]
impl EmbeddedBroker {
    /// Lets the broker take nothing until [`unblock`](Self::unblock), as an operator or an alarm of its own would.
    pub fn block(&self) {
        self.shared.state().force_block(true);
    }

    /// Takes [`block`](Self::block) back.
    pub fn unblock(&self) {
        self.shared.state().force_block(false);
    }

    /// Closes every consumer's channel under it, as a connection does that breaks.
    pub fn close_consumers(&self) {
        self.shared.state().cancel_all();
    }

    /// Closes one consumer's channel under it. The number is that of its tags.
    pub fn close_consumer(&self, consumer: u64) {
        self.shared.state().cancel(consumer);
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl Broker for EmbeddedBroker {
    async fn apply_but_for(
        &self,
        topology: &Topology,
        there: &BTreeSet<String>,
    ) -> Result<Applied, BrokerError> {
        self.shared.state().apply(topology, there)
    }

    async fn verify(&self, topology: &Topology) -> Result<Vec<Difference>, BrokerError> {
        self.shared.state().verify(topology)
    }

    async fn publish(&self, exchange: &str, messages: &[Message]) -> Result<Vec<Confirm>, BrokerError> {
        self.shared.state().takes_messages()?;
        // Copied before the lock, which consumers need too.
        let parcels = messages.iter().map(|message| Parcel::new(exchange, message.clone())).collect();
        self.shared.state().publish(exchange, parcels)
    }

    /// Nobody can listen to a broker in this process, so the notices are dropped.
    async fn announce(&self, _: &[Notice]) -> Result<(), BrokerError> {
        self.shared.state().takes_messages()
    }

    async fn consume(&self, queue: &str, prefetch: usize) -> Result<Consumer, BrokerError> {
        shared::consume(&self.shared, queue, prefetch)
    }

    async fn depth(&self, queue: &str) -> Result<Depth, BrokerError> {
        self.shared.state().depth(queue)
    }

    async fn remembers(&self, incarnation: Incarnation) -> Result<bool, BrokerError> {
        self.shared.state().remembers(incarnation)
    }

    async fn imprint(&self, incarnation: Incarnation) -> Result<(), BrokerError> {
        self.shared.state().imprint(incarnation)
    }

    fn state(&self) -> watch::Receiver<BrokerState> {
        self.shared.state().watch()
    }

    fn description(&self) -> Description {
        let server = format!("ackord {}", env!("CARGO_PKG_VERSION"));
        Description { url: "embedded".to_owned(), server: Some(server) }
    }
}

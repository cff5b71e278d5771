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

use std::sync::Arc;

use ackord_entities::envelope::Message;
use async_trait::async_trait;
use tokio::sync::watch;

use super::topology::Topology;
use super::{Broker, BrokerError, BrokerState, Confirm, Consumer, Depth};
pub use options::EmbeddedOptions;
use parcel::Parcel;
use shared::Shared;

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
    async fn apply(&self, topology: &Topology) -> Result<(), BrokerError> {
        self.shared.state().apply(topology)
    }

    async fn publish(&self, exchange: &str, messages: &[Message]) -> Result<Vec<Confirm>, BrokerError> {
        self.shared.state().takes_messages()?;
        // Copied before the lock, which consumers need too.
        let parcels = messages.iter().cloned().map(Parcel::new).collect();
        self.shared.state().publish(exchange, parcels)
    }

    async fn consume(&self, queue: &str, prefetch: usize) -> Result<Consumer, BrokerError> {
        shared::consume(&self.shared, queue, prefetch)
    }

    async fn depth(&self, queue: &str) -> Result<Depth, BrokerError> {
        self.shared.state().depth(queue)
    }

    fn state(&self) -> watch::Receiver<BrokerState> {
        self.shared.state().watch()
    }

    fn forgets_at_restart(&self) -> bool {
        true
    }
}

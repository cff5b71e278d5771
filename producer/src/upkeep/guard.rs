//! A broker that gives no consumer of a queue that is not as it has to be.
//!
//! A message that such a queue gives up may be gone, and a poisonous one may come for ever. Its kind waits until somebody has
//! mended the queue; all others go on.

use std::sync::Arc;

use ackord_entities::envelope::Message;
use ackord_entities::ids::Incarnation;
use async_trait::async_trait;
use tokio::sync::watch;

use crate::broker::topology::Topology;
use crate::broker::{
    Applied, Broker, BrokerError, BrokerState, Confirm, Consumer, Depth, Description, Difference, Notice,
};

/// See the module. Everything but [`consume`](Broker::consume) is the broker's own.
#[allow(missing_debug_implementations, reason = "a broker has nothing to show")]
pub struct Guarded {
    broker: Arc<dyn Broker>,
    topology: Topology,
}

impl Guarded {
    /// Guards the queues of `topology`.
    #[must_use]
    pub fn new(broker: Arc<dyn Broker>, topology: Topology) -> Self {
        Self { broker, topology }
    }

    /// Compared at each start of a consumer: whoever made the queue anew meanwhile has ended the consumers that were there.
    async fn check(&self, queue: &str) -> Result<(), BrokerError> {
        let kinds: Vec<_> = self.topology.kinds.iter().filter(|kind| kind.queue == queue).cloned().collect();
        if kinds.is_empty() {
            return Ok(());
        }
        let differences = self.broker.verify(&Topology { kinds }).await?;
        let Some(difference) = differences.into_iter().find(|difference| difference.what == queue) else {
            return Ok(());
        };
        // A queue that is not there is no danger, and the broker's own answer says so best.
        match self.broker.depth(queue).await {
            Err(BrokerError::NoSuchQueue { .. }) => Ok(()),
            _ => Err(BrokerError::Refused {
                what: format!("a consumer of `{queue}`"),
                reason: format!("{}; {}", difference.problem, difference.remedy),
            }),
        }
    }
}

#[async_trait]
impl Broker for Guarded {
    async fn apply(&self, topology: &Topology) -> Result<Applied, BrokerError> {
        self.broker.apply(topology).await
    }

    async fn verify(&self, topology: &Topology) -> Result<Vec<Difference>, BrokerError> {
        self.broker.verify(topology).await
    }

    async fn publish(&self, exchange: &str, messages: &[Message]) -> Result<Vec<Confirm>, BrokerError> {
        self.broker.publish(exchange, messages).await
    }

    async fn announce(&self, notices: &[Notice]) -> Result<(), BrokerError> {
        self.broker.announce(notices).await
    }

    async fn consume(&self, queue: &str, prefetch: usize) -> Result<Consumer, BrokerError> {
        self.check(queue).await?;
        self.broker.consume(queue, prefetch).await
    }

    async fn depth(&self, queue: &str) -> Result<Depth, BrokerError> {
        self.broker.depth(queue).await
    }

    async fn remembers(&self, incarnation: Incarnation) -> Result<bool, BrokerError> {
        self.broker.remembers(incarnation).await
    }

    async fn imprint(&self, incarnation: Incarnation) -> Result<(), BrokerError> {
        self.broker.imprint(incarnation).await
    }

    fn state(&self) -> watch::Receiver<BrokerState> {
        self.broker.state()
    }

    fn description(&self) -> Description {
        self.broker.description()
    }
}

//! A broker that gives no consumer of a queue that is not as it has to be.
//!
//! A message that such a queue gives up may be gone, and a poisonous one may come for ever. Its kind waits until somebody has
//! mended the queue; all others go on.

use std::sync::Arc;

use async_trait::async_trait;

use crate::broker::topology::Topology;
use crate::broker::{Around, Broker, BrokerError, Consumer};

/// See the module.
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
impl Around for Guarded {
    fn inner(&self) -> &dyn Broker {
        &*self.broker
    }

    async fn consume(&self, queue: &str, prefetch: usize) -> Result<Consumer, BrokerError> {
        self.check(queue).await?;
        self.broker.consume(queue, prefetch).await
    }
}

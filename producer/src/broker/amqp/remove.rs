//! Taking a topology away again, where it was made for a measurement.

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};

use super::AmqpBroker;
use crate::broker::BrokerError;
use crate::broker::topology::Topology;

impl AmqpBroker {
    /// Removes the queues and exchanges of a topology, with every message in them. Nothing in ackord removes a queue that
    /// somebody works with: this is for whoever made the topology a moment ago in a virtual host of his own.
    ///
    /// # Errors
    /// [`BrokerError::Closed`]; some may be left.
    pub async fn remove(&self, topology: &Topology) -> Result<(), BrokerError> {
        let live = self.consuming.live()?;
        let channel = live.channel().await?;
        for queue in topology.queues() {
            let removed = channel.queue_delete(queue.name.as_str().into(), QueueDeleteOptions::default());
            live.call(removed).await?.map_err(|_| BrokerError::Closed)?;
        }
        for exchange in topology.exchanges() {
            let removed = channel.exchange_delete(exchange.name.into(), ExchangeDeleteOptions::default());
            live.call(removed).await?.map_err(|_| BrokerError::Closed)?;
        }
        Ok(())
    }
}

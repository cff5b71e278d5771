//! A broker around another one: what it does not do in its own way, it leaves to the other.

use std::collections::BTreeSet;

use ackord_entities::envelope::Message;
use ackord_entities::ids::Incarnation;
use async_trait::async_trait;
use tokio::sync::watch;

use super::topology::Topology;
use super::{
    Applied, Broker, BrokerError, BrokerState, Confirm, Consumer, Depth, Description, Difference, Notice,
};

/// Whatever is one is a [`Broker`]. Its own way of doing things is said here, for those that somebody does in a way of his own.
#[async_trait]
#[allow(clippy::missing_errors_doc, reason = "those of the method of the same name of `Broker`")]
pub trait Around: Send + Sync + 'static {
    /// The broker that it stands around.
    fn inner(&self) -> &dyn Broker;

    /// [`Broker::publish`].
    async fn publish(&self, exchange: &str, messages: &[Message]) -> Result<Vec<Confirm>, BrokerError> {
        self.inner().publish(exchange, messages).await
    }

    /// [`Broker::announce`].
    async fn announce(&self, notices: &[Notice]) -> Result<(), BrokerError> {
        self.inner().announce(notices).await
    }

    /// [`Broker::consume`].
    async fn consume(&self, queue: &str, prefetch: usize) -> Result<Consumer, BrokerError> {
        self.inner().consume(queue, prefetch).await
    }

    /// [`Broker::depth`].
    async fn depth(&self, queue: &str) -> Result<Depth, BrokerError> {
        self.inner().depth(queue).await
    }

    /// [`Broker::imprint`].
    async fn imprint(&self, incarnation: Incarnation) -> Result<(), BrokerError> {
        self.inner().imprint(incarnation).await
    }
}

#[async_trait]
impl<A: Around> Broker for A {
    async fn apply_but_for(
        &self,
        topology: &Topology,
        there: &BTreeSet<String>,
    ) -> Result<Applied, BrokerError> {
        self.inner().apply_but_for(topology, there).await
    }

    async fn verify(&self, topology: &Topology) -> Result<Vec<Difference>, BrokerError> {
        self.inner().verify(topology).await
    }

    async fn publish(&self, exchange: &str, messages: &[Message]) -> Result<Vec<Confirm>, BrokerError> {
        Around::publish(self, exchange, messages).await
    }

    async fn announce(&self, notices: &[Notice]) -> Result<(), BrokerError> {
        Around::announce(self, notices).await
    }

    async fn consume(&self, queue: &str, prefetch: usize) -> Result<Consumer, BrokerError> {
        Around::consume(self, queue, prefetch).await
    }

    async fn depth(&self, queue: &str) -> Result<Depth, BrokerError> {
        Around::depth(self, queue).await
    }

    async fn remembers(&self, incarnation: Incarnation) -> Result<bool, BrokerError> {
        self.inner().remembers(incarnation).await
    }

    async fn imprint(&self, incarnation: Incarnation) -> Result<(), BrokerError> {
        Around::imprint(self, incarnation).await
    }

    fn state(&self) -> watch::Receiver<BrokerState> {
        self.inner().state()
    }

    fn description(&self) -> Description {
        self.inner().description()
    }
}

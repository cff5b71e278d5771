//! Declaring queues, exchanges and bindings.

use super::{Exchange, Queue, State};
use crate::broker::BrokerError;
use crate::broker::topology::{
    DEAD_EXCHANGE, DEAD_LETTERS, JOBS_EXCHANGE, KindQueue, PUBLISH_EXCHANGE, Topology, UNROUTABLE,
};

impl State {
    /// Declares what is missing. Compares first, so that a difference leaves everything as it was.
    pub(in crate::broker::embedded) fn apply(&mut self, topology: &Topology) -> Result<(), BrokerError> {
        if self.closed {
            return Err(BrokerError::Closed);
        }
        topology.kinds.iter().try_for_each(|kind| self.compare(kind))?;
        self.declare_own();
        topology.kinds.iter().try_for_each(|kind| {
            // Again, since two entries of one topology may differ too.
            self.compare(kind)?;
            self.declare_kind(kind);
            Ok(())
        })
    }

    fn compare(&self, wanted: &KindQueue) -> Result<(), BrokerError> {
        let mismatch = |queue: &str, what, found, wanted| {
            Err(BrokerError::Mismatch { queue: queue.to_owned(), what, found, wanted })
        };
        let bound = self.exchanges.get(JOBS_EXCHANGE).and_then(|exchange| exchange.bound(&wanted.kind));
        if let Some(bound) = bound.map(|index| &self.queues[index])
            && *bound.name != *wanted.queue
        {
            let binding = |queue: &str| format!("`{}` to `{queue}`", wanted.kind);
            return mismatch(&bound.name, "binding", binding(&bound.name), binding(&wanted.queue));
        }
        let Some(found) = self.names.get(&wanted.queue).map(|index| &self.queues[*index]) else {
            return Ok(());
        };
        if found.delivery_limit != Some(wanted.delivery_limit) {
            let limit = found.delivery_limit.map_or("none".to_owned(), |limit| limit.to_string());
            return mismatch(&wanted.queue, "delivery limit", limit, wanted.delivery_limit.to_string());
        }
        Ok(())
    }

    /// The queues and exchanges that do not depend on the kinds. Neither of the two queues has a delivery limit or a
    /// dead-letter exchange: there is no place left behind them.
    fn declare_own(&mut self) {
        let dead_letters = self.declare_queue(DEAD_LETTERS, None, false);
        let unroutable = self.declare_queue(UNROUTABLE, None, false);
        self.exchanges.entry(JOBS_EXCHANGE).or_default();
        for (exchange, queue) in
            [(PUBLISH_EXCHANGE, unroutable), (UNROUTABLE, unroutable), (DEAD_EXCHANGE, dead_letters)]
        {
            self.exchanges.entry(exchange).or_insert_with(|| Exchange::with_rest_to(queue));
        }
    }

    fn declare_kind(&mut self, kind: &KindQueue) {
        let queue = self.declare_queue(&kind.queue, Some(kind.delivery_limit), true);
        for exchange in [JOBS_EXCHANGE, PUBLISH_EXCHANGE] {
            self.exchanges.entry(exchange).or_default().bind(&kind.kind, queue);
        }
    }

    fn declare_queue(&mut self, name: &str, delivery_limit: Option<u32>, dead_letters: bool) -> usize {
        if let Some(index) = self.names.get(name) {
            return *index;
        }
        self.queues.push(Queue::new(name, delivery_limit, dead_letters));
        self.names.insert(name.to_owned(), self.queues.len() - 1);
        self.queues.len() - 1
    }
}

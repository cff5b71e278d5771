//! Where a message goes.

use std::collections::HashMap;

use crate::broker::topology::{self, Routing};

/// An exchange: routing keys, each bound to one queue. Queues are named by their index.
#[derive(Debug)]
pub(super) struct Exchange {
    routing: Routing,
    bindings: HashMap<String, usize>,
    /// The exchange that gets what no binding wants.
    pub(super) alternate: Option<&'static str>,
}

impl Exchange {
    pub(super) fn new(exchange: &topology::Exchange) -> Self {
        Self { routing: exchange.routing, bindings: HashMap::new(), alternate: exchange.alternate }
    }

    /// Binds a routing key. A binding that is there stays.
    pub(super) fn bind(&mut self, key: &str, queue: usize) {
        self.bindings.entry(key.to_owned()).or_insert(queue);
    }

    /// The queue that a routing key is bound to.
    pub(super) fn bound(&self, key: &str) -> Option<usize> {
        self.bindings.get(key).copied()
    }

    /// Where a message with this routing key goes by this exchange's own bindings, if anywhere.
    pub(super) fn route(&self, key: Option<&str>) -> Option<usize> {
        match self.routing {
            Routing::Direct => self.bound(key?),
            // Each has one queue at most, bound to everything.
            Routing::Fanout | Routing::Topic => self.bound(""),
        }
    }
}

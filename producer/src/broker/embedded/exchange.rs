//! Where a message goes.

use std::collections::HashMap;

/// An exchange: routing keys, each bound to one queue. Queues are named by their index.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    bindings: HashMap<String, usize>,
    /// Where everything goes that no binding wants: an alternate exchange, or all that a fan-out has.
    otherwise: Option<usize>,
}

impl Exchange {
    /// An exchange that sends to `queue` what no binding wants.
    pub(super) fn with_rest_to(queue: usize) -> Self {
        Self { otherwise: Some(queue), ..Self::default() }
    }

    /// Binds a routing key. A binding that is there stays.
    pub(super) fn bind(&mut self, key: &str, queue: usize) {
        self.bindings.entry(key.to_owned()).or_insert(queue);
    }

    /// The queue that a routing key is bound to.
    pub(super) fn bound(&self, key: &str) -> Option<usize> {
        self.bindings.get(key).copied()
    }

    /// Where a message with this routing key goes, if anywhere.
    pub(super) fn route(&self, key: Option<&str>) -> Option<usize> {
        key.and_then(|key| self.bound(key)).or(self.otherwise)
    }
}

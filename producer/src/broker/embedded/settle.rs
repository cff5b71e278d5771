//! What a consumer holds to settle by.

use std::sync::Arc;

use super::shared::Shared;
use crate::broker::Tag;
use crate::broker::settle::Settle;

/// Settles for one consumer. When the last clone is gone, so is the consumer: nobody could answer for its deliveries.
pub(super) struct EmbeddedSettler {
    pub(super) shared: Arc<Shared>,
    pub(super) consumer: u64,
}

impl Settle for EmbeddedSettler {
    fn ack(&self, tag: Tag, multiple: bool) -> bool {
        tag.consumer == self.consumer && self.shared.state().ack(tag, multiple)
    }

    fn reject(&self, tag: Tag) -> bool {
        tag.consumer == self.consumer && self.shared.state().reject(tag)
    }

    fn requeue(&self, tag: Tag) -> bool {
        tag.consumer == self.consumer && self.shared.state().requeue(tag)
    }

    fn hand_back(&self, tag: Tag) -> bool {
        tag.consumer == self.consumer && self.shared.state().hand_back(tag)
    }

    fn stop(&self) {
        self.shared.state().stop(self.consumer);
    }

    fn set_prefetch(&self, prefetch: usize) {
        self.shared.state().set_prefetch(self.consumer, prefetch);
    }
}

impl Drop for EmbeddedSettler {
    fn drop(&mut self) {
        self.shared.state().cancel(self.consumer);
    }
}

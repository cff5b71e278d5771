//! Settling deliveries.

use std::fmt;
use std::sync::Arc;

/// A delivery's mark. Valid for the consumer (in AMQP: connection epoch and channel) that got the delivery; a tag of another
/// consumer is stale and settles nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// Which consumer, over the life of the process.
    pub consumer: u64,
    /// Which delivery of it, counted from 1.
    pub number: u64,
}

/// What a broker does to settle. Each answers whether the tag was still its own to settle.
pub(crate) trait Settle: Send + Sync {
    /// Done: forget the message; with `multiple`, this and every unsettled delivery before it.
    fn ack(&self, tag: Tag, multiple: bool) -> bool;
    /// Given up: to the dead-letter exchange.
    fn reject(&self, tag: Tag) -> bool;
    /// This delivery went wrong: back to its place in the queue, and it counts towards the delivery limit.
    fn requeue(&self, tag: Tag) -> bool;
    /// Handed back unharmed (a drain): back to its place in the queue, and it does not count.
    fn hand_back(&self, tag: Tag) -> bool;
    /// Stops further deliveries; those that are out stay to be settled.
    fn stop(&self);
    /// Changes how many unsettled deliveries the consumer holds at most.
    fn set_prefetch(&self, prefetch: usize);
}

/// Answers for the deliveries of one consumer. Clones answer for the same.
#[derive(Clone)]
pub struct Settler(Arc<dyn Settle>);

impl Settler {
    pub(crate) fn new(settle: Arc<dyn Settle>) -> Self {
        Self(settle)
    }

    /// Acknowledges `tag`; with `multiple`, also every unsettled delivery before it. Only after the commit.
    /// Answers whether the tag was still to be settled: `false` is harmless, the message comes again and is found done.
    #[must_use = "a stale tag means that the message will come again"]
    pub fn ack(&self, tag: Tag, multiple: bool) -> bool {
        self.0.ack(tag, multiple)
    }

    /// Gives the message up: the broker moves it to the dead-letter queue. Only after its dead letter is committed.
    #[must_use = "a stale tag means that the message will come again"]
    pub fn reject(&self, tag: Tag) -> bool {
        self.0.reject(tag)
    }

    /// Puts the message back because this delivery went wrong; it counts towards the delivery limit.
    #[must_use = "a stale tag means that the message will come again"]
    pub fn requeue(&self, tag: Tag) -> bool {
        self.0.requeue(tag)
    }

    /// Puts the message back unharmed: a drain, a closed database. It does not count.
    #[must_use = "a stale tag means that the message will come again"]
    pub fn hand_back(&self, tag: Tag) -> bool {
        self.0.hand_back(tag)
    }

    /// Stops further deliveries. What is out can still be settled.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Changes how many unsettled deliveries the consumer holds at most. Zero stops deliveries until it is raised again.
    /// What is out at that moment may come on top of it until it is settled.
    pub fn set_prefetch(&self, prefetch: usize) {
        self.0.set_prefetch(prefetch);
    }
}

impl fmt::Debug for Settler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Settler")
    }
}

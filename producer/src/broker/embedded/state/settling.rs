//! Settling deliveries, and the end of consumers.

use super::State;
use crate::broker::Tag;
use crate::broker::embedded::parcel::Parcel;

/// Why the broker gave a message up: its consumer said so.
const REJECTED: &str = "rejected";
/// Why the broker gave a message up: it came back too often.
const DELIVERY_LIMIT: &str = "delivery_limit";

impl State {
    /// Forgets a message; with `multiple`, also all that went to its consumer before it and is not settled.
    pub(in crate::broker::embedded) fn ack(&mut self, tag: Tag, multiple: bool) -> bool {
        let Some(consumer) = self.consumers.get_mut(&tag.consumer) else { return false };
        if !consumer.holds(tag.number) {
            return false;
        }
        let queue = &mut self.queues[consumer.queue];
        let mut forget = |parcel: Box<Parcel>| {
            queue.settled();
            self.memory.release(parcel.weight());
        };
        if multiple {
            while let Some(parcel) = consumer.take_oldest_up_to(tag.number) {
                forget(parcel);
            }
        } else if let Some(parcel) = consumer.take(tag.number) {
            forget(parcel);
        }
        self.after_settling(tag.consumer);
        true
    }

    /// Gives a message up.
    pub(in crate::broker::embedded) fn reject(&mut self, tag: Tag) -> bool {
        self.settle_one(tag, |state, queue, parcel| state.give_up(queue, parcel, REJECTED))
    }

    /// Puts a message back; the delivery counts.
    pub(in crate::broker::embedded) fn requeue(&mut self, tag: Tag) -> bool {
        self.settle_one(tag, Self::came_back)
    }

    /// Puts a message back; the delivery does not count.
    pub(in crate::broker::embedded) fn hand_back(&mut self, tag: Tag) -> bool {
        self.settle_one(tag, |state, queue, parcel| state.queues[queue].put_back(parcel))
    }

    fn settle_one(&mut self, tag: Tag, settle: impl FnOnce(&mut Self, usize, Box<Parcel>)) -> bool {
        let Some(consumer) = self.consumers.get_mut(&tag.consumer) else { return false };
        let queue = consumer.queue;
        let Some(parcel) = consumer.take(tag.number) else { return false };
        settle(self, queue, parcel);
        self.after_settling(tag.consumer);
        true
    }

    fn after_settling(&mut self, consumer: u64) {
        self.serve(consumer);
        self.show();
    }

    /// One delivery of a message went wrong.
    fn came_back(&mut self, queue: usize, mut parcel: Box<Parcel>) {
        parcel.deliveries = parcel.deliveries.saturating_add(1);
        if self.queues[queue].gives_up_after(parcel.deliveries) {
            self.give_up(queue, parcel, DELIVERY_LIMIT);
        } else {
            self.queues[queue].put_back(parcel);
        }
    }

    /// Stops deliveries to a consumer and ends its channel. It stays, for the sake of what is out with it.
    pub(in crate::broker::embedded) fn stop(&mut self, consumer: u64) {
        if let Some(consumer) = self.consumers.get_mut(&consumer) {
            consumer.stop();
        }
    }

    pub(in crate::broker::embedded) fn set_prefetch(&mut self, id: u64, prefetch: usize) {
        if let Some(consumer) = self.consumers.get_mut(&id) {
            consumer.prefetch = prefetch;
            self.serve(id);
        }
    }

    /// Ends a consumer, as a closed channel does: what is out with it goes back and counts. A second time, nothing.
    pub(in crate::broker::embedded) fn cancel(&mut self, id: u64) {
        if let Some(queue) = self.give_back(id) {
            self.dispatch(queue);
            self.show();
        }
    }

    /// Ends every consumer.
    #[cfg(any(test, feature = "testing"))]
    pub(in crate::broker::embedded) fn cancel_all(&mut self) {
        let consumers: Vec<u64> = self.consumers.keys().copied().collect();
        for consumer in consumers {
            self.cancel(consumer);
        }
    }

    /// Removes a consumer and puts back what is out with it, for others to take. Answers its queue.
    pub(super) fn give_back(&mut self, id: u64) -> Option<usize> {
        let consumer = self.consumers.remove(&id)?;
        let queue = consumer.queue;
        self.queues[queue].leave_line(id);
        consumer.into_unsettled().for_each(|parcel| self.came_back(queue, parcel));
        Some(queue)
    }
}

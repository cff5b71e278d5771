//! One queue: the order of its messages, and of the consumers that wait for one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::Held;
use super::parcel::Parcel;

/// Below this many slots the ring is not worth shrinking.
const SMALL: usize = 1024;

/// A queue. Messages leave it in the order of their positions, and one that comes back has kept its own.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) name: Arc<str>,
    /// Hand-overs that may go wrong before a message is given up. `None`: any number.
    pub(super) delivery_limit: Option<u32>,
    /// Whether what is given up goes to the dead-letter exchange. Where it does not, it is gone, as in RabbitMQ.
    pub(super) dead_letters: bool,
    /// Never handed over, in the order of publishing.
    fresh: VecDeque<Box<Parcel>>,
    /// Handed over and come back. Each of them stands before all that is in `fresh`, since it was taken before them.
    returned: BTreeMap<u64, Box<Parcel>>,
    next_position: u64,
    unsettled: usize,
    /// Consumers with room, each of them once. The first gets the next message.
    line: VecDeque<u64>,
}

impl Queue {
    pub(super) fn new(name: &str, delivery_limit: Option<u32>, dead_letters: bool) -> Self {
        Self {
            name: name.into(),
            delivery_limit,
            dead_letters,
            fresh: VecDeque::new(),
            returned: BTreeMap::new(),
            next_position: 0,
            unsettled: 0,
            line: VecDeque::new(),
        }
    }

    /// Appends a message, as one that was never handed over.
    pub(super) fn push(&mut self, mut parcel: Box<Parcel>) {
        parcel.position = self.next_position;
        parcel.deliveries = 0;
        self.next_position += 1;
        self.fresh.push_back(parcel);
    }

    /// Takes the first message out. It counts as unsettled until [`settled`](Self::settled) or
    /// [`put_back`](Self::put_back).
    pub(super) fn take(&mut self) -> Option<Box<Parcel>> {
        let parcel = match self.returned.pop_first() {
            Some((_, parcel)) => parcel,
            None => self.take_fresh()?,
        };
        self.unsettled += 1;
        Some(parcel)
    }

    fn take_fresh(&mut self) -> Option<Box<Parcel>> {
        let parcel = self.fresh.pop_front()?;
        // A backlog that is gone gives its slots back. Halving at a quarter keeps the cost of it constant per message.
        if self.fresh.capacity() > SMALL && self.fresh.len() < self.fresh.capacity() / 4 {
            self.fresh.shrink_to(self.fresh.capacity() / 2);
        }
        Some(parcel)
    }

    /// Puts back what was taken, at its old place.
    pub(super) fn put_back(&mut self, parcel: Box<Parcel>) {
        self.unsettled -= 1;
        self.returned.insert(parcel.position, parcel);
    }

    /// One message that was taken will not come back.
    pub(super) fn settled(&mut self) {
        self.unsettled -= 1;
    }

    /// Whether a message counts as given up after `deliveries` that went wrong. A limit of n allows n + 1 hand-overs.
    pub(super) fn gives_up_after(&self, deliveries: u32) -> bool {
        self.delivery_limit.is_some_and(|limit| deliveries > limit)
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.fresh.is_empty() || !self.returned.is_empty()
    }

    /// Puts a consumer at the end of the line. It must not stand in it.
    pub(super) fn stand_in_line(&mut self, consumer: u64) {
        self.line.push_back(consumer);
    }

    /// Takes the consumer whose turn it is out of the line.
    pub(super) fn next_in_line(&mut self) -> Option<u64> {
        self.line.pop_front()
    }

    /// Takes a consumer that is gone out of the line, wherever it stands.
    pub(super) fn leave_line(&mut self, consumer: u64) {
        self.line.retain(|other| *other != consumer);
    }

    pub(super) fn held(&self) -> Held {
        Held { ready: self.fresh.len() + self.returned.len(), unsettled: self.unsettled }
    }

    /// Forgets every message and every consumer.
    pub(super) fn clear(&mut self) {
        *self = Self::new(&self.name, self.delivery_limit, self.dead_letters);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

    use ackord_entities::envelope::Message;

    use super::*;

    fn queue_of(count: usize) -> Queue {
        let mut queue = Queue::new("q", None, true);
        (0..count).for_each(|_| queue.push(Parcel::new("", Message::default())));
        queue
    }

    fn positions(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.take()).map(|parcel| parcel.position).collect()
    }

    #[test]
    fn messages_leave_in_the_order_they_came() {
        assert_eq!(positions(&mut queue_of(5)), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn what_comes_back_stands_at_its_old_place_in_whatever_order_it_comes() {
        let mut queue = queue_of(6);
        let mut taken: Vec<_> = (0..4).map(|_| queue.take().unwrap()).collect();
        taken.swap(0, 3);
        drop(taken.pop());
        for parcel in taken {
            queue.put_back(parcel);
        }
        assert_eq!(positions(&mut queue), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_is_held_tells_ready_and_unsettled_apart() {
        let mut queue = queue_of(3);
        let (first, _second) = (queue.take().unwrap(), queue.take().unwrap());
        assert_eq!(queue.held(), Held { ready: 1, unsettled: 2 });
        queue.put_back(first);
        assert_eq!(queue.held(), Held { ready: 2, unsettled: 1 });
        queue.settled();
        assert_eq!(queue.held(), Held { ready: 2, unsettled: 0 });
    }

    #[test]
    fn a_backlog_that_is_gone_gives_its_slots_back() {
        let mut queue = queue_of(100_000);
        assert_eq!(positions(&mut queue).len(), 100_000);
        assert!(queue.fresh.capacity() <= 2 * SMALL, "{} slots", queue.fresh.capacity());
    }

    #[test]
    fn a_limit_of_n_allows_n_plus_one_hand_overs() {
        let queue = Queue::new("q", Some(2), true);
        assert!(!queue.gives_up_after(2));
        assert!(queue.gives_up_after(3));
        assert!(!queue_of(0).gives_up_after(u32::MAX));
    }
}

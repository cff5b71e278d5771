//! One consumer: its channel, and what is out with it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use tokio::sync::mpsc;

use super::parcel::Parcel;
use crate::broker::{Delivery, Tag};

/// A consumer as the broker sees it.
pub(super) struct Consumer {
    id: u64,
    /// Index of its queue.
    pub(super) queue: usize,
    pub(super) prefetch: usize,
    /// Whether it stands in the queue's line.
    pub(super) in_line: bool,
    /// `None` once it was stopped.
    outlet: Option<Outlet>,
    /// By the number of the tag. A tree and not a ring, since one delivery may stay out while millions pass it.
    unsettled: BTreeMap<u64, Box<Parcel>>,
    last_number: u64,
}

/// The sending half of a consumer's channel.
pub(super) struct Outlet {
    sender: mpsc::UnboundedSender<Delivery>,
    /// Kept for as long as the waker that it left in the channel shall be woken.
    _hang_up: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Outlet {
    /// An outlet that wakes `hang_up` when the receiver is closed or dropped.
    ///
    /// This takes the place of a task that would wait for it: the future is polled once, which leaves the waker with the
    /// channel, and the channel wakes it from within the receiver's drop.
    pub(super) fn new(sender: mpsc::UnboundedSender<Delivery>, hang_up: &Waker) -> Self {
        let closing = sender.clone();
        // Outside the cooperative budget of the task that happens to call: the poll must reach the channel.
        let mut closed: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(tokio::task::unconstrained(async move { closing.closed().await }));
        let _ = closed.as_mut().poll(&mut Context::from_waker(hang_up));
        Self { sender, _hang_up: closed }
    }
}

impl Consumer {
    pub(super) fn new(id: u64, queue: usize, prefetch: usize, outlet: Outlet) -> Self {
        Self {
            id,
            queue,
            prefetch,
            in_line: false,
            outlet: Some(outlet),
            unsettled: BTreeMap::new(),
            last_number: 0,
        }
    }

    /// Whether it takes another delivery.
    pub(super) fn has_room(&self) -> bool {
        self.outlet.is_some() && self.unsettled.len() < self.prefetch
    }

    /// Whether it will take deliveries as soon as it has room.
    pub(super) fn takes_part(&self) -> bool {
        self.outlet.is_some() && self.prefetch > 0
    }

    /// Hands a message over. Gives it back when nobody listens any more.
    pub(super) fn deliver(&mut self, parcel: Box<Parcel>, queue: &Arc<str>) -> Result<(), Box<Parcel>> {
        let Some(outlet) = &self.outlet else { return Err(parcel) };
        let number = self.last_number + 1;
        let delivery = Delivery {
            message: parcel.message.clone(),
            tag: Tag { consumer: self.id, number },
            deliveries_before: parcel.deliveries,
            queue: Arc::clone(queue),
        };
        if outlet.sender.send(delivery).is_err() {
            return Err(parcel);
        }
        self.last_number = number;
        self.unsettled.insert(number, parcel);
        Ok(())
    }

    /// Takes one unsettled delivery out.
    pub(super) fn take(&mut self, number: u64) -> Option<Box<Parcel>> {
        self.unsettled.remove(&number)
    }

    /// Whether a delivery is out unsettled.
    pub(super) fn holds(&self, number: u64) -> bool {
        self.unsettled.contains_key(&number)
    }

    /// Takes the oldest unsettled delivery out, if its number is not above `number`.
    pub(super) fn take_oldest_up_to(&mut self, number: u64) -> Option<Box<Parcel>> {
        let oldest = self.unsettled.first_entry()?;
        (*oldest.key() <= number).then(|| oldest.remove())
    }

    /// Ends the channel. What was handed over can still be settled.
    pub(super) fn stop(&mut self) {
        self.outlet = None;
    }

    /// Everything that is out, in the order of handing over.
    pub(super) fn into_unsettled(self) -> impl Iterator<Item = Box<Parcel>> {
        self.unsettled.into_values()
    }
}

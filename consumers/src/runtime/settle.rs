//! Settling: the broker hears of a delivery only after its commit.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ackord_entities::fault;
use ackord_producer::broker::{Settler, Tag};
use tokio::sync::Notify;

/// What to answer for a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Done.
    Ack,
    /// Given up; its dead letter is committed.
    Reject,
    /// Not touched.
    HandBack,
}

/// The unsettled deliveries of one consumer, in order, so that a run of acknowledgements becomes one.
pub(crate) struct Settlements {
    settler: Settler,
    unsettled: Mutex<BTreeSet<Tag>>,
    changed: Notify,
}

impl Settlements {
    pub(crate) fn new(settler: Settler) -> Self {
        Self { settler, unsettled: Mutex::default(), changed: Notify::new() }
    }

    /// Notes deliveries before anything else happens to them.
    pub(crate) fn received(&self, tags: impl IntoIterator<Item = Tag>) {
        lock(&self.unsettled).extend(tags);
    }

    /// How many deliveries wait for their answer.
    pub(crate) fn unsettled(&self) -> usize {
        lock(&self.unsettled).len()
    }

    /// Resolves when deliveries were settled.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(crate) fn settler(&self) -> &Settler {
        &self.settler
    }

    /// Answers for deliveries whose transaction is committed. Acknowledges all up to a tag at once when every unsettled
    /// delivery up to it is among them; the others singly.
    pub(crate) fn settle(&self, answers: &[(Tag, Answer)]) {
        let mut acks = Vec::with_capacity(answers.len());
        let mut unsettled = lock(&self.unsettled);
        for (tag, answer) in answers {
            unsettled.remove(tag);
            // A stale tag is harmless: the message comes again and is found done.
            let _ = match answer {
                Answer::Ack => {
                    acks.push(*tag);
                    true
                }
                Answer::Reject => self.settler.reject(*tag),
                Answer::HandBack => self.settler.hand_back(*tag),
            };
        }
        let low_water = unsettled.first().copied();
        drop(unsettled);
        acks.sort_unstable();
        let together = low_water.map_or(acks.len(), |low_water| acks.partition_point(|tag| *tag < low_water));
        if let Some(last) = acks[..together].last() {
            let _ = self.settler.ack(*last, together > 1);
        }
        fault::point("in_the_middle_of_settling");
        for tag in &acks[together..] {
            let _ = self.settler.ack(*tag, false);
        }
        fault::point("settled");
        self.changed.notify_one();
    }
}

/// A lock that outlives a panic elsewhere: what it guards is changed in single steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

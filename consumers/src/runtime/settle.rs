//! Settling: the broker hears of a delivery only after its commit.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ackord_entities::fault;
use ackord_producer::broker::{Settler, Tag};
use tokio::sync::Notify;

use crate::metrics::KindMeter;

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
    /// With the time of their arrival: what is out for too long, the broker takes back.
    unsettled: Mutex<BTreeMap<Tag, Instant>>,
    changed: Notify,
    /// Counts the answers; the archive's are counted elsewhere.
    meter: Option<KindMeter>,
}

impl Settlements {
    pub(crate) fn new(settler: Settler, meter: Option<KindMeter>) -> Self {
        Self { settler, unsettled: Mutex::default(), changed: Notify::new(), meter }
    }

    /// Notes deliveries before anything else happens to them.
    pub(crate) fn received(&self, tags: impl IntoIterator<Item = Tag>) {
        let now = Instant::now();
        lock(&self.unsettled).extend(tags.into_iter().map(|tag| (tag, now)));
    }

    /// For how long the oldest of them has waited.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        lock(&self.unsettled).first_key_value().map(|(_, arrived)| arrived.elapsed())
    }

    /// How many deliveries wait for their answer.
    pub(crate) fn unsettled(&self) -> usize {
        lock(&self.unsettled).len()
    }

    /// Resolves when deliveries were settled.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Answers for deliveries whose transaction is committed. Acknowledges all up to a tag at once when every unsettled
    /// delivery up to it is among them; the others singly.
    pub(crate) fn settle(&self, answers: &[(Tag, Answer)]) {
        let mut acks = Vec::with_capacity(answers.len());
        let (mut rejects, mut hand_backs) = (0, 0);
        let mut unsettled = lock(&self.unsettled);
        for (tag, answer) in answers {
            unsettled.remove(tag);
            // A stale tag is harmless: the message comes again and is found done.
            let _ = match answer {
                Answer::Ack => {
                    acks.push(*tag);
                    true
                }
                Answer::Reject => {
                    rejects += 1;
                    self.settler.reject(*tag)
                }
                Answer::HandBack => {
                    hand_backs += 1;
                    self.settler.hand_back(*tag)
                }
            };
        }
        let low_water = unsettled.first_key_value().map(|(tag, _)| *tag);
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
        if let Some(meter) = &self.meter {
            meter.settled(acks.len() as u64, rejects, hand_backs);
        }
        self.changed.notify_one();
    }
}

/// A lock that outlives a panic elsewhere: what it guards is changed in single steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

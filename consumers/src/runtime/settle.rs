//! Settling: the broker hears of a delivery only after its commit.

use std::collections::{BTreeMap, BTreeSet};
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
///
/// Two transactions of a kind overlap, and the later one may be through first. Its acknowledgements wait for the earlier one, which
/// takes milliseconds, and go out with it: the broker has far less to do with one acknowledgement than with a hundred. They do not wait for
/// a delivery that is not being committed at the moment.
pub(crate) struct Settlements {
    settler: Settler,
    out: Mutex<Out>,
    changed: Notify,
    /// Counts the answers; the archive's are counted elsewhere.
    meter: Option<KindMeter>,
}

#[derive(Default)]
struct Out {
    unsettled: BTreeMap<Tag, Unsettled>,
    /// Committed, and not acknowledged yet.
    due: BTreeSet<Tag>,
}

struct Unsettled {
    /// What is out for too long, the broker takes back.
    arrived: Instant,
    in_commit: bool,
}

impl Settlements {
    pub(crate) fn new(settler: Settler, meter: Option<KindMeter>) -> Self {
        Self { settler, out: Mutex::default(), changed: Notify::new(), meter }
    }

    /// Notes deliveries before anything else happens to them.
    pub(crate) fn received(&self, tags: impl IntoIterator<Item = Tag>) {
        let arrived = Instant::now();
        let tags = tags.into_iter().map(|tag| (tag, Unsettled { arrived, in_commit: false }));
        lock(&self.out).unsettled.extend(tags);
    }

    /// For how long the oldest of them has waited.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        lock(&self.out).unsettled.first_key_value().map(|(_, oldest)| oldest.arrived.elapsed())
    }

    /// How many deliveries wait for their answer.
    pub(crate) fn unsettled(&self) -> usize {
        let out = lock(&self.out);
        out.unsettled.len() + out.due.len()
    }

    /// Resolves when deliveries were settled.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The transaction of these deliveries begins.
    pub(crate) fn in_commit(&self, tags: &[Tag]) {
        lock(&self.out).mark(tags, true);
    }

    /// The transaction of these deliveries did not get through: nobody waits for it any more.
    pub(crate) fn held_up(&self, tags: &[Tag]) {
        let mut out = lock(&self.out);
        out.mark(tags, false);
        let acks = out.take_due();
        drop(out);
        self.acknowledge(&acks);
    }

    /// Answers for deliveries whose transaction is committed. Acknowledges all up to a tag at once when every delivery up to it is
    /// committed; the others singly.
    pub(crate) fn settle(&self, answers: &[(Tag, Answer)]) {
        let (mut acks, mut rejects, mut hand_backs) = (0, 0, 0);
        let mut out = lock(&self.out);
        for (tag, answer) in answers {
            out.unsettled.remove(tag);
            // A stale tag is harmless: the message comes again and is found done.
            let _ = match answer {
                Answer::Ack => {
                    acks += 1;
                    out.due.insert(*tag)
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
        let due = out.take_due();
        drop(out);
        self.acknowledge(&due);
        if let Some(meter) = &self.meter {
            meter.settled(acks, rejects, hand_backs);
        }
    }

    fn acknowledge(&self, due: &Due) {
        if let Some((last, many)) = due.up_to {
            let _ = self.settler.ack(last, many);
        }
        fault::point("in_the_middle_of_settling");
        for tag in &due.single {
            let _ = self.settler.ack(*tag, false);
        }
        fault::point("settled");
        self.changed.notify_one();
    }
}

/// Acknowledgements that are to be sent now.
struct Due {
    /// All up to this one, and whether they are several.
    up_to: Option<(Tag, bool)>,
    single: Vec<Tag>,
}

impl Out {
    fn mark(&mut self, tags: &[Tag], in_commit: bool) {
        for tag in tags {
            if let Some(one) = self.unsettled.get_mut(tag) {
                one.in_commit = in_commit;
            }
        }
    }

    fn take_due(&mut self) -> Due {
        let Some((low_water, oldest)) = self.unsettled.first_key_value() else {
            let all = std::mem::take(&mut self.due);
            return Due { up_to: all.last().map(|last| (*last, all.len() > 1)), single: Vec::new() };
        };
        let waits = oldest.in_commit;
        let rest = self.due.split_off(low_water);
        let together = std::mem::replace(&mut self.due, rest);
        let single = if waits { Vec::new() } else { std::mem::take(&mut self.due).into_iter().collect() };
        Due { up_to: together.last().map(|last| (*last, together.len() > 1)), single }
    }
}

/// A lock that outlives a panic elsewhere: what it guards is changed in single steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::Arc;

    use ackord_entities::envelope::Message;
    use ackord_entities::ids::JobId;
    use ackord_entities::jobs::{Catalogue, Job, KindSpec};
    use ackord_producer::broker::topology::{PUBLISH_EXCHANGE, Topology, queue_of};
    use ackord_producer::broker::{Broker, Consumer, EmbeddedBroker, EmbeddedOptions};

    use super::*;

    #[derive(Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Order;

    impl Job for Order {
        const KIND: &'static str = "order";
        const ACCEPTS_DIRECT: bool = true;
    }

    /// Four deliveries that are out.
    struct Four {
        broker: Arc<EmbeddedBroker>,
        settlements: Settlements,
        tags: Vec<Tag>,
        _consumer: Consumer,
    }

    impl Four {
        async fn new() -> Self {
            let broker = Arc::new(EmbeddedBroker::new(EmbeddedOptions::default()));
            broker.apply(&Topology::of(&Catalogue::new([KindSpec::of::<Order>()]))).await.unwrap();
            let message = |_| Message {
                message_id: Some(JobId::new().to_string()),
                kind: Some(Order::KIND.to_owned()),
                body: "null".into(),
                ..Message::default()
            };
            broker.publish(PUBLISH_EXCHANGE, &[0, 1, 2, 3].map(message)).await.unwrap();
            let mut consumer = broker.consume(&queue_of(Order::KIND), 4).await.unwrap();
            let mut tags = Vec::new();
            while tags.len() < 4 {
                tags.push(consumer.deliveries.recv().await.unwrap().tag);
            }
            let settlements = Settlements::new(consumer.settler.clone(), None);
            settlements.received(tags.iter().copied());
            Self { broker, settlements, tags, _consumer: consumer }
        }

        fn ack(&self, which: std::ops::Range<usize>) {
            let answers: Vec<_> = self.tags[which].iter().map(|tag| (*tag, Answer::Ack)).collect();
            self.settlements.settle(&answers);
        }

        /// How many the broker has not heard of.
        fn out(&self) -> usize {
            let out = self.broker.held(&queue_of(Order::KIND)).unwrap().unsettled;
            assert_eq!(self.settlements.unsettled(), out, "a drain waits for exactly these");
            out
        }
    }

    #[tokio::test]
    async fn the_later_of_two_transactions_is_acknowledged_with_the_earlier_one() {
        let four = Four::new().await;
        four.settlements.in_commit(&four.tags[..2]);
        four.settlements.in_commit(&four.tags[2..]);
        four.ack(2..4);
        assert_eq!(four.out(), 4);
        four.ack(0..2);
        assert_eq!(four.out(), 0);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_transaction_that_failed() {
        let four = Four::new().await;
        four.settlements.in_commit(&four.tags[..2]);
        four.settlements.in_commit(&four.tags[2..]);
        four.ack(2..4);
        four.settlements.held_up(&four.tags[..2]);
        assert_eq!(four.out(), 2);
        four.ack(0..2);
        assert_eq!(four.out(), 0);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_delivery_that_is_still_worked_on() {
        let four = Four::new().await;
        four.settlements.in_commit(&four.tags[1..3]);
        four.ack(1..3);
        assert_eq!(four.out(), 2, "the first one is not in a transaction");
    }
}

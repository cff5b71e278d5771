//! The broker against a model that is simple enough to be believed: a map of ready messages in the order of publishing, and
//! what is out with each consumer.

use std::collections::{BTreeMap, BTreeSet};

use ackord_producer::broker::conformance::steps::{LIMIT, kinds, message};
use ackord_producer::broker::topology::{DEAD_LETTERS, JOBS_EXCHANGE, queue_of};
use ackord_producer::broker::{Broker, Consumer, Delivery, EmbeddedBroker, EmbeddedOptions, Settler, Tag};
use proptest::prelude::*;
use proptest::sample::Index;
use tokio::sync::mpsc::UnboundedReceiver;

#[derive(Clone, Copy, Debug)]
enum How {
    Ack,
    AckMultiple,
    Reject,
    Requeue,
    HandBack,
}

#[derive(Clone, Debug)]
enum Step {
    Publish(u32),
    Consume { prefetch: usize },
    Settle { tag: Index, how: How },
    SettleStale { tag: Index, how: How },
    SetPrefetch { consumer: Index, prefetch: usize },
    Stop { consumer: Index },
    DropReceiver { consumer: Index },
    DropConsumer { consumer: Index },
    CloseUnder { consumer: Index },
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        3 => Just(How::Ack),
        2 => Just(How::AckMultiple),
        1 => Just(How::Reject),
        4 => Just(How::Requeue),
        2 => Just(How::HandBack),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let consumer = any::<Index>;
    prop_oneof![
        6 => (1..6u32).prop_map(Step::Publish),
        2 => (0..5usize).prop_map(|prefetch| Step::Consume { prefetch }),
        12 => (any::<Index>(), how()).prop_map(|(tag, how)| Step::Settle { tag, how }),
        2 => (any::<Index>(), how()).prop_map(|(tag, how)| Step::SettleStale { tag, how }),
        2 => (consumer(), 0..6usize).prop_map(|(consumer, prefetch)| Step::SetPrefetch { consumer, prefetch }),
        1 => consumer().prop_map(|consumer| Step::Stop { consumer }),
        1 => consumer().prop_map(|consumer| Step::DropReceiver { consumer }),
        1 => consumer().prop_map(|consumer| Step::DropConsumer { consumer }),
        1 => consumer().prop_map(|consumer| Step::CloseUnder { consumer }),
    ]
}

/// What the model knows of a consumer.
struct Modelled {
    /// Zero until its first delivery tells it.
    id: u64,
    prefetch: usize,
    stopped: bool,
    /// By tag number: the message, and its count at that delivery.
    out: BTreeMap<u64, (u32, u32)>,
    deliveries: UnboundedReceiver<Delivery>,
    settler: Settler,
}

impl Modelled {
    fn room(&self) -> usize {
        if self.stopped { 0 } else { self.prefetch.saturating_sub(self.out.len()) }
    }
}

struct Model {
    broker: EmbeddedBroker,
    published: u32,
    /// Message and its count, in the order of publishing.
    ready: BTreeMap<u32, u32>,
    acked: BTreeSet<u32>,
    dead: Vec<u32>,
    consumers: Vec<Modelled>,
    /// Tags that were settled or lost, with a settler of their consumer.
    stale: Vec<(Tag, Settler)>,
}

impl Model {
    async fn new() -> Self {
        let broker = EmbeddedBroker::new(EmbeddedOptions::default());
        broker.apply(&kinds(&["a"])).await.unwrap();
        Self {
            broker,
            published: 0,
            ready: BTreeMap::new(),
            acked: BTreeSet::new(),
            dead: Vec::new(),
            consumers: Vec::new(),
            stale: Vec::new(),
        }
    }

    async fn run(&mut self, step: Step) {
        match step {
            Step::Publish(count) => self.publish(count).await,
            Step::Consume { prefetch } => self.consume(prefetch).await,
            Step::Settle { tag, how } => self.settle(tag, how),
            Step::SettleStale { tag, how } => self.settle_stale(tag, how),
            Step::SetPrefetch { consumer, prefetch } => {
                if let Some(consumer) = self.pick(consumer) {
                    self.consumers[consumer].prefetch = prefetch;
                    self.consumers[consumer].settler.set_prefetch(prefetch);
                }
            }
            Step::Stop { consumer } => {
                if let Some(consumer) = self.pick(consumer) {
                    self.consumers[consumer].stopped = true;
                    self.consumers[consumer].settler.stop();
                }
            }
            Step::DropReceiver { consumer } => self.drop_receiver(consumer),
            Step::DropConsumer { consumer } => {
                if let Some(consumer) = self.pick(consumer) {
                    let gone = self.consumers.remove(consumer);
                    // A stale tag's settler is a settler: with it, a stopped consumer would live on.
                    self.stale.retain(|(tag, _)| tag.consumer != gone.id);
                    self.lose(&gone.out);
                }
            }
            Step::CloseUnder { consumer } => {
                if let Some(consumer) = self.pick(consumer).filter(|index| self.consumers[*index].id != 0) {
                    let gone = self.consumers.remove(consumer);
                    self.broker.close_consumer(gone.id);
                    self.forget(&gone);
                }
            }
        }
        self.receive();
        self.compare_held();
    }

    fn pick(&self, index: Index) -> Option<usize> {
        (!self.consumers.is_empty()).then(|| index.index(self.consumers.len()))
    }

    async fn publish(&mut self, count: u32) {
        let ids: Vec<_> = (self.published..self.published + count).collect();
        self.published += count;
        self.ready.extend(ids.iter().map(|id| (*id, 0)));
        let window: Vec<_> = ids.iter().map(|id| message("a", &id.to_string())).collect();
        self.broker.publish(JOBS_EXCHANGE, &window).await.unwrap();
    }

    async fn consume(&mut self, prefetch: usize) {
        let Consumer { deliveries, settler } = self.broker.consume(&queue_of("a"), prefetch).await.unwrap();
        let out = BTreeMap::new();
        self.consumers.push(Modelled { id: 0, prefetch, stopped: false, out, deliveries, settler });
    }

    fn settle(&mut self, tag: Index, how: How) {
        let consumers = self.consumers.iter().enumerate();
        let out: Vec<_> = consumers
            .flat_map(|(index, consumer)| consumer.out.keys().map(move |number| (index, *number)))
            .collect();
        if out.is_empty() {
            return;
        }
        let (index, number) = out[tag.index(out.len())];
        let settler = self.consumers[index].settler.clone();
        let consumer = self.consumers[index].id;
        let tag = Tag { consumer, number };
        assert!(settle(&settler, tag, how), "{tag:?} was out");
        let first = if matches!(how, How::AckMultiple) { 0 } else { number };
        let numbers: Vec<_> =
            self.consumers[index].out.range(first..=number).map(|(number, _)| *number).collect();
        for number in numbers {
            let (id, count) = self.consumers[index].out.remove(&number).unwrap();
            self.stale.push((Tag { consumer, number }, settler.clone()));
            match how {
                How::Ack | How::AckMultiple => assert!(self.acked.insert(id), "{id} acked twice"),
                How::Reject => self.dead.push(id),
                How::Requeue => self.came_back(id, count),
                How::HandBack => assert!(self.ready.insert(id, count).is_none()),
            }
        }
    }

    fn settle_stale(&mut self, tag: Index, how: How) {
        if !self.stale.is_empty() {
            let (tag, settler) = &self.stale[tag.index(self.stale.len())];
            assert!(!settle(settler, *tag, how), "{tag:?} was stale");
        }
    }

    fn came_back(&mut self, id: u32, count: u32) {
        if count + 1 > LIMIT {
            self.dead.push(id);
        } else {
            assert!(self.ready.insert(id, count + 1).is_none());
        }
    }

    fn lose(&mut self, out: &BTreeMap<u64, (u32, u32)>) {
        for (id, count) in out.values() {
            self.came_back(*id, *count);
        }
    }

    /// The consumer is gone with all that was out, and its settler is kept to try its tags.
    fn forget(&mut self, gone: &Modelled) {
        self.lose(&gone.out);
        for number in gone.out.keys() {
            self.stale.push((Tag { consumer: gone.id, number: *number }, gone.settler.clone()));
        }
    }

    fn drop_receiver(&mut self, consumer: Index) {
        let Some(index) = self.pick(consumer).filter(|index| !self.consumers[*index].stopped) else { return };
        let Modelled { id, prefetch, stopped, out, deliveries, settler } = self.consumers.remove(index);
        drop(deliveries);
        #[expect(
            clippy::disallowed_methods,
            reason = "stands in for the one that was dropped, nothing is sent"
        )]
        let (_, deliveries) = tokio::sync::mpsc::unbounded_channel();
        self.forget(&Modelled { id, prefetch, stopped, out, deliveries, settler });
    }

    /// Takes what was handed over in this step. It must be the first of what was ready, as much as there was room for.
    fn receive(&mut self) {
        let room: usize = self.consumers.iter().map(Modelled::room).sum();
        let expected: BTreeMap<_, _> =
            self.ready.iter().take(room).map(|(id, count)| (*id, *count)).collect();
        let mut received = BTreeMap::new();
        for consumer in &mut self.consumers {
            let mut last = None;
            while let Ok(delivery) = consumer.deliveries.try_recv() {
                let id = id_of(&delivery);
                assert!(last < Some(id), "{id} after {last:?}");
                last = Some(id);
                consumer.id = delivery.tag.consumer;
                assert!(consumer.out.keys().all(|number| *number < delivery.tag.number));
                consumer.out.insert(delivery.tag.number, (id, delivery.deliveries_before));
                assert!(received.insert(id, delivery.deliveries_before).is_none(), "{id} handed over twice");
            }
        }
        assert_eq!(received, expected);
        self.ready.retain(|id, _| !received.contains_key(id));
    }

    fn compare_held(&self) {
        let held = self.broker.held(&queue_of("a")).unwrap();
        let out: usize = self.consumers.iter().map(|consumer| consumer.out.len()).sum();
        assert_eq!((held.ready, held.unsettled), (self.ready.len(), out));
    }

    /// Nothing is lost and nothing doubled: what was not acked is in the queue or among the dead letters, once.
    async fn end(mut self) {
        self.stale.clear();
        // First all of them, or the next to go would get what the one before gave back.
        self.consumers.iter().for_each(|consumer| consumer.settler.stop());
        for consumer in std::mem::take(&mut self.consumers) {
            self.lose(&consumer.out);
        }
        let dead = self.drain(DEAD_LETTERS).await;
        assert_eq!(dead.iter().map(|(id, _)| *id).collect::<Vec<_>>(), self.dead);
        let left = self.drain(&queue_of("a")).await;
        assert_eq!(left, self.ready.iter().map(|(id, count)| (*id, *count)).collect::<Vec<_>>());
        let all = self.acked.iter().copied().chain(dead.into_iter().chain(left).map(|(id, _)| id));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable();
        assert_eq!(all, (0..self.published).collect::<Vec<_>>());
    }

    async fn drain(&self, queue: &str) -> Vec<(u32, u32)> {
        let mut consumer = self.broker.consume(queue, usize::MAX).await.unwrap();
        let deliveries = std::iter::from_fn(|| consumer.deliveries.try_recv().ok());
        deliveries.map(|delivery| (id_of(&delivery), delivery.deliveries_before)).collect()
    }
}

fn id_of(delivery: &Delivery) -> u32 {
    delivery.message.message_id.as_deref().unwrap().parse().unwrap()
}

fn settle(settler: &Settler, tag: Tag, how: How) -> bool {
    match how {
        How::Ack => settler.ack(tag, false),
        How::AckMultiple => settler.ack(tag, true),
        How::Reject => settler.reject(tag),
        How::Requeue => settler.requeue(tag),
        How::HandBack => settler.hand_back(tag),
    }
}

proptest! {
    #[test]
    fn the_broker_does_what_the_model_does(steps in proptest::collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut model = Model::new().await;
            for step in steps {
                model.run(step).await;
            }
            model.end().await;
        });
    }
}

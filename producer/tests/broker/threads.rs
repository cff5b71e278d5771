//! Many publishers and consumers at once, on several threads.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ackord_producer::broker::conformance::steps::{depth_is, kinds, message};
use ackord_producer::broker::topology::{JOBS_EXCHANGE, queue_of};
use ackord_producer::broker::{Broker, Consumer, EmbeddedBroker, EmbeddedOptions, Tag};
use tokio_util::sync::CancellationToken;

const PUBLISHERS: usize = 3;
const EACH: usize = 4_000;
const CONSUMERS: usize = 5;

/// What was acked, and the end once that is everything.
#[derive(Default)]
struct Done {
    acked: Mutex<HashSet<String>>,
    twice: AtomicUsize,
    end: CancellationToken,
}

impl Done {
    fn add(&self, id: String) {
        let mut acked = self.acked.lock().unwrap();
        if !acked.insert(id) {
            self.twice.fetch_add(1, Ordering::Relaxed);
        }
        if acked.len() == PUBLISHERS * EACH {
            self.end.cancel();
        }
    }
}

async fn publish(broker: Arc<EmbeddedBroker>, publisher: usize) {
    let ids: Vec<_> = (0..EACH).map(|number| format!("{publisher}-{number}")).collect();
    for (round, window) in ids.chunks(37).enumerate() {
        let window: Vec<_> = window.iter().map(|id| message("a", id)).collect();
        broker.publish(JOBS_EXCHANGE, &window).await.unwrap();
        if round % 3 == publisher {
            tokio::task::yield_now().await;
        }
    }
}

/// Consumes until the end, and is lost every few hundred deliveries: by its own drop, its receiver's, or a closed channel.
async fn consume(broker: Arc<EmbeddedBroker>, done: Arc<Done>, number: usize) {
    for life in 0.. {
        let consumer = broker.consume(&queue_of("a"), 1 + (number * 7 + life) % 40).await.unwrap();
        let lost_after = 100 + (number * 53 + life * 91) % 400;
        if done.end.run_until_cancelled(live(&broker, &done, consumer, lost_after)).await.is_none() {
            return;
        }
    }
}

async fn live(broker: &EmbeddedBroker, done: &Done, mut consumer: Consumer, lost_after: usize) {
    let mut out = BTreeMap::new();
    let mut last = None;
    for round in 0..lost_after {
        let Some(delivery) = consumer.deliveries.recv().await else { return };
        last = Some(delivery.tag);
        out.insert(delivery.tag, delivery.message.message_id.unwrap());
        settle(done, &consumer, &mut out, round);
    }
    match (lost_after % 3, last) {
        (0, Some(tag)) => broker.close_consumer(tag.consumer),
        (1, _) => drop(consumer.deliveries),
        _ => drop(consumer),
    }
}

/// Settles some of what is out, and all of it before this consumer would wait.
fn settle(done: &Done, consumer: &Consumer, out: &mut BTreeMap<Tag, String>, round: usize) {
    let Some((&tag, id)) = out.last_key_value() else { return };
    match round % 11 {
        0 | 1 => {
            let requeue = round.is_multiple_of(2);
            let back = if requeue { consumer.settler.requeue(tag) } else { consumer.settler.hand_back(tag) };
            assert!(back);
            out.remove(&tag);
        }
        2 | 5 => {
            assert!(consumer.settler.ack(tag, false));
            done.add(id.clone());
            out.remove(&tag);
        }
        3 | 7 | 9 => ack_all(done, consumer, out),
        _ => (),
    }
    if consumer.deliveries.is_empty() {
        ack_all(done, consumer, out);
    }
}

fn ack_all(done: &Done, consumer: &Consumer, out: &mut BTreeMap<Tag, String>) {
    if let Some((&tag, _)) = out.last_key_value() {
        assert!(consumer.settler.ack(tag, true));
        for id in std::mem::take(out).into_values() {
            done.add(id);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_acked_twice_among_many_threads() {
    let broker = Arc::new(EmbeddedBroker::new(EmbeddedOptions::default()));
    let mut topology = kinds(&["a"]);
    topology.kinds[0].delivery_limit = u32::MAX;
    broker.apply(&topology).await.unwrap();
    let done = Arc::new(Done::default());
    let publishers = (0..PUBLISHERS).map(|publisher| tokio::spawn(publish(Arc::clone(&broker), publisher)));
    let publishers: Vec<_> = publishers.collect();
    let consumers =
        (0..CONSUMERS).map(|number| tokio::spawn(consume(Arc::clone(&broker), Arc::clone(&done), number)));
    let consumers: Vec<_> = consumers.collect();
    for task in publishers.into_iter().chain(consumers) {
        tokio::time::timeout(Duration::from_mins(1), task).await.expect("an end in time").unwrap();
    }
    assert_eq!(done.acked.lock().unwrap().len(), PUBLISHERS * EACH);
    assert_eq!(done.twice.load(Ordering::Relaxed), 0);
    depth_is(&*broker, 0, 0).await;
}

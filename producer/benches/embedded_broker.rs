//! How fast the embedded broker is, and what a waiting message costs. One core: `cargo bench --bench embedded_broker`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss, reason = "a measurement")]

use std::time::Instant;

use ackord_entities::envelope::Message;
use ackord_producer::broker::topology::{JOBS_EXCHANGE, KindQueue, Topology, queue_of};
use ackord_producer::broker::{Broker, Consumer, EmbeddedBroker, EmbeddedOptions};
use bytes::Bytes;

const MESSAGES: usize = 1_000_000;
const WINDOW: usize = 500;
const KIND: &str = "bench";

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for (name, group) in [("ack one by one", 1), ("ack(multiple) of 100", 100)] {
            through(name, group).await;
        }
        waiting().await;
        low_tags().await;
    });
}

async fn broker() -> EmbeddedBroker {
    let broker = EmbeddedBroker::new(EmbeddedOptions { memory_limit: usize::MAX });
    let kinds = vec![KindQueue { kind: KIND.to_owned(), queue: queue_of(KIND), delivery_limit: 100 }];
    broker.apply(&Topology { kinds }).await.unwrap();
    broker
}

/// As the relay makes them: a job id, a kind, a seq, a body of its own of 64 bytes.
fn window(first: usize) -> Vec<Message> {
    let message = |number| Message {
        message_id: Some(format!("01936f3e-7c1a-7000-8000-{number:012x}")),
        kind: Some(KIND.to_owned()),
        schema_version: Some(1),
        seq: Some(1),
        body: Bytes::from(vec![b'x'; 64]),
        ..Message::default()
    };
    (first..first + WINDOW).map(message).collect()
}

/// Publish, deliver and ack everything, a window at a time. The making of the messages is not counted.
async fn through(name: &str, group: usize) {
    let broker = broker().await;
    let mut consumer = broker.consume(&queue_of(KIND), WINDOW).await.unwrap();
    let mut seconds = 0.0;
    for first in (0..MESSAGES).step_by(WINDOW) {
        let window = window(first);
        let start = Instant::now();
        broker.publish(JOBS_EXCHANGE, &window).await.unwrap();
        settle_window(&mut consumer, group).await;
        seconds += start.elapsed().as_secs_f64();
    }
    println!("publish + deliver + {name}: {:.0} messages/s", MESSAGES as f64 / seconds);
}

async fn settle_window(consumer: &mut Consumer, group: usize) {
    for number in 1..=WINDOW {
        let delivery = consumer.deliveries.recv().await.unwrap();
        if number.is_multiple_of(group) {
            assert!(consumer.settler.ack(delivery.tag, group > 1));
        }
    }
}

/// A backlog: how fast it grows, what it takes, how fast it is worked off.
async fn waiting() {
    let broker = broker().await;
    let before = resident_bytes();
    let mut seconds = 0.0;
    for first in (0..MESSAGES).step_by(WINDOW) {
        let window = window(first);
        let start = Instant::now();
        broker.publish(JOBS_EXCHANGE, &window).await.unwrap();
        seconds += start.elapsed().as_secs_f64();
    }
    println!("publish into a backlog: {:.0} messages/s", MESSAGES as f64 / seconds);
    let each = (resident_bytes() - before) as f64 / MESSAGES as f64;
    println!("a waiting message with an id, a kind and a body of 64 bytes: {each:.0} bytes resident");
    let start = Instant::now();
    let mut consumer = broker.consume(&queue_of(KIND), WINDOW).await.unwrap();
    for _ in (0..MESSAGES).step_by(WINDOW) {
        settle_window(&mut consumer, 100).await;
    }
    println!("work a backlog off: {:.0} messages/s", MESSAGES as f64 / start.elapsed().as_secs_f64());
}

/// Acks of the oldest, newest and middle delivery among many that are out.
async fn low_tags() {
    const OUT: usize = 200_000;
    let broker = broker().await;
    for first in (0..OUT).step_by(WINDOW) {
        broker.publish(JOBS_EXCHANGE, &window(first)).await.unwrap();
    }
    let mut consumer = broker.consume(&queue_of(KIND), OUT).await.unwrap();
    let mut tags = Vec::with_capacity(OUT);
    for _ in 0..OUT {
        tags.push(consumer.deliveries.recv().await.unwrap().tag);
    }
    let start = Instant::now();
    for tag in tags {
        assert!(consumer.settler.ack(tag, false));
    }
    let each = start.elapsed().as_nanos() as f64 / OUT as f64;
    println!("ack of the lowest among up to {OUT} unsettled: {each:.0} ns");
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

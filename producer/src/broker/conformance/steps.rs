//! The steps that the tests are made of.

use std::time::Duration;

use ackord_entities::envelope::Message;
use bytes::Bytes;
use tokio::time::{interval, timeout};

use super::Disturbed;
use crate::broker::topology::{JOBS_EXCHANGE, KindQueue, Topology, queue_of};
use crate::broker::{Broker, Confirm, Consumer, Delivery};

/// After how long a test that waits for something fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The delivery limit of the queues of [`kinds`].
pub const LIMIT: u32 = 3;

/// A topology with a queue for each kind, all with [`LIMIT`].
#[must_use]
pub fn kinds(kinds: &[&str]) -> Topology {
    let kinds = kinds.iter().map(|kind| KindQueue {
        kind: (*kind).to_owned(),
        queue: queue_of(kind),
        delivery_limit: LIMIT,
    });
    Topology { kinds: kinds.collect() }
}

/// A message of a kind, with an id.
#[must_use]
pub fn message(kind: &str, id: &str) -> Message {
    Message {
        message_id: Some(id.to_owned()),
        kind: Some(kind.to_owned()),
        body: Bytes::from_static(b"{}"),
        ..Message::default()
    }
}

/// Declares the kind `a`, publishes messages with these ids to it, and consumes it.
pub async fn consume_of(broker: &dyn Broker, ids: &[&str], prefetch: usize) -> Consumer {
    filled(broker, ids).await;
    consume(broker, "a", prefetch).await
}

/// Declares the kind `a` and publishes messages with these ids to it.
pub async fn filled(broker: &dyn Broker, ids: &[&str]) {
    broker.apply(&kinds(&["a"])).await.unwrap();
    publish(broker, "a", ids).await;
}

/// Publishes messages of a kind with these ids, all of which must be confirmed.
pub async fn publish(broker: &dyn Broker, kind: &str, ids: &[&str]) {
    let window: Vec<_> = ids.iter().map(|id| message(kind, id)).collect();
    let confirms = broker.publish(JOBS_EXCHANGE, &window).await.unwrap();
    assert_eq!(confirms, vec![Confirm::Confirmed; ids.len()]);
}

/// Starts a consumer of a kind's queue.
pub async fn consume(broker: &dyn Broker, kind: &str, prefetch: usize) -> Consumer {
    broker.consume(&queue_of(kind), prefetch).await.unwrap()
}

/// The next delivery.
pub async fn next(consumer: &mut Consumer) -> Delivery {
    let delivery = timeout(PATIENCE, consumer.deliveries.recv()).await;
    delivery.expect("a delivery in time").expect("a consumer that goes on")
}

/// The next so many deliveries.
pub async fn take(consumer: &mut Consumer, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::with_capacity(count);
    for _ in 0..count {
        deliveries.push(next(consumer).await);
    }
    deliveries
}

/// The message ids of deliveries, in their order.
#[must_use]
pub fn ids(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.message.message_id.as_deref().unwrap_or_default()).collect()
}

/// Waits until the consumer's deliveries end, and gives those that came before.
pub async fn rest(consumer: &mut Consumer) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    let end = async {
        while let Some(delivery) = consumer.deliveries.recv().await {
            deliveries.push(delivery);
        }
    };
    timeout(PATIENCE, end).await.expect("an end of the deliveries in time");
    deliveries
}

/// Waits until the queue of the kind `a` has this depth.
pub async fn depth_is(broker: &dyn Disturbed, ready: usize, unsettled: usize) {
    depth_of_queue_is(broker, &queue_of("a"), ready, unsettled).await;
}

/// Waits until a queue has this depth. A broker that counts in the background gets there in a while.
pub async fn depth_of_queue_is(broker: &dyn Disturbed, queue: &str, ready: usize, unsettled: usize) {
    let wanted = (ready, unsettled);
    let mut found = None;
    let mut again = interval(Duration::from_millis(20));
    let reached = async {
        while found != Some(wanted) {
            again.tick().await;
            found = Some((broker.depth(queue).await.unwrap().ready, broker.unsettled(queue).await));
        }
    };
    let in_time = timeout(PATIENCE, reached).await.is_ok();
    assert!(in_time, "`{queue}` has {found:?} ready and unsettled instead of {wanted:?}");
}

/// Waits until a consumer that was dropped is gone: until then it may be given what is published.
pub async fn nobody_consumes(broker: &dyn Disturbed, kind: &str) {
    let mut again = interval(Duration::from_millis(20));
    let reached = async {
        while broker.depth(&queue_of(kind)).await.unwrap().consumers > 0 {
            again.tick().await;
        }
    };
    assert!(timeout(PATIENCE, reached).await.is_ok(), "`{kind}` still has consumers");
}

/// Asserts that nothing more was handed over, once the queue shows this depth: what is out is what the test holds.
pub async fn no_more_than(broker: &dyn Disturbed, consumer: &mut Consumer, ready: usize, unsettled: usize) {
    depth_is(broker, ready, unsettled).await;
    assert!(consumer.deliveries.try_recv().is_err(), "a delivery that should not have come");
}

//! What a broker says about itself.

use ackord_entities::ids::Incarnation;
use bytes::Bytes;
use tokio::time::{interval, timeout};

use super::Disturbed;
use super::steps::{PATIENCE, consume, consume_of, depth_is, filled, kinds, next};
use crate::broker::topology::queue_of;
use crate::broker::{Depth, Notice};

async fn depth_becomes(broker: &dyn Disturbed, wanted: Depth) {
    let mut found = None;
    let mut again = interval(std::time::Duration::from_millis(20));
    let reached = async {
        while found != Some(wanted) {
            again.tick().await;
            found = Some(broker.depth(&queue_of("a")).await.unwrap());
        }
    };
    let in_time = timeout(PATIENCE, reached).await.is_ok();
    assert!(in_time, "{found:?} instead of {wanted:?}");
}

/// The depth counts those who take messages, and no longer those who went, stopped or paused.
pub async fn depth_counts_the_consumers(broker: &dyn Disturbed) {
    filled(broker, &["1"]).await;
    depth_becomes(broker, Depth { ready: 1, consumers: 0 }).await;
    let third = consume(broker, "a", 0).await;
    let mut first = consume(broker, "a", 1).await;
    let tag = next(&mut first).await.tag;
    assert!(first.settler.ack(tag, false));
    let second = consume(broker, "a", 1).await;
    depth_becomes(broker, Depth { ready: 0, consumers: 2 }).await;
    third.settler.set_prefetch(1);
    depth_becomes(broker, Depth { ready: 0, consumers: 3 }).await;
    third.settler.set_prefetch(0);
    depth_becomes(broker, Depth { ready: 0, consumers: 2 }).await;
    second.settler.stop();
    depth_becomes(broker, Depth { ready: 0, consumers: 1 }).await;
    drop((first, second, third));
    depth_becomes(broker, Depth { ready: 0, consumers: 0 }).await;
}

/// An incarnation that it was given is remembered, and no other.
pub async fn an_incarnation_is_remembered_once_it_was_given(broker: &dyn Disturbed) {
    let (first, second) = (Incarnation::new(), Incarnation::new());
    assert!(!broker.remembers(first).await.unwrap());
    broker.imprint(first).await.unwrap();
    assert!(broker.remembers(first).await.unwrap());
    assert!(!broker.remembers(second).await.unwrap());
    broker.imprint(second).await.unwrap();
    assert!(broker.remembers(first).await.unwrap() && broker.remembers(second).await.unwrap());
}

/// A notice needs no listener, and disturbs no queue.
pub async fn notices_that_nobody_listens_for_are_gone(broker: &dyn Disturbed) {
    drop(consume_of(broker, &["1"], 0).await);
    let notice = Notice { routing_key: "job.a.succeeded".to_owned(), body: Bytes::from_static(b"{}") };
    broker.announce(&[notice.clone(), notice]).await.unwrap();
    broker.announce(&[]).await.unwrap();
    depth_is(broker, 1, 0).await;
}

/// A broker has a name for people.
pub async fn the_description_names_the_broker(broker: &dyn Disturbed) {
    broker.apply(&kinds(&["a"])).await.unwrap();
    assert!(!broker.description().url.is_empty());
}

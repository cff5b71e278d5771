//! Declaring the topology.

use super::Disturbed;
use super::steps::{LIMIT, consume, depth_is, filled, ids, kinds, message, next, publish};
use crate::broker::BrokerError;
use crate::broker::topology::{JOBS_EXCHANGE, queue_of};

/// Declaring what is there leaves the messages in it alone.
pub async fn applying_again_changes_nothing(broker: &dyn Disturbed) {
    filled(broker, &["1", "2"]).await;
    broker.apply(&kinds(&["a"])).await.unwrap();
    depth_is(broker, 2, 0).await;
    publish(broker, "a", &["3"]).await;
    depth_is(broker, 3, 0).await;
}

/// Arguments of a queue cannot change: the difference is named, and the queue stays.
pub async fn another_delivery_limit_is_a_mismatch(broker: &dyn Disturbed) {
    filled(broker, &["1"]).await;
    let mut changed = kinds(&["a"]);
    changed.kinds[0].delivery_limit = LIMIT + 1;
    let error = broker.apply(&changed).await.unwrap_err();
    let BrokerError::Mismatch { queue, found, wanted, .. } = error else { panic!("{error}") };
    assert_eq!((queue, found, wanted), (queue_of("a"), LIMIT.to_string(), (LIMIT + 1).to_string()));
    depth_is(broker, 1, 0).await;
}

/// A program with one kind more adds its queue to what is there.
pub async fn a_later_topology_adds_its_queues(broker: &dyn Disturbed) {
    filled(broker, &["1"]).await;
    broker.apply(&kinds(&["a", "b"])).await.unwrap();
    publish(broker, "b", &["2"]).await;
    depth_is(broker, 1, 0).await;
    let mut consumer = consume(broker, "b", 1).await;
    assert_eq!(ids(&[next(&mut consumer).await]), ["2"]);
}

/// Without a topology there is no queue and no exchange, and the error says which.
pub async fn what_is_not_declared_is_named_in_the_error(broker: &dyn Disturbed) {
    let no_queue = BrokerError::NoSuchQueue { queue: queue_of("a") };
    assert_eq!(broker.consume(&queue_of("a"), 1).await.unwrap_err(), no_queue);
    assert_eq!(broker.depth(&queue_of("a")).await.unwrap_err(), no_queue);
    let refused = broker.publish(JOBS_EXCHANGE, &[message("a", "1")]).await;
    assert_eq!(refused.unwrap_err(), BrokerError::NoSuchExchange { exchange: JOBS_EXCHANGE.to_owned() });
}

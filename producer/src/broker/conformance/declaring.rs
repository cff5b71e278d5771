//! Declaring the topology.

use super::Disturbed;
use super::steps::{LIMIT, consume, depth_is, filled, ids, kinds, message, next, publish};
use crate::broker::BrokerError;
use crate::broker::topology::{DEAD_LETTERS, JOBS_EXCHANGE, Topology, UNROUTABLE, queue_of};

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

/// What was not there is named, once.
pub async fn applying_tells_what_it_created(broker: &dyn Disturbed) {
    let mut created = broker.apply(&kinds(&["a"])).await.unwrap().created;
    created.sort_unstable();
    assert_eq!(created, [queue_of("a"), DEAD_LETTERS.to_owned(), UNROUTABLE.to_owned()]);
    assert!(broker.apply(&kinds(&["a"])).await.unwrap().created.is_empty());
    assert_eq!(broker.apply(&kinds(&["a", "b"])).await.unwrap().created, [queue_of("b")]);
}

/// What somebody counts on is not made anew under him: its messages would be missed by nobody.
pub async fn a_queue_that_was_there_is_not_made_anew(broker: &dyn Disturbed) {
    filled(broker, &["1"]).await;
    let there = |kind: &str| [queue_of(kind)].into();
    let gone = broker.apply_but_for(&kinds(&["a", "b", "c"]), &there("b")).await.unwrap_err();
    assert_eq!(gone, BrokerError::NoSuchQueue { queue: queue_of("b") });
    assert_eq!(broker.depth(&queue_of("b")).await.unwrap_err(), gone);
    let created = broker.apply_but_for(&kinds(&["a", "b"]), &there("a")).await.unwrap().created;
    assert_eq!(created, [queue_of("b")]);
    depth_is(broker, 1, 0).await;
}

/// Comparing tells what is missing and what differs, and changes neither.
pub async fn comparing_names_every_difference_and_declares_nothing(broker: &dyn Disturbed) {
    let names = async |topology: &Topology| -> Vec<String> {
        let differences = broker.verify(topology).await.unwrap();
        assert!(
            differences
                .iter()
                .all(|difference| !difference.problem.is_empty() && !difference.remedy.is_empty())
        );
        differences.into_iter().map(|difference| difference.what).collect()
    };
    let missing = names(&kinds(&["a"])).await;
    assert!(missing.contains(&queue_of("a")) && missing.contains(&JOBS_EXCHANGE.to_owned()), "{missing:?}");
    assert!(matches!(broker.depth(&queue_of("a")).await, Err(BrokerError::NoSuchQueue { .. })));
    filled(broker, &["1"]).await;
    assert_eq!(names(&kinds(&["a"])).await, [""; 0]);
    let mut wanted = kinds(&["a", "b"]);
    wanted.kinds[0].delivery_limit = LIMIT + 1;
    let different = names(&wanted).await;
    assert!(different.contains(&queue_of("a")) && different.contains(&queue_of("b")), "{different:?}");
    depth_is(broker, 1, 0).await;
}

/// Without a topology there is no queue and no exchange, and the error says which.
pub async fn what_is_not_declared_is_named_in_the_error(broker: &dyn Disturbed) {
    let no_queue = BrokerError::NoSuchQueue { queue: queue_of("a") };
    assert_eq!(broker.consume(&queue_of("a"), 1).await.unwrap_err(), no_queue);
    assert_eq!(broker.depth(&queue_of("a")).await.unwrap_err(), no_queue);
    let refused = broker.publish(JOBS_EXCHANGE, &[message("a", "1")]).await;
    assert_eq!(refused.unwrap_err(), BrokerError::NoSuchExchange { exchange: JOBS_EXCHANGE.to_owned() });
}

//! Messages that come back.

use super::Disturbed;
use super::steps::{consume, consume_of, depth_is, ids, next, rest, take};
use crate::broker::Delivery;

fn counts(deliveries: &[Delivery]) -> Vec<u32> {
    deliveries.iter().map(|delivery| delivery.deliveries_before).collect()
}

/// A requeued message is delivered before all that was behind it, and says how often it was handed over.
pub async fn requeue_puts_back_in_place_and_counts(broker: &dyn Disturbed) {
    let mut consumer = consume_of(broker, &["1", "2", "3"], 1).await;
    let tag = next(&mut consumer).await.tag;
    assert!(consumer.settler.requeue(tag));
    let again = next(&mut consumer).await;
    assert_eq!((ids(std::slice::from_ref(&again)), again.deliveries_before), (vec!["1"], 1));
    assert!(consumer.settler.requeue(again.tag));
    let mut out = take(&mut consumer, 1).await;
    consumer.settler.set_prefetch(3);
    out.extend(take(&mut consumer, 2).await);
    assert_eq!((ids(&out), counts(&out)), (vec!["1", "2", "3"], vec![2, 0, 0]));
}

/// What is handed back unharmed comes again as if it had not been out, where the broker tells the two apart.
pub async fn hand_back_puts_back_in_place_and_does_not_count(broker: &dyn Disturbed) {
    let count = u32::from(broker.hand_backs_count());
    let mut consumer = consume_of(broker, &["1", "2", "3"], 2).await;
    let out = take(&mut consumer, 2).await;
    consumer.settler.set_prefetch(0);
    assert!(consumer.settler.hand_back(out[0].tag));
    assert!(consumer.settler.hand_back(out[1].tag));
    depth_is(broker, 3, 0).await;
    consumer.settler.set_prefetch(3);
    let out = take(&mut consumer, 3).await;
    assert_eq!((ids(&out), counts(&out)), (vec!["1", "2", "3"], vec![count, count, 0]));
}

/// What comes back, in whatever order, is delivered before what never was out.
pub async fn what_comes_back_out_of_order_is_delivered_first(broker: &dyn Disturbed) {
    let mut consumer = consume_of(broker, &["1", "2", "3", "4", "5", "6"], 4).await;
    let out = take(&mut consumer, 4).await;
    consumer.settler.set_prefetch(0);
    assert!(consumer.settler.requeue(out[3].tag));
    assert!(consumer.settler.ack(out[1].tag, false));
    assert!(consumer.settler.hand_back(out[0].tag));
    assert!(consumer.settler.requeue(out[2].tag));
    depth_is(broker, 5, 0).await;
    consumer.settler.set_prefetch(9);
    let out = take(&mut consumer, 5).await;
    let mut back: Vec<_> = ids(&out).into_iter().zip(counts(&out)).collect();
    let never_out = back.split_off(3);
    back.sort_unstable();
    assert_eq!(back, [("1", u32::from(broker.hand_backs_count())), ("3", 1), ("4", 1)]);
    assert_eq!(never_out, [("5", 0), ("6", 0)]);
}

/// A dropped consumer is a closed channel: what it had, read or not, comes again in place, and counts.
pub async fn a_dropped_consumer_gives_its_deliveries_back(broker: &dyn Disturbed) {
    let mut consumer = consume_of(broker, &["1", "2", "3", "4"], 3).await;
    let first = next(&mut consumer).await;
    assert!(consumer.settler.ack(first.tag, false));
    depth_is(broker, 0, 3).await;
    drop(consumer);
    depth_is(broker, 3, 0).await;
    let out = take(&mut consume(broker, "a", 9).await, 3).await;
    assert_eq!((ids(&out), counts(&out)), (vec!["2", "3", "4"], vec![1, 1, 1]));
}

/// A receiver that is dropped ends the consumer, even while others hold its settler.
pub async fn a_dropped_receiver_gives_its_deliveries_back(broker: &dyn Disturbed) {
    let mut consumer = consume_of(broker, &["1", "2", "3"], 2).await;
    let settler = consumer.settler.clone();
    let first = next(&mut consumer).await;
    drop(consumer);
    depth_is(broker, 3, 0).await;
    assert!(!settler.ack(first.tag, false));
    let out = take(&mut consume(broker, "a", 9).await, 3).await;
    assert_eq!((ids(&out), counts(&out)), (vec!["1", "2", "3"], vec![1, 1, 0]));
}

/// A stopped consumer may drop its receiver and settle on; what is left when the last settler goes comes again.
pub async fn a_stopped_consumer_gives_back_when_its_settlers_are_gone(broker: &dyn Disturbed) {
    let mut consumer = consume_of(broker, &["1", "2"], 2).await;
    let out = take(&mut consumer, 2).await;
    let settler = consumer.settler.clone();
    settler.stop();
    assert_eq!(ids(&rest(&mut consumer).await), [""; 0]);
    drop(consumer);
    assert!(settler.ack(out[0].tag, false));
    depth_is(broker, 0, 1).await;
    drop(settler);
    let out = take(&mut consume(broker, "a", 9).await, 1).await;
    assert_eq!((ids(&out), counts(&out)), (vec!["2"], vec![1]));
}

/// A channel that the broker closes ends the deliveries; its tags settle nothing, since the messages are under way again.
pub async fn a_closed_consumer_gives_its_deliveries_back_and_its_tags_are_stale(broker: &dyn Disturbed) {
    let mut consumer = consume_of(broker, &["1", "2"], 1).await;
    let first = next(&mut consumer).await;
    broker.close_consumer(first.tag.consumer).await;
    rest(&mut consumer).await;
    depth_is(broker, 2, 0).await;
    assert!(!consumer.settler.ack(first.tag, false));
    assert!(!consumer.settler.requeue(first.tag));
    let out = take(&mut consume(broker, "a", 9).await, 2).await;
    assert_eq!((ids(&out), counts(&out)), (vec!["1", "2"], vec![1, 0]));
}

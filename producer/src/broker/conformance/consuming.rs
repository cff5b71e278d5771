//! Consuming: prefetch, turns, stopping.

use super::Disturbed;
use super::steps::{consume, consume_of, depth_is, filled, ids, next, no_more_than, publish, rest, take};

/// No more than the prefetch is out unsettled.
pub async fn prefetch_bounds_what_is_out(broker: &dyn Disturbed) {
    let mut consumer = consume_of(broker, &["1", "2", "3", "4", "5"], 2).await;
    let out = take(&mut consumer, 2).await;
    no_more_than(broker, &mut consumer, 3, 2).await;
    assert!(consumer.settler.ack(out[0].tag, false));
    assert_eq!(ids(&[next(&mut consumer).await]), ["3"]);
    no_more_than(broker, &mut consumer, 2, 2).await;
}

/// A raised prefetch lets more out at once; a lowered one holds when what was out before is settled.
pub async fn prefetch_can_grow_and_shrink(broker: &dyn Disturbed) {
    let all = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let mut consumer = consume_of(broker, &all, 1).await;
    let first = next(&mut consumer).await;
    consumer.settler.set_prefetch(4);
    assert!(consumer.settler.ack(first.tag, false));
    let out = take(&mut consumer, 4).await;
    assert_eq!(ids(&out), ["2", "3", "4", "5"]);
    no_more_than(broker, &mut consumer, 4, 4).await;
    consumer.settler.set_prefetch(2);
    assert!(consumer.settler.ack(out[3].tag, true));
    let out = take(&mut consumer, 2).await;
    assert_eq!(ids(&out), ["6", "7"]);
    no_more_than(broker, &mut consumer, 2, 2).await;
    assert!(consumer.settler.ack(out[0].tag, false));
    assert_eq!(ids(&[next(&mut consumer).await]), ["8"]);
    no_more_than(broker, &mut consumer, 1, 2).await;
}

/// A consumer with a prefetch of zero gets nothing until it is raised.
pub async fn prefetch_of_zero_pauses(broker: &dyn Disturbed) {
    let mut consumer = consume_of(broker, &["1", "2", "3"], 0).await;
    no_more_than(broker, &mut consumer, 3, 0).await;
    consumer.settler.set_prefetch(2);
    let out = take(&mut consumer, 2).await;
    consumer.settler.set_prefetch(0);
    assert!(consumer.settler.ack(out[1].tag, true));
    no_more_than(broker, &mut consumer, 1, 0).await;
    consumer.settler.set_prefetch(1);
    assert_eq!(ids(&[next(&mut consumer).await]), ["3"]);
}

/// Consumers of one queue share it evenly while each of them has room.
pub async fn consumers_take_turns(broker: &dyn Disturbed) {
    let mut first = consume_of(broker, &[], 10).await;
    let mut second = consume(broker, "a", 10).await;
    let mut third = consume(broker, "a", 1).await;
    publish(broker, "a", &["1", "2", "3", "4", "5", "6", "7"]).await;
    depth_is(broker, 0, 7).await;
    assert_eq!(take(&mut third, 1).await.len(), 1);
    let (mut of_first, mut of_second) = (take(&mut first, 3).await, take(&mut second, 3).await);
    of_first.append(&mut of_second);
    let mut shared = ids(&of_first);
    shared.sort_unstable();
    shared.dedup();
    assert_eq!(shared.len(), 6, "two consumers got one message");
}

/// `stop` ends the deliveries. What was handed over before is still the consumer's, and others get the rest.
pub async fn a_stopped_consumer_ends_and_still_settles(broker: &dyn Disturbed) {
    let mut consumer = consume_of(broker, &["1", "2", "3"], 2).await;
    let first = next(&mut consumer).await;
    depth_is(broker, 1, 2).await;
    consumer.settler.stop();
    let others = rest(&mut consumer).await;
    assert_eq!(ids(&others), ["2"]);
    assert!(consumer.settler.ack(first.tag, false));
    consumer.settler.set_prefetch(10);
    depth_is(broker, 1, 1).await;
    assert!(consumer.settler.requeue(others[0].tag));
    let mut next_consumer = consume(broker, "a", 9).await;
    assert_eq!(ids(&take(&mut next_consumer, 2).await), ["2", "3"]);
}

/// Messages wait for a consumer, also after one was there and went.
pub async fn a_queue_without_consumers_keeps_its_messages(broker: &dyn Disturbed) {
    filled(broker, &["1"]).await;
    let mut consumer = consume(broker, "a", 1).await;
    let tag = next(&mut consumer).await.tag;
    assert!(consumer.settler.ack(tag, false));
    drop(consumer);
    publish(broker, "a", &["2", "3"]).await;
    depth_is(broker, 2, 0).await;
}

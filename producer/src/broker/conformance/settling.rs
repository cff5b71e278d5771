//! Acknowledging, and whose tag is whose.

use super::Disturbed;
use super::steps::{consume, consume_of, depth_is, ids, next, no_more_than, publish, take};
use crate::broker::Tag;

/// An acked message is in no queue.
pub async fn an_acked_message_is_gone(broker: &dyn Disturbed) {
    let mut consumer = consume_of(broker, &["1"], 1).await;
    let tag = next(&mut consumer).await.tag;
    assert!(consumer.settler.ack(tag, false));
    depth_is(broker, 0, 0).await;
    drop(consumer);
    depth_is(broker, 0, 0).await;
}

/// A single ack in the middle leaves what is before and after it.
pub async fn ack_of_one_leaves_the_others(broker: &dyn Disturbed) {
    let mut consumer = consume_of(broker, &["1", "2", "3"], 9).await;
    let out = take(&mut consumer, 3).await;
    assert!(consumer.settler.ack(out[1].tag, false));
    depth_is(broker, 0, 2).await;
    drop(consumer);
    assert_eq!(ids(&take(&mut consume(broker, "a", 9).await, 2).await), ["1", "3"]);
}

/// `multiple` means this and everything unsettled before it, holes included.
pub async fn ack_of_many_takes_all_before_it_and_none_after(broker: &dyn Disturbed) {
    let mut consumer = consume_of(broker, &["1", "2", "3", "4", "5"], 9).await;
    let out = take(&mut consumer, 5).await;
    assert!(consumer.settler.ack(out[1].tag, false));
    assert!(consumer.settler.ack(out[3].tag, true));
    depth_is(broker, 0, 1).await;
    for settled in &out[..4] {
        assert!(!consumer.settler.ack(settled.tag, false));
    }
    assert!(consumer.settler.ack(out[4].tag, false));
}

/// `multiple` stays with the consumer that says it.
pub async fn ack_of_many_spares_other_consumers(broker: &dyn Disturbed) {
    let mut first = consume_of(broker, &["1", "2"], 2).await;
    let of_first = take(&mut first, 2).await;
    let mut second = consume(broker, "a", 2).await;
    publish(broker, "a", &["3", "4"]).await;
    let of_second = take(&mut second, 2).await;
    assert!(second.settler.ack(of_second[1].tag, true));
    depth_is(broker, 0, 2).await;
    assert!(first.settler.ack(of_first[0].tag, false));
    assert!(first.settler.ack(of_first[1].tag, false));
}

/// A delivery is settled once, whichever way.
pub async fn a_settled_tag_is_stale(broker: &dyn Disturbed) {
    let mut consumer = consume_of(broker, &["1", "2", "3"], 1).await;
    let settler = consumer.settler.clone();
    let acked = next(&mut consumer).await.tag;
    assert!(settler.ack(acked, false));
    let rejected = next(&mut consumer).await.tag;
    assert!(settler.reject(rejected));
    let returned = next(&mut consumer).await.tag;
    assert!(settler.requeue(returned));
    let never = Tag { number: returned.number + 1000, ..returned };
    let again = next(&mut consumer).await.tag;
    for stale in [acked, rejected, returned, never] {
        let settled = [
            settler.ack(stale, false),
            settler.ack(stale, true),
            settler.reject(stale),
            settler.requeue(stale),
        ];
        assert_eq!(settled, [false; 4], "{stale:?}");
        assert!(!settler.hand_back(stale));
    }
    depth_is(broker, 0, 1).await;
    assert!(settler.ack(again, false));
}

/// The number alone does not make a tag: each consumer has its own.
pub async fn a_tag_of_another_consumer_is_stale(broker: &dyn Disturbed) {
    let mut first = consume_of(broker, &["1", "2"], 1).await;
    let mut second = consume(broker, "a", 1).await;
    let (of_first, of_second) = (next(&mut first).await.tag, next(&mut second).await.tag);
    assert_ne!(of_first.consumer, of_second.consumer);
    assert!(!first.settler.ack(of_second, true));
    assert!(!second.settler.reject(of_first));
    assert!(!second.settler.requeue(of_first));
    assert!(!second.settler.hand_back(of_first));
    depth_is(broker, 0, 2).await;
    assert!(first.settler.ack(of_first, false));
    assert!(second.settler.ack(of_second, false));
}

/// Each way of settling makes room for the next delivery.
pub async fn settling_makes_room(broker: &dyn Disturbed) {
    let mut consumer = consume_of(broker, &["1", "2", "3", "4", "5"], 2).await;
    let out = take(&mut consumer, 2).await;
    no_more_than(broker, &mut consumer, 3, 2).await;
    assert!(consumer.settler.reject(out[0].tag));
    assert_eq!(ids(&[next(&mut consumer).await]), ["3"]);
    assert!(consumer.settler.requeue(out[1].tag));
    assert_eq!(ids(&[next(&mut consumer).await]), ["2"]);
}

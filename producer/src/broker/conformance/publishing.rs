//! Publishing.

use ackord_entities::envelope::{Message, SEQ_HEADER};
use bytes::Bytes;

use super::Disturbed;
use super::steps::{
    consume, consume_of, depth_is, depth_of_queue_is, filled, ids, kinds, message, next, take,
};
use crate::broker::topology::{DEAD_LETTERS, JOBS_EXCHANGE, PUBLISH_EXCHANGE, UNROUTABLE, queue_of};
use crate::broker::{Confirm, Delivery};

/// Every property, every header and the body arrive.
pub async fn a_message_arrives_as_it_was_sent(broker: &dyn Disturbed) {
    broker.apply(&kinds(&["a"])).await.unwrap();
    let sent = Message {
        message_id: Some("order-4711".to_owned()),
        kind: Some("a".to_owned()),
        schema_version: Some(3),
        seq: Some(7),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        other_headers: [("x-shop".to_owned(), "Zürich".to_owned())].into(),
        body: Bytes::from_static(b"{\"n\":1}"),
    };
    let confirms = broker.publish(JOBS_EXCHANGE, std::slice::from_ref(&sent)).await.unwrap();
    assert_eq!(confirms, [Confirm::Confirmed]);
    let delivery = next(&mut consume(broker, "a", 1).await).await;
    assert_eq!(delivery.message, sent);
    assert_eq!((delivery.deliveries_before, &*delivery.queue), (0, queue_of("a").as_str()));
}

/// Messages of one kind are delivered in the order of their window, and windows in the order of publishing.
pub async fn a_window_keeps_its_order(broker: &dyn Disturbed) {
    let numbers: Vec<_> = (0..500).map(|number| number.to_string()).collect();
    let numbers: Vec<_> = numbers.iter().map(String::as_str).collect();
    filled(broker, &numbers[..300]).await;
    super::steps::publish(broker, "a", &numbers[300..]).await;
    let mut consumer = consume(broker, "a", 500).await;
    assert_eq!(ids(&take(&mut consumer, 500).await), numbers);
}

/// One window may hold several kinds.
pub async fn each_message_goes_to_the_queue_of_its_kind(broker: &dyn Disturbed) {
    broker.apply(&kinds(&["a", "b"])).await.unwrap();
    let window = [message("a", "1"), message("b", "2"), message("a", "3")];
    assert_eq!(broker.publish(JOBS_EXCHANGE, &window).await.unwrap(), vec![Confirm::Confirmed; 3]);
    assert_eq!(ids(&take(&mut consume(broker, "a", 9).await, 2).await), ["1", "3"]);
    assert_eq!(ids(&take(&mut consume(broker, "b", 9).await, 1).await), ["2"]);
}

/// The relay hears of a kind without a queue, and of a message without a kind; the rest of the window is confirmed.
pub async fn what_no_queue_wants_is_refused_at_the_relays_exchange(broker: &dyn Disturbed) {
    broker.apply(&kinds(&["a"])).await.unwrap();
    let window = [
        message("a", "1"),
        message("gone", "2"),
        Message { kind: None, ..message("a", "3") },
        message("a", "4"),
    ];
    let confirms = broker.publish(JOBS_EXCHANGE, &window).await.unwrap();
    let [Confirm::Confirmed, Confirm::Refused(unbound), Confirm::Refused(_), Confirm::Confirmed] =
        &confirms[..]
    else {
        panic!("{confirms:?}")
    };
    assert!(unbound.contains("gone"), "{unbound}");
    depth_is(broker, 2, 0).await;
    depth_of_queue_is(broker, UNROUTABLE, 0, 0).await;
}

/// Other publishers are not made to retry what nobody wants: it is confirmed, and kept where an operator finds it.
pub async fn what_no_queue_wants_is_kept_at_the_publishers_exchange(broker: &dyn Disturbed) {
    broker.apply(&kinds(&["a"])).await.unwrap();
    let window = [message("gone", "1"), message("a", "2"), Message { kind: None, ..message("a", "3") }];
    assert_eq!(broker.publish(PUBLISH_EXCHANGE, &window).await.unwrap(), vec![Confirm::Confirmed; 3]);
    depth_is(broker, 1, 0).await;
    let mut unroutable = broker.consume(UNROUTABLE, 9).await.unwrap();
    let kept = take(&mut unroutable, 2).await;
    assert_eq!([&kept[0].message, &kept[1].message], [&window[0], &window[2]]);
}

/// Whoever may publish to the other exchange could write any fence on his message: it is none, alive and dead, and kept for
/// people to see.
pub async fn a_fence_counts_on_the_relays_messages_only(broker: &dyn Disturbed) {
    broker.apply(&kinds(&["a"])).await.unwrap();
    let sent = Message { seq: Some(7), ..message("a", "1") };
    for (exchange, seq, said) in [(JOBS_EXCHANGE, Some(7), None), (PUBLISH_EXCHANGE, None, Some("7"))] {
        let confirms = broker.publish(exchange, std::slice::from_ref(&sent)).await.unwrap();
        assert_eq!(confirms, [Confirm::Confirmed]);
        let mut alive = consume(broker, "a", 1).await;
        let delivery = next(&mut alive).await;
        assert!(alive.settler.reject(delivery.tag));
        let mut dead = broker.consume(DEAD_LETTERS, 1).await.unwrap();
        let letter = next(&mut dead).await;
        for Delivery { message, .. } in [&delivery, &letter] {
            let header = message.other_headers.get(SEQ_HEADER).map(String::as_str);
            assert_eq!((message.seq, header), (seq, said), "{exchange}");
        }
        assert!(dead.settler.ack(letter.tag, false));
    }
}

/// Nothing to publish is nothing to wait for.
pub async fn an_empty_window_is_confirmed(broker: &dyn Disturbed) {
    drop(consume_of(broker, &[], 1).await);
    assert_eq!(broker.publish(JOBS_EXCHANGE, &[]).await.unwrap(), []);
}

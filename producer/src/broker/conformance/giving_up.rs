//! Dead letters of the broker's own making.

use ackord_entities::envelope::{DEATH_QUEUE_HEADER, DEATH_REASON_HEADER, Message};

use super::Disturbed;
use super::steps::{
    LIMIT, consume, consume_of, depth_is, depth_of_queue_is, ids, kinds, message, next, nobody_consumes,
    publish,
};
use crate::broker::Confirm;
use crate::broker::topology::{DEAD_LETTERS, JOBS_EXCHANGE, queue_of};

/// The next dead letter must be this message with this reason, from the queue of the kind `a`.
async fn next_dead_letter_is(broker: &dyn Disturbed, mut message: Message, reason: &str) {
    let mut dead_letters = broker.consume(DEAD_LETTERS, 1).await.unwrap();
    let dead = next(&mut dead_letters).await;
    // Or the ack would draw the next one, which then counts as handed over when this consumer goes.
    dead_letters.settler.stop();
    message.other_headers.insert(DEATH_REASON_HEADER.to_owned(), reason.to_owned());
    message.other_headers.insert(DEATH_QUEUE_HEADER.to_owned(), queue_of("a"));
    // How often a dead letter was handed over is told differently by RabbitMQ's versions, and nobody asks.
    assert_eq!(dead.message, message);
    assert!(dead_letters.settler.ack(dead.tag, false));
}

/// What a consumer rejects is moved to the dead letters whole, with the reason and the queue.
pub async fn a_rejected_message_is_dead_lettered_with_its_reason(broker: &dyn Disturbed) {
    broker.apply(&kinds(&["a"])).await.unwrap();
    let mut sent = message("a", "1");
    sent.seq = Some(4);
    sent.other_headers.insert("x-shop".to_owned(), "7".to_owned());
    let confirms = broker.publish(JOBS_EXCHANGE, &[sent.clone(), message("a", "2")]).await.unwrap();
    assert_eq!(confirms, vec![Confirm::Confirmed; 2]);
    let mut consumer = consume(broker, "a", 1).await;
    let tag = next(&mut consumer).await.tag;
    assert!(consumer.settler.reject(tag));
    next_dead_letter_is(broker, sent, "rejected").await;
    assert_eq!(ids(&[next(&mut consumer).await]), ["2"]);
    depth_is(broker, 0, 1).await;
}

/// A limit of n gives a message n + 1 deliveries.
pub async fn a_limit_of_n_allows_n_plus_one_deliveries(broker: &dyn Disturbed) {
    let mut consumer = consume_of(broker, &["1"], 1).await;
    for before in 0..=LIMIT {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.deliveries_before, before);
        assert!(consumer.settler.requeue(delivery.tag));
    }
    next_dead_letter_is(broker, message("a", "1"), "delivery_limit").await;
    depth_is(broker, 0, 0).await;
}

/// A consumer that is lost over and over with a message takes its deliveries as well, and its neighbours' too.
pub async fn lost_consumers_count_towards_the_limit(broker: &dyn Disturbed) {
    drop(consume_of(broker, &[], 1).await);
    nobody_consumes(broker, "a").await;
    publish(broker, "a", &["1", "2"]).await;
    for before in 0..=LIMIT {
        let mut consumer = consume(broker, "a", 2).await;
        let delivery = next(&mut consumer).await;
        assert_eq!((ids(std::slice::from_ref(&delivery)), delivery.deliveries_before), (vec!["1"], before));
        depth_is(broker, 0, 2).await;
    }
    depth_of_queue_is(broker, DEAD_LETTERS, 2, 0).await;
    next_dead_letter_is(broker, message("a", "1"), "delivery_limit").await;
    next_dead_letter_is(broker, message("a", "2"), "delivery_limit").await;
}

/// A drain harms nobody, however often it happens; where the broker counts it all the same, as often as the limit allows.
pub async fn hand_backs_do_not_count_towards_the_limit(broker: &dyn Disturbed) {
    let mut consumer = consume_of(broker, &["1"], 1).await;
    let (times, counts) = if broker.hand_backs_count() { (LIMIT, 1) } else { (LIMIT + 3, 0) };
    for time in 0..times {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.deliveries_before, time * counts);
        assert!(consumer.settler.hand_back(delivery.tag));
    }
    let tag = next(&mut consumer).await.tag;
    assert!(consumer.settler.ack(tag, false));
    depth_of_queue_is(broker, DEAD_LETTERS, 0, 0).await;
}

/// There is no place behind the dead letters: they have no delivery limit.
pub async fn dead_letters_come_back_for_ever(broker: &dyn Disturbed) {
    let mut consumer = consume_of(broker, &["1"], 1).await;
    let tag = next(&mut consumer).await.tag;
    assert!(consumer.settler.reject(tag));
    let mut dead_letters = broker.consume(DEAD_LETTERS, 1).await.unwrap();
    for before in 0..200 {
        let dead = next(&mut dead_letters).await;
        // RabbitMQ 4 counts on from the queue where it died, or says so once.
        assert!(dead.deliveries_before >= before, "{} instead of {before}", dead.deliveries_before);
        assert!(dead_letters.settler.requeue(dead.tag));
    }
    depth_of_queue_is(broker, DEAD_LETTERS, 0, 1).await;
}

//! Publishers that write what only the server or the relay should.

use ackord_entities::envelope::SEQ_HEADER;
use ackord_producer::broker::conformance::steps::{consume, kinds, next};
use ackord_producer::broker::topology::{DEAD_LETTERS, PUBLISH_EXCHANGE, UNROUTABLE, queue_of};
use ackord_producer::broker::{Broker, Delivery};
use serde_json::{Value, json};

use super::fixture::shared;

/// All that a publisher can say about where his message comes from. The server believes most of it: it adds its own word about
/// a death to what stands there, and follows further routing keys.
fn properties() -> Value {
    let death = json!({
        "exchange": "ackord.jobs", "queue": "ackord.a", "reason": "rejected", "routing-keys": ["relayed.a"], "count": 1
    });
    json!({
        "message_id": "1",
        "type": "a",
        "headers": {
            "x-ackord-seq": 1,
            "x-death": [death],
            "x-first-death-exchange": "ackord.jobs",
            "x-first-death-queue": "ackord.a",
            "x-first-death-reason": "rejected",
            "x-last-death-exchange": "ackord.jobs",
            "CC": ["relayed.a"],
        },
    })
}

fn has_no_fence(delivery: &Delivery, way: &str) {
    let message = &delivery.message;
    assert_eq!(message.seq, None, "{way}");
    assert_eq!(message.other_headers.get(SEQ_HEADER).map(String::as_str), Some("1"), "{way}");
}

#[tokio::test]
async fn nothing_that_a_publisher_writes_makes_his_message_the_relays_alive_or_dead() {
    let Some(rabbit) = shared().await else { return };
    rabbit.apply(&kinds(&["a"])).await.unwrap();
    let queue = queue_of("a");
    let mut dead = rabbit.consume(DEAD_LETTERS, 1).await.unwrap();
    for (exchange, key) in [(PUBLISH_EXCHANGE, "a"), ("", queue.as_str())] {
        let mut alive = consume(&rabbit, "a", 1).await;
        assert!(rabbit.management.publish(exchange, key, properties(), "{}").await.unwrap());
        let delivery = next(&mut alive).await;
        has_no_fence(&delivery, &format!("{exchange}, alive"));
        assert!(alive.settler.reject(delivery.tag));
        let letter = next(&mut dead).await;
        has_no_fence(&letter, &format!("{exchange}, rejected"));
        assert!(dead.settler.ack(letter.tag, false));
        drop(alive);

        // One that no worker ever sees.
        let mut expiring = properties();
        expiring["expiration"] = "1".into();
        assert!(rabbit.management.publish(exchange, key, expiring, "{}").await.unwrap());
        let letter = next(&mut dead).await;
        has_no_fence(&letter, &format!("{exchange}, expired"));
        assert!(dead.settler.ack(letter.tag, false));
    }
}

#[tokio::test]
async fn the_relays_routing_key_leads_nowhere_from_the_publishers_exchange() {
    let Some(rabbit) = shared().await else { return };
    rabbit.apply(&kinds(&["a"])).await.unwrap();
    let mut properties = properties();
    properties["headers"]["CC"] = json!([]);
    assert!(rabbit.management.publish(PUBLISH_EXCHANGE, "relayed.a", properties, "{}").await.unwrap());
    let mut unroutable = rabbit.consume(UNROUTABLE, 1).await.unwrap();
    has_no_fence(&next(&mut unroutable).await, "unroutable");
}

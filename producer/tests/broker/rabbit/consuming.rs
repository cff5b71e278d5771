//! Consumers that the server ends, and messages that somebody else made.

use std::time::Duration;

use ackord_entities::envelope::{SEQ_HEADER, VERSION_HEADER};
use ackord_producer::broker::conformance::steps::{
    consume, consume_of, filled, ids, kinds, next, publish, rest, take,
};
use ackord_producer::broker::topology::{PUBLISH_EXCHANGE, queue_of};
use ackord_producer::broker::{AmqpBroker, Broker, BrokerError, BrokerState};
use ackord_test_servers::{RabbitNode, RabbitOptions, eventually};
use serde_json::json;

use super::fixture::{PATIENCE, options, shared, version};

#[tokio::test]
async fn a_queue_that_is_deleted_ends_its_consumer_and_costs_no_other() {
    let Some(rabbit) = shared().await else { return };
    rabbit.apply(&kinds(&["a", "b"])).await.unwrap();
    let (mut first, mut second) = (consume(&rabbit, "a", 2).await, consume(&rabbit, "b", 2).await);
    publish(&rabbit, "a", &["1"]).await;
    let lost = next(&mut first).await;
    rabbit.management.delete_queue(&queue_of("a")).await.unwrap();
    assert!(rest(&mut first).await.is_empty());
    assert!(!first.settler.ack(lost.tag, false));
    let gone = BrokerError::NoSuchQueue { queue: queue_of("a") };
    assert_eq!(rabbit.consume(&queue_of("a"), 1).await.unwrap_err(), gone);
    assert_eq!(rabbit.apply(&kinds(&["a", "b"])).await.unwrap().created, [queue_of("a")]);
    publish(&rabbit, "a", &["2"]).await;
    publish(&rabbit, "b", &["3"]).await;
    assert_eq!(ids(&[next(&mut second).await]), ["3"]);
    assert_eq!(ids(&[next(&mut consume(&rabbit, "a", 1).await).await]), ["2"]);
}

/// A consumer timeout closes the channel up to 4.2, which counts as a delivery that went wrong, and cancels the consumer from 4.3
/// on, which does not.
#[tokio::test]
async fn a_consumer_that_holds_a_message_too_long_ends_and_the_message_comes_again() {
    let options_of =
        RabbitOptions { consumer_timeout: Some(Duration::from_secs(2)), ..RabbitOptions::default() };
    let Some(node) = RabbitNode::start(options_of).await else { return };
    let broker = AmqpBroker::connect(options(&node.url())).await.unwrap();
    let mut consumer = consume_of(&broker, &["1"], 1).await;
    let held = next(&mut consumer).await;
    let end = tokio::time::timeout(PATIENCE, consumer.deliveries.recv()).await;
    assert!(end.expect("an end in time").is_none());
    assert!(!consumer.settler.ack(held.tag, true));
    let mut again = consume(&broker, "a", 1).await;
    let delivery = next(&mut again).await;
    let counted = u32::from(version(&node.management()).await < (4, 3));
    assert_eq!((ids(std::slice::from_ref(&delivery)), delivery.deliveries_before), (vec!["1"], counted));
    assert!(again.settler.ack(delivery.tag, false));
    assert_eq!(*broker.state().borrow(), BrokerState::Open);
}

#[tokio::test]
async fn consumers_that_get_nothing_end_with_their_connection_too() {
    let Some(rabbit) = shared().await else { return };
    filled(&rabbit, &["1"]).await;
    let mut paused = consume(&rabbit, "a", 0).await;
    let mut stopped = consume(&rabbit, "a", 1).await;
    let held = next(&mut stopped).await;
    stopped.settler.stop();
    assert!(rest(&mut stopped).await.is_empty());
    rabbit.lose_connection("consumer").await;
    assert!(rest(&mut paused).await.is_empty());
    eventually("the tag is stale", PATIENCE, || async {
        (!stopped.settler.ack(held.tag, false)).then_some(())
    })
    .await;
    assert_eq!(ids(&take(&mut consume(&rabbit, "a", 1).await, 1).await), ["1"]);
}

#[tokio::test]
async fn what_other_publishers_put_into_headers_arrives_as_text() {
    let Some(rabbit) = shared().await else { return };
    rabbit.apply(&kinds(&["a"])).await.unwrap();
    let headers = json!({
        "flag": true, "number": -5, "share": 0.5, "list": [1, "two"], "table": { "a": 1 }, "text": "Zürich",
        VERSION_HEADER: "2", SEQ_HEADER: "soon",
    });
    let properties = json!({ "message_id": "m-1", "type": "a", "headers": headers });
    assert!(rabbit.management.publish(PUBLISH_EXCHANGE, "a", properties, "no json \u{0}").await.unwrap());
    let delivery = next(&mut consume(&rabbit, "a", 1).await).await;
    let message = delivery.message;
    assert_eq!((message.message_id.as_deref(), message.kind.as_deref()), (Some("m-1"), Some("a")));
    assert_eq!((message.schema_version, message.seq), (Some(2), None));
    assert_eq!(&message.body[..], "no json \u{0}".as_bytes());
    let shown = |name: &str| message.other_headers[name].as_str();
    assert_eq!(
        ["flag", "number", "list", "table", "text", SEQ_HEADER].map(shown),
        ["true", "-5", r#"[1,"two"]"#, r#"{"a":1}"#, "Zürich", "soon"],
    );
}

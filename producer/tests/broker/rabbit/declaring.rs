//! Declaring and comparing on a server that others have been at.

use ackord_producer::broker::conformance::steps::{LIMIT, kinds};
use ackord_producer::broker::topology::{JOBS_EXCHANGE, queue_of};
use ackord_producer::broker::{AmqpBroker, Broker, BrokerError};
use serde_json::{Value, json};

use super::fixture::{options, shared};

#[tokio::test]
async fn a_queue_with_other_arguments_is_named_and_left_as_it_is() {
    let Some(rabbit) = shared().await else { return };
    let cases = [
        (json!({}), "dead letter exchange", "none", "ackord.dead"),
        (
            json!({ "x-queue-type": "quorum", "x-dead-letter-exchange": "other" }),
            "dead letter exchange",
            "other",
            "ackord.dead",
        ),
    ];
    for (number, (arguments, what, found, wanted)) in cases.into_iter().enumerate() {
        let kind = format!("k{number}");
        rabbit.management.declare_queue(&queue_of(&kind), arguments.clone()).await.unwrap();
        rabbit.management.publish("", &queue_of(&kind), json!({}), "kept").await.unwrap();
        let error = rabbit.apply(&kinds(&[&kind])).await.unwrap_err();
        let expected = BrokerError::Mismatch {
            queue: queue_of(&kind),
            what: what.to_owned(),
            found: found.to_owned(),
            wanted: wanted.to_owned(),
        };
        assert_eq!(error, expected);
        let differences = rabbit.verify(&kinds(&[&kind])).await.unwrap();
        assert_eq!(differences.iter().filter(|difference| difference.what == queue_of(&kind)).count(), 1);
        assert_eq!(rabbit.depth(&queue_of(&kind)).await.unwrap().ready, 1);
    }
}

#[tokio::test]
async fn an_exchange_of_another_kind_is_named() {
    let Some(rabbit) = shared().await else { return };
    rabbit.management.declare_exchange(JOBS_EXCHANGE, "fanout", json!({})).await.unwrap();
    let error = rabbit.apply(&kinds(&["a"])).await.unwrap_err();
    assert!(
        matches!(&error, BrokerError::Mismatch { queue, found, .. } if queue == JOBS_EXCHANGE && found == "fanout"),
        "{error}"
    );
    let differences = rabbit.verify(&kinds(&["a"])).await.unwrap();
    assert!(differences.iter().any(|difference| difference.what == JOBS_EXCHANGE), "{differences:?}");
}

#[tokio::test]
async fn what_the_server_holds_is_what_the_topology_says() {
    let Some(rabbit) = shared().await else { return };
    rabbit.apply(&kinds(&["a"])).await.unwrap();
    let found = rabbit.management.queue(&queue_of("a")).await.unwrap().unwrap();
    let wanted = json!({
        "x-queue-type": "quorum",
        "x-delivery-limit": LIMIT,
        "x-dead-letter-exchange": "ackord.dead",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    });
    assert_eq!(Value::Object(found.arguments), wanted);
    let dead_letters = rabbit.management.queue("ackord.dead-letters").await.unwrap().unwrap();
    assert_eq!(
        Value::Object(dead_letters.arguments),
        json!({ "x-queue-type": "quorum", "x-delivery-limit": i32::MAX })
    );
    let exchanges = rabbit.management.exchanges().await.unwrap();
    let mut ours: Vec<_> = exchanges
        .iter()
        .filter(|one| one.name.starts_with("ackord."))
        .map(|one| (one.name.as_str(), one.r#type.as_str()))
        .collect();
    ours.sort_unstable();
    let expected = [
        ("ackord.dead", "fanout"),
        ("ackord.events", "topic"),
        ("ackord.jobs", "direct"),
        ("ackord.publish", "direct"),
        ("ackord.unroutable", "fanout"),
    ];
    assert_eq!(ours, expected);
    assert!(rabbit.verify(&kinds(&["a"])).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_missing_permission_is_said_in_the_servers_words() {
    let Some(rabbit) = shared().await else { return };
    let user = format!("reader-{}", ackord_entities::ids::JobId::new());
    rabbit.management.add_user(&user, "p").await.unwrap();
    rabbit.management.permit(&user, "^$", "^$", ".*").await.unwrap();
    let url = ackord_test_servers::with_user(&rabbit.url, &user, "p");
    let broker = AmqpBroker::connect(options(&url)).await.unwrap();
    let error = broker.apply(&kinds(&["a"])).await.unwrap_err();
    drop(broker);
    rabbit.management.delete_user(&user).await.unwrap();
    assert!(
        matches!(&error, BrokerError::Refused { reason, .. } if reason.contains("ACCESS_REFUSED")),
        "{error}"
    );
}

//! A direct message that RabbitMQ gives up while its worker, whose connection is gone, still works on it.

use std::collections::BTreeMap;
use std::time::Duration;

use ackord_entities::ids::JobId;
use ackord_entities::testing::TestDatabase;
use ackord_producer::broker::topology::DELIVERY_LIMIT;
use ackord_producer::broker::{AmqpBroker, AmqpOptions, Broker};
use ackord_test_servers::{VirtualHost, eventually};
use rustix::process::Signal;
use sea_orm::DbBackend;
use serde_json::json;

use crate::process::{PATIENCE, Testbed};

/// Hands the first message of the queue over so often that it is given up the next time that a worker is lost with it.
async fn at_the_limit(url: &str, queue: &str) {
    let broker = AmqpBroker::connect(AmqpOptions::new(url)).await.unwrap();
    let mut consumer = broker.consume(queue, 1).await.unwrap();
    for times in 1..=DELIVERY_LIMIT {
        let delivery = tokio::time::timeout(PATIENCE, consumer.deliveries.recv()).await;
        let delivery = delivery.expect("a delivery in time").expect("a consumer that goes on");
        if times == DELIVERY_LIMIT {
            consumer.settler.set_prefetch(0);
        }
        assert!(consumer.settler.requeue(delivery.tag));
    }
    eventually("it waits again", PATIENCE, || async {
        (broker.depth(queue).await.ok()?.ready == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_message_that_the_broker_gave_up_has_no_effect_of_a_late_worker() {
    let Some(database) = TestDatabase::empty(DbBackend::Postgres).await else { return };
    let Some(host) = VirtualHost::new().await else { return };
    let management = host.management();
    let testbed = Testbed::on(database.url().to_owned(), host.url().to_owned(), database).await;
    let mut first = testbed.up(&[], None);
    first.ready().await;
    testbed.until_log_says("queues were declared").await;
    first.signal(Signal::TERM);
    first.ends_well().await;

    // Long enough to be caught at it, on the slowest machine.
    let job = json!({ "milliseconds": 20_000 }).to_string();
    let properties = json!({ "message_id": JobId::new().to_string(), "type": "slow", "delivery_mode": 2 });
    assert!(management.publish("ackord.publish", "slow", properties, &job).await.unwrap());
    at_the_limit(host.url(), "ackord.slow").await;

    let mut late = testbed.up(&[], None);
    late.ready().await;
    // So often handed over, it is a suspect: its start is recorded a moment before it begins.
    testbed.until("the job runs", |audit| audit.suspects == 1).await;
    late.signal(Signal::STOP);
    eventually("its connection is closed", Duration::from_secs(60), || async {
        let closed = management.close_connections_of("ackord consumer").await.ok()?;
        (closed > 0).then_some(())
    })
    .await;
    let mut other = testbed.up(&[], None);
    other.ready().await;
    let given_up = BTreeMap::from([("delivery_limit".to_owned(), 1)]);
    let is_dead =
        |audit: &crate::process::Audit| audit.kinds.get("slow").is_some_and(|kind| kind.dead == given_up);
    testbed.until("the archive ends it", is_dead).await;

    late.signal(Signal::CONT);
    testbed.until("the late worker has come to its commit", |audit| audit.suspects == 0).await;
    let audit = testbed.audit().await;
    assert!(is_dead(&audit), "{audit:#?}\n{}", testbed.log());
    let slow = &audit.kinds["slow"];
    assert_eq!((slow.jobs, slow.effects, slow.succeeded), (1, 0, 0), "{slow:#?}");
    assert_eq!((audit.stray_letters, audit.stray_effects), (0, 0), "{audit:#?}");
    for up in [late, other] {
        up.signal(Signal::TERM);
        up.ends_well().await;
    }
}

//! What can happen to RabbitMQ while jobs run. Nothing is lost, nothing doubled, and nobody has to help.

use ackord_entities::testing::TestDatabase;
use ackord_test_servers::{RabbitCluster, RabbitNode, RabbitOptions, VirtualHost};
use sea_orm::DbBackend;

use super::load::Load;
use crate::process::Testbed;

/// A testbed on a node that only this test has.
async fn on_node(node: &RabbitNode) -> Option<Testbed> {
    let database = TestDatabase::empty(DbBackend::Postgres).await?;
    Some(Testbed::on(database.url().to_owned(), node.url(), database).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_and_started_again_under_load() {
    let Some(mut node) = RabbitNode::start(RabbitOptions::default()).await else { return };
    let Some(testbed) = on_node(&node).await else { return };
    let mut load = Load::started(testbed).await;
    for _ in 0..3 {
        load.during(async {
            node.kill();
            node.restart().await;
        })
        .await;
    }
    load.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_has_lost_its_disk_is_told_again_what_is_to_be_done() {
    let Some(mut node) = RabbitNode::start(RabbitOptions::default()).await else { return };
    let Some(testbed) = on_node(&node).await else { return };
    let mut load = Load::started(testbed).await;
    for _ in 0..2 {
        load.during(node.wipe()).await;
    }
    load.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_with_a_memory_alarm_takes_nothing_and_the_outbox_keeps() {
    let Some(node) = RabbitNode::start(RabbitOptions::default()).await else { return };
    let Some(testbed) = on_node(&node).await else { return };
    let mut load = Load::started(testbed).await;
    node.alarm(true).await;
    load.publish().await;
    load.publish().await;
    load.testbed.until("the outbox keeps", |audit| audit.outbox > 0).await;
    node.alarm(false).await;
    load.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_closed_under_load_again_and_again() {
    let Some(node) = RabbitNode::start(RabbitOptions::default()).await else { return };
    let Some(testbed) = on_node(&node).await else { return };
    let mut load = Load::started(testbed).await;
    let management = node.management();
    for _ in 0..10 {
        load.during(async {
            for connection in management.connections().await.unwrap() {
                // One that has gone by itself is as closed as can be.
                let _ = management.close_connection(&connection.name).await;
            }
        })
        .await;
    }
    load.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_timeout_closes_the_channel_and_the_work_still_counts_once() {
    let options =
        RabbitOptions { consumer_timeout: Some(std::time::Duration::from_secs(1)), ..Default::default() };
    let Some(node) = RabbitNode::start(options).await else { return };
    let Some(testbed) = on_node(&node).await else { return };
    let mut load = Load::started(testbed).await;
    // Longer than the broker's patience: the channel is gone when they commit.
    load.testbed.publish_with(&["--milliseconds", "4000"], &[("slow", 2)]).await;
    load.testbed.until_log_says("the consumer ended, another one is started").await;
    load.publish().await;
    let also = [("slow", 2)];
    load.ends_well_with(&also).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_that_are_deleted_under_their_consumers_are_made_and_filled_again() {
    let Some(node) = RabbitNode::start(RabbitOptions::default()).await else { return };
    let Some(testbed) = on_node(&node).await else { return };
    let mut load = Load::started(testbed).await;
    let management = node.management();
    for kind in ["count", "slow", "long", "flaky"] {
        load.publish().await;
        load.during(management.delete_queue(&format!("ackord.{kind}"))).await.unwrap();
    }
    load.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_while_it_leads_the_queues() {
    let Some(mut cluster) = RabbitCluster::start(3).await else { return };
    let Some(database) = TestDatabase::empty(DbBackend::Postgres).await else { return };
    let testbed = Testbed::on(database.url().to_owned(), cluster.node(0).url(), database).await;
    let mut load = Load::started(testbed).await;
    for _ in 0..2 {
        let leader =
            load.testbed.eventually("a leader", async || cluster.leader_of("ackord.count").await).await;
        load.during(async {
            cluster.kill(leader);
            cluster.restart(leader).await;
            cluster.complete().await;
        })
        .await;
    }
    load.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_other_arguments_is_named_and_the_start_refused() {
    let Some(database) = TestDatabase::empty(DbBackend::Postgres).await else { return };
    let Some(host) = VirtualHost::new().await else { return };
    let management = host.management();
    // As it has to be but for one thing.
    let other = serde_json::json!({
        "x-queue-type": "quorum", "x-dead-letter-exchange": "ackord.dead", "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish", "x-delivery-limit": 7
    });
    management.declare_queue("ackord.count", other).await.unwrap();
    let testbed = Testbed::on(database.url().to_owned(), host.url().to_owned(), database).await;
    let refused = testbed.up(&[], None).ended().await;
    assert!(!refused.success());
    let log = testbed.log();
    for word in ["`ackord.count`", "delivery limit", "it is 7", "wanted is 100"] {
        assert!(log.contains(word), "{word}: {log}");
    }
}

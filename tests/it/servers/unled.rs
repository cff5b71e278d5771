//! A queue that has no leader while its broker is there and answers for everything else.

use ackord_entities::testing::TestDatabase;
use ackord_test_servers::RabbitCluster;
use sea_orm::DbBackend;

use super::load::Load;
use crate::process::{Audit, Testbed};

/// More than RabbitMQ takes from a connection before it reads nothing more of it for the sake of one queue.
const BACKLOG: usize = 1_500;

fn unfinished(audit: &Audit, of: impl Fn(&str) -> bool) -> usize {
    audit.kinds.iter().filter(|(kind, _)| of(kind)).map(|(_, found)| found.unfinished).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_without_a_leader_stops_its_own_kind_only() {
    let Some(mut cluster) = RabbitCluster::start(3).await else { return };
    let Some(database) = TestDatabase::empty(DbBackend::Postgres).await else { return };
    let testbed = Testbed::on(database.url().to_owned(), cluster.node(0).url(), database).await;
    let mut load = Load::started(testbed).await;
    // One of two is no majority, two of three are: the other queues keep a leader. A queue all of whose members are gone is
    // another thing, since RabbitMQ refuses what is published to it.
    let (connected, other) = (0, 1);
    cluster.keep_members("ackord.slow", &[connected, other]).await;
    load.publish().await;
    cluster.kill(other);

    load.testbed.publish_with(&["--milliseconds", "1"], &[("slow", BACKLOG)]).await;
    load.publish().await;
    load.testbed.until_log_says("does not confirm the messages of a kind").await;
    // Published when the kind was set aside.
    load.publish().await;
    let others =
        load.testbed.until("the other kinds go on", |audit| unfinished(audit, |kind| kind != "slow") == 0);
    let audit = others.await;
    assert!(unfinished(&audit, |kind| kind == "slow") >= BACKLOG, "{audit:?}");
    assert!(audit.outbox >= BACKLOG, "its messages are kept: {audit:?}");

    let blamed = load.testbed.lines_with(&["does not confirm the messages of a kind"]);
    let rightly = load.testbed.lines_with(&["does not confirm the messages of a kind", "ackord.slow"]);
    assert_eq!(blamed, rightly, "{}", load.testbed.log());

    cluster.restart(other).await;
    load.testbed.until_log_says("a kind that was set aside is sent again").await;
    load.ends_well_with(&[("slow", BACKLOG)]).await;
}

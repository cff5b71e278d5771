//! What can happen between a worker and its servers.

use ackord_entities::testing::TestDatabase;
use ackord_test_servers::{PostgresOptions, PostgresServer, Proxy, VirtualHost};
use rstest::rstest;
use rustix::process::Signal;
use sea_orm::DbBackend;

use super::load::Load;
use super::postgres::AWAY;
use crate::process::{Audit, Testbed, Up};

/// How the network fails.
#[derive(Clone, Copy, Debug)]
enum Failure {
    /// Connections break, and new ones are refused.
    Cut,
    /// Nothing breaks and nothing arrives.
    BlackHole,
}

impl Failure {
    async fn begin(self, proxy: &Proxy) {
        match self {
            Self::Cut => proxy.cut().await,
            Self::BlackHole => proxy.black_hole().await,
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_network_to_the_broker_that_fails(#[values(Failure::Cut, Failure::BlackHole)] failure: Failure) {
    let Some(database) = TestDatabase::empty(DbBackend::Postgres).await else { return };
    let Some(host) = VirtualHost::new().await else { return };
    let proxy = Proxy::to(host.address()).await;
    let broker = host.url_at(proxy.address());
    let testbed = Testbed::on(database.url().to_owned(), broker, (database, host)).await;
    let mut load = Load::started_with(testbed, &["--heartbeat", "1"]).await;
    for round in 1..=2 {
        failure.begin(&proxy).await;
        load.publish().await;
        load.testbed.until_said("the consumer ended", 2 * round).await;
        proxy.restore().await;
    }
    load.ends_well().await;
}

/// How often a worker or its sweeper has said that the database does not answer. Which of them meets it first depends on what they do.
fn noticed(testbed: &Testbed) -> usize {
    testbed.times_said(AWAY) + testbed.times_said("cannot be swept")
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_network_to_the_database_that_fails(#[values(Failure::Cut, Failure::BlackHole)] failure: Failure) {
    let Some(server) = PostgresServer::start(PostgresOptions::default()).await else { return };
    let Some(host) = VirtualHost::new().await else { return };
    let proxy = Proxy::to(server.address()).await;
    server.psql("CREATE DATABASE jobs").await.unwrap();
    let direct = server.url_of("jobs");
    let through = server.url_at(proxy.address(), "jobs");
    let mut testbed = Testbed::on(through, host.url().to_owned(), host).await;
    testbed.publish_at(&direct);
    let mut load = Load::started(testbed).await;
    for _ in 0..2 {
        load.long_ones_run().await;
        let said = noticed(&load.testbed);
        failure.begin(&proxy).await;
        load.publish().await;
        load.testbed
            .eventually("somebody notices", async || (noticed(&load.testbed) > said).then_some(()))
            .await;
        proxy.restore().await;
    }
    load.ends_well().await;
}

/// The server has committed and the worker is not told: what was done is found done.
#[tokio::test(flavor = "multi_thread")]
async fn commits_whose_answer_is_lost() {
    let Some(server) = PostgresServer::start(PostgresOptions::default()).await else { return };
    let Some(host) = VirtualHost::new().await else { return };
    let proxy = Proxy::to(server.address()).await;
    server.psql("CREATE DATABASE jobs").await.unwrap();
    let direct = server.url_of("jobs");
    let through = server.url_at(proxy.address(), "jobs");
    let mut testbed = Testbed::on(through, host.url().to_owned(), host).await;
    testbed.publish_at(&direct);
    let mut load = Load::started(testbed).await;
    for _ in 0..20 {
        let trap = proxy.lose_commit().await;
        load.publish().await;
        trap.sprung().await;
    }
    load.ends_well().await;
}

/// A lost connection is no death. Only one process reaches the broker at a time, and the job goes from one to the next while all of
/// them live and work on it.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_workers_lose_their_connections_and_live_is_not_given_up() {
    const WORKERS: usize = 7;
    let Some(database) = TestDatabase::empty(DbBackend::Postgres).await else { return };
    let Some(host) = VirtualHost::new().await else { return };
    let mut testbed = Testbed::on(database.url().to_owned(), host.url().to_owned(), database).await;
    let gate = testbed.path("gate");
    testbed.publish_with(&["--until-file", gate.to_str().unwrap()], &[("slow", 1)]).await;
    let mut workers: Vec<(Proxy, Up)> = Vec::new();
    for number in 1..=WORKERS {
        let proxy = Proxy::to(host.address()).await;
        let mut up = testbed.up_through(&host.url_at(proxy.address()));
        up.ready().await;
        if let Some((before, _)) = workers.last() {
            before.cut().await;
        }
        workers.push((proxy, up));
        testbed.until_said("a slow half waits for a file", number).await;
    }
    // The third delivery makes it a suspect, and from the fourth on it runs alone; three of these starts would have been enough to
    // give it up.
    assert_eq!(testbed.times_said("a suspect runs alone"), WORKERS - 3);
    std::fs::write(gate, "").unwrap();
    for (proxy, _) in &workers {
        proxy.restore().await;
    }
    let audit = testbed.until("it has ended and nobody is suspected", Audit::is_at_rest).await;
    testbed.assert_clean(&audit, &[("slow", 1)]);
    for (_, up) in workers {
        up.signal(Signal::TERM);
        up.ends_well().await;
    }
}

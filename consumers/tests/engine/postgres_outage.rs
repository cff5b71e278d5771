//! Postgres servers that go away, fall silent, are full or locked, seen from a worker: nothing is lost, nothing happens twice,
//! and nobody's attempt is counted.

use std::sync::Arc;
use std::time::Duration;

use ackord_consumers::handler::Outcome;
use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, StageOptions, eventually};
use ackord_entities::database::{Database, DatabaseError, DatabaseOptions, Fault, Limits, classify};
use ackord_entities::ids::JobId;
use ackord_entities::queue::job;
use ackord_entities::queue::outbox;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_producer::relay::{Relay, RelayOptions};
use ackord_producer::upkeep::{Retention, RetentionOptions};
use ackord_producer::{Doorbell, Publish, ring_outside};
use ackord_test_servers::{PgBouncer, PgBouncerOptions, PostgresOptions, PostgresServer, Proxy, Shutdown};
use sea_orm::ConnectionTrait;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::effects::write_effect;
use crate::kinds::{Calls, Long, Scripted, Short, Work};
use crate::steps::{Gate, advance, attempts_of, effects_of, letters, quiet, staged};

/// Short enough for a test, long enough for a slow machine.
fn impatient() -> Limits {
    Limits {
        acquire: Duration::from_secs(1),
        lock: Duration::from_millis(300),
        answer: Duration::from_secs(3),
        ..Limits::default()
    }
}

fn at(url: String) -> DatabaseOptions {
    DatabaseOptions { limits: impatient(), ..DatabaseOptions::new(url) }
}

async fn server() -> Option<PostgresServer> {
    PostgresServer::start(PostgresOptions::default()).await
}

/// A database that the worker reaches through a proxy, and the test without it.
async fn behind(server: &PostgresServer, proxy: &Proxy) -> TestDatabase {
    TestDatabase::on_own_server(server.url(), at(server.url_at(proxy.address(), "postgres"))).await
}

/// A slow half that waits at the gate, outside of any transaction.
fn gated_perform(gate: &Gate) -> Registry {
    let gate = gate.clone();
    let handler = Scripted::<Work>::new().perform(move |turn, _| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.pass().await;
            Ok(turn.job.note.clone())
        })
    });
    Registry::new().with(handler)
}

/// The first commit half waits at the gate, its effect written.
fn gated_commit(gate: &Gate) -> Registry {
    let (gate, calls) = (gate.clone(), Calls::default());
    let handler = Scripted::<Short>::new().commit(move |turn, tx| {
        let gate = gate.clone();
        let call = calls.count("all");
        Box::pin(async move {
            write_effect(tx, turn.id, &turn.job.note).await?;
            if call == 1 {
                gate.pass().await;
            }
            Ok(Outcome::succeeded())
        })
    });
    Registry::new().with(handler)
}

async fn succeeded_at_once(stage: &Stage, ids: &[JobId]) {
    for id in ids {
        let job = eventually("the job ends", async || {
            job::find(stage.database.read(), *id).await.ok()??.finished_at.map(|_| ())
        });
        job.await;
        let job = stage.job(*id).await;
        assert_eq!((job.state, job.attempt), (JobState::Succeeded, 1), "nobody's attempt");
        assert_eq!(effects_of(stage, *id).await, ["tea"]);
        assert!(attempts_of(stage, *id).await.iter().all(|(number, ..)| *number == 1));
    }
    assert!(letters(stage).await.is_empty());
}

async fn says_so(stage: &Stage) {
    let health = stage.health();
    eventually("health says so", async || health.condition().database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_found_done() {
    let Some(server) = server().await else { return };
    let proxy = Proxy::to(server.address()).await;
    let gate = Gate::new();
    let mut stage = staged(behind(&server, &proxy).await, gated_commit(&gate)).await;
    let id = stage.publish(&Short::new("tea")).await;
    gate.entered().await;
    eventually("the relay's own commit is through", async || {
        outbox::of_jobs(stage.database.read(), &[id]).await.ok()?.is_empty().then_some(())
    })
    .await;
    let trap = proxy.lose_commit().await;
    gate.open(1);
    trap.sprung().await;
    succeeded_at_once(&stage, &[id]).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_in_a_commit_half_and_comes_back_costs_nobody_an_attempt() {
    let Some(mut server) = server().await else { return };
    let gate = Gate::new();
    let database = TestDatabase::on_own_server(server.url(), at(server.url())).await;
    let mut stage = staged(database, gated_commit(&gate)).await;
    let id = stage.publish(&Short::new("tea")).await;
    gate.entered().await;
    server.stop(Shutdown::Immediate).await;
    gate.open(1);
    says_so(&stage).await;
    server.restart().await;
    succeeded_at_once(&stage, &[id]).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_falls_silent_holds_the_work_until_it_answers() {
    let Some(server) = server().await else { return };
    let proxy = Proxy::to(server.address()).await;
    let gate = Gate::new();
    let mut stage = staged(behind(&server, &proxy).await, gated_perform(&gate)).await;
    let id = stage.publish(&Work::new("tea")).await;
    gate.entered().await;
    proxy.black_hole().await;
    gate.open(1);
    says_so(&stage).await;
    proxy.restore().await;
    succeeded_at_once(&stage, &[id]).await;
    stage.stop().await;
}

#[tokio::test]
async fn a_statement_ends_although_the_server_is_silent_and_the_next_one_finds_it_again() {
    let Some(server) = server().await else { return };
    let proxy = Proxy::to(server.address()).await;
    let test = behind(&server, &proxy).await;
    let database = test.database();
    database.read().execute_unprepared("SELECT 1").await.unwrap();
    proxy.black_hole().await;
    for _ in 0..2 {
        let error = database.read().execute_unprepared("SELECT 1").await.unwrap_err();
        assert_eq!(classify(&error), Fault::Unavailable, "{error}");
        let error = database.begin().await.unwrap_err();
        assert_eq!(classify(&error), Fault::Unavailable, "{error}");
    }
    proxy.restore().await;
    eventually("a new connection is made", async || {
        database.read().execute_unprepared("SELECT 1").await.ok().map(drop)
    })
    .await;
}

/// A begin that nobody waits for any more must not leave a transaction on the connection that the next one gets.
#[tokio::test(flavor = "multi_thread")]
async fn a_begin_that_is_given_up_leaves_no_transaction_behind() {
    let Some(server) = server().await else { return };
    let options = DatabaseOptions { max_connections: 1, ..at(server.url()) };
    let test = TestDatabase::on_own_server(server.url(), options).await;
    let database = test.database();
    for _ in 0..50 {
        let mut beginning = Box::pin(database.begin());
        // Polled once: the message is on its way, or about to be.
        assert!(futures_poll_once(&mut beginning).await.is_none_or(|begun| begun.is_ok()));
        drop(beginning);
        database.write().execute_unprepared("CREATE TABLE IF NOT EXISTS kept (n integer)").await.unwrap();
        database.write().execute_unprepared("INSERT INTO kept VALUES (1)").await.unwrap();
    }
    assert_eq!(server.psql("SELECT count(*) FROM kept").await.unwrap().trim(), "50");
}

async fn futures_poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut future = std::pin::Pin::new(future);
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_without_a_free_connection_holds_the_work() {
    let Some(server) = server().await else { return };
    let gate = Gate::new();
    let options = DatabaseOptions { max_connections: 3, ..at(server.url()) };
    let database = TestDatabase::on_own_server(server.url(), options).await;
    let mut stage = staged(database, gated_perform(&gate)).await;
    let id = stage.publish(&Work::new("tea")).await;
    gate.entered().await;
    let mut hogs = Vec::new();
    while hogs.len() < 3 {
        hogs.extend(stage.database.begin().await.ok());
    }
    gate.open(1);
    says_so(&stage).await;
    drop(hogs);
    succeeded_at_once(&stage, &[id]).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_somebody_else_keeps_is_nobodys_attempt() {
    let Some(server) = server().await else { return };
    let gate = Gate::new();
    let database = TestDatabase::on_own_server(server.url(), at(server.url())).await;
    let mut stage = staged(database, gated_perform(&gate)).await;
    let id = stage.publish(&Work::new("tea")).await;
    gate.entered().await;
    let other = stage.reopen().await;
    let tx = other.begin().await.unwrap();
    job::lock(&tx, &[id]).await.unwrap();
    gate.open(1);
    says_so(&stage).await;
    tx.rollback().await.unwrap();
    succeeded_at_once(&stage, &[id]).await;
    other.close().await;
    stage.stop().await;
}

/// Upkeep has no limits on its statements, so only the transaction's own deadline ends the wait for an answer that was lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_upkeep_that_stalls_ends_and_the_next_one_does_its_work() {
    let Some(server) = server().await else { return };
    let proxy = Proxy::to(server.address()).await;
    let registry = Registry::new().with(Scripted::<Short>::new());
    let mut stage = staged(behind(&server, &proxy).await, registry.clone()).await;
    let id = stage.publish(&Short::new("tea")).await;
    succeeded_at_once(&stage, &[id]).await;
    stage.stop().await;
    advance(&stage, 15 * 24 * 3600);
    let options = RetentionOptions { step_limit: Duration::ZERO, ..RetentionOptions::default() };
    let retention = Arc::new(Retention::new(stage.database.clone(), registry.catalogue(), options));

    let other = stage.reopen().await;
    let tx = other.begin().await.unwrap();
    job::lock(&tx, &[id]).await.unwrap();
    let pass = tokio::spawn({
        let retention = Arc::clone(&retention);
        async move { retention.pass(&CancellationToken::new()).await }
    });
    let waits =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR UPDATE%'";
    eventually("its transaction waits for the row", async || {
        (server.psql(waits).await.ok()? == "1").then_some(())
    })
    .await;
    proxy.black_hole().await;
    tx.rollback().await.unwrap();
    let error = pass.await.unwrap().unwrap_err();
    assert_eq!(classify(&error), Fault::Unavailable, "{error}");
    assert!(job::find(other.read(), id).await.unwrap().is_some());

    proxy.restore().await;
    let removed = eventually("another pass gets through", async || {
        retention.pass(&CancellationToken::new()).await.ok()
    });
    assert!(removed.await >= 1);
    assert!(job::find(other.read(), id).await.unwrap().is_none());
    other.close().await;
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_named_at_once_with_the_remedy() {
    let Some(mut server) = server().await else { return };
    let missing = at(server.url_of("nowhere")).open().await.unwrap_err();
    assert!(matches!(missing, DatabaseError::NoDatabase { .. }), "{missing}");
    let url = server.url();
    server.stop(Shutdown::Immediate).await;
    let begun = std::time::Instant::now();
    let refused = DatabaseOptions::new(url).open().await.unwrap_err();
    assert!(matches!(refused, DatabaseError::Unreachable { .. }), "{refused}");
    assert!(begun.elapsed() < Limits::default().acquire, "not after the wait for a free connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_behind_a_pooler_that_lends_connections_for_a_transaction() {
    let Some(server) = server().await else { return };
    let options =
        PgBouncerOptions { pool_mode: "transaction".to_owned(), pool_size: 3, ..Default::default() };
    let Some(bouncer) = PgBouncer::start(&server, options).await else { return };
    let database = TestDatabase::on_own_server(server.url(), at(bouncer.url_of("postgres"))).await;
    assert_eq!(database.database().listen_url(), None, "nobody asked, and it was noticed");
    let registry = Registry::new()
        .with(Scripted::<Short>::new())
        .with(Scripted::<Work>::new())
        .with(Scripted::<Long>::new());
    let mut stage = staged(database, registry).await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(stage.publish(&Short::new("tea")).await);
        ids.push(stage.publish(&Work::new("tea")).await);
        ids.push(stage.publish(&Long::new("tea")).await);
    }
    succeeded_at_once(&stage, &ids).await;
    let past = DatabaseOptions { listen_url: Some(server.url()), ..at(bouncer.url_of("postgres")) };
    assert_eq!(past.open().await.unwrap().listen_url(), Some(server.url().as_str()));
    stage.stop().await;
}

/// A relay that would look again in an hour.
fn patient_relay(stage: &Stage, doorbell: Doorbell) -> Relay {
    let options = RelayOptions { longest_poll: Duration::from_secs(3600), ..RelayOptions::default() };
    Relay::new(stage.database.clone(), Arc::clone(&stage.broker) as _, doorbell, options)
}

async fn publish_elsewhere(database: &Database) -> JobId {
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    let id = ackord_producer::enqueue(&tx, &Short::new("tea"), &Publish::at(now)).await.unwrap().id;
    tx.commit().await.unwrap();
    id
}

async fn sent(stage: &Stage, id: JobId) {
    eventually("the message is sent", async || {
        outbox::of_jobs(stage.database.read(), &[id]).await.ok()?.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_wakes_the_relay_also_after_its_connection_was_lost() {
    let Some(server) = server().await else { return };
    let database = TestDatabase::on_own_server(server.url(), at(server.url())).await;
    let stage = quiet(database, Registry::new().with(Scripted::<Short>::new())).await;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let bell = Doorbell::default();
    tasks.spawn(patient_relay(&stage, bell.clone()).run(stop.clone()));
    tasks.spawn({
        let (database, stop) = (stage.database.clone(), stop.clone());
        async move { bell.hear(&database, stop).await }
    });
    let mut known = String::new();
    for lost in [false, true] {
        if lost {
            server.kill_backends().await;
        }
        let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ackord-listen' AND query LIKE 'LISTEN%'";
        known = eventually("a new connection listens", async || {
            let pid = server.psql(sql).await.ok()?.trim().to_owned();
            (!pid.is_empty() && pid != known).then_some(pid)
        })
        .await;
        let other = stage.reopen().await;
        let id = publish_elsewhere(&other).await;
        ring_outside(&other).await.unwrap();
        sent(&stage, id).await;
        other.close().await;
    }
    let other = stage.reopen().await;
    // The bell of a process without a relay does the same by itself.
    let outside = Doorbell::outside(&other);
    let id = publish_elsewhere(&other).await;
    outside.ring();
    sent(&stage, id).await;
    stop.cancel();
    while tasks.join_next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_beside_each_other_leave_nothing_behind_when_one_of_them_dies() {
    const MESSAGES: usize = 400;
    let Some(database) = TestDatabase::postgres().await else { return };
    let mut stage = quiet(database, Registry::new().with(Scripted::<Short>::new())).await;
    let mut ids = Vec::new();
    for _ in 0..MESSAGES / 40 {
        let jobs: Vec<Short> = (0..40).map(|_| Short::new("tea")).collect();
        let tx = stage.database.begin().await.unwrap();
        let now = stage.database.clock().now(&tx).await.unwrap();
        let published = ackord_producer::enqueue_all(&tx, &jobs, &Publish::at(now)).await.unwrap();
        ids.extend(published.into_iter().map(|one| one.id));
        tx.commit().await.unwrap();
    }
    let stop = CancellationToken::new();
    let mut relays = Vec::new();
    for _ in 0..3 {
        // A process of its own has connections of its own.
        let options = RelayOptions { window: 7, ..RelayOptions::default() };
        let relay =
            Relay::new(stage.reopen().await, Arc::clone(&stage.broker) as _, Doorbell::default(), options);
        relays.push(tokio::spawn(relay.run(stop.clone())));
    }
    eventually("some are sent", async || {
        (outbox::of_jobs(stage.database.read(), &ids).await.ok()?.len() < MESSAGES).then_some(())
    })
    .await;
    relays[0].abort();
    stage.start(StageOptions { relay: false, ..StageOptions::default() });
    for id in &ids {
        assert_eq!(stage.ended(*id).await.state, JobState::Succeeded);
    }
    assert!(outbox::of_jobs(stage.database.read(), &ids).await.unwrap().is_empty());
    stop.cancel();
    for relay in relays {
        let _ = relay.await;
    }
    stage.stop().await;
}

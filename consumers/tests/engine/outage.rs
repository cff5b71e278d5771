//! A database that is away, locked or full: nothing is lost, nothing is anybody's attempt, and health says so.

use ackord_consumers::handler::Outcome;
use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, StageOptions, eventually};
use ackord_entities::ids::JobId;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use sea_orm::{ConnectionTrait, DbBackend};

use crate::effects::write_effect;
use crate::kinds::{Calls, Long, Noted, Scripted, Short, Work};
use crate::steps::{Gate, all_settled, attempts_of, effects_of, letters, quiet, staged};

/// Ends every connection of the worker, as a failover does.
async fn end_connections(stage: &Stage) {
    let other = stage.reopen().await;
    let statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    other.write().execute_unprepared(statement).await.unwrap();
    other.close().await;
}

async fn succeeded_at_once(stage: &Stage, ids: &[JobId]) {
    for id in ids {
        let job = stage.ended(*id).await;
        assert_eq!((job.state, job.attempt), (JobState::Succeeded, 1), "nobody's attempt");
        assert_eq!(effects_of(stage, *id).await, ["tea"]);
        assert!(
            attempts_of(stage, *id)
                .await
                .iter()
                .all(|(_, outcome, _)| *outcome == ackord_entities::queue::attempt::Outcome::Succeeded)
        );
    }
    assert!(letters(stage).await.is_empty());
}

/// Its first commit half waits at the gate with its effect written.
fn gated_commit<J: Noted>(gate: &Gate) -> Scripted<J> {
    let (gate, calls) = (gate.clone(), Calls::default());
    Scripted::<J>::new().commit(move |turn, tx| {
        let gate = gate.clone();
        let call = calls.count("all");
        Box::pin(async move {
            write_effect(tx, turn.id, turn.job.note()).await?;
            if call == 1 {
                gate.pass().await;
            }
            Ok(Outcome::succeeded())
        })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_dies_during_a_commit_half_is_nobodys_attempt() {
    let Some(database) = TestDatabase::open(DbBackend::Postgres).await else { return };
    let gate = Gate::new();
    let mut stage = staged(database, Registry::new().with(gated_commit::<Short>(&gate))).await;
    let id = stage.publish(&Short::new("tea")).await;
    gate.entered().await;
    end_connections(&stage).await;
    gate.open(1);
    succeeded_at_once(&stage, &[id]).await;
    all_settled::<Short>(&stage).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_die_again_and_again_lose_and_double_nothing() {
    let Some(database) = TestDatabase::open(DbBackend::Postgres).await else { return };
    let registry = Registry::new()
        .with(Scripted::<Short>::new())
        .with(Scripted::<Work>::new())
        .with(Scripted::<Long>::new());
    let mut stage = staged(database, registry).await;
    let mut ids = Vec::new();
    for round in 0..8 {
        for _ in 0..5 {
            for kind in 0..3 {
                let published = async {
                    let tx = stage.database.begin().await?;
                    let now = stage.database.clock().now(&tx).await?;
                    let publish = ackord_producer::Publish::at(now);
                    let id = match kind {
                        0 => ackord_producer::enqueue(&tx, &Short::new("tea"), &publish).await,
                        1 => ackord_producer::enqueue(&tx, &Work::new("tea"), &publish).await,
                        _ => ackord_producer::enqueue(&tx, &Long::new("tea"), &publish).await,
                    };
                    tx.commit().await?;
                    Ok::<_, sea_orm::DbErr>(id.map_err(|error| sea_orm::DbErr::Custom(error.to_string()))?.id)
                };
                // A publisher whose commit got no answer does not know; this test counts those that do.
                ids.extend(published.await.ok());
            }
        }
        if round % 2 == 0 {
            end_connections(&stage).await;
        }
        stage.doorbell.ring();
    }
    assert!(ids.len() > 60, "most were published: {}", ids.len());
    for id in ids {
        let job = eventually("the job ends", async || {
            let job = ackord_entities::queue::job::find(stage.database.read(), id).await.ok()??;
            job.state.is_end().then_some(job)
        });
        assert_eq!(job.await.state, JobState::Succeeded);
        assert_eq!(effects_of(&stage, id).await, ["tea"]);
    }
    assert!(letters(&stage).await.is_empty());
    stage.stop().await;
}

/// The commit half itself loses its connection, each time: it is to blame, and its neighbours are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_half_that_kills_its_connection_is_isolated_and_dies() {
    let Some(database) = TestDatabase::open(DbBackend::Postgres).await else { return };
    let handler = Scripted::<Short>::new().commit(|turn, tx| {
        Box::pin(async move {
            if turn.job.note == "killer" {
                tx.execute_unprepared("SELECT pg_terminate_backend(pg_backend_pid())").await?;
            }
            write_effect(tx, turn.id, &turn.job.note).await?;
            Ok(Outcome::succeeded())
        })
    });
    let mut stage = quiet(database, Registry::new().with(handler)).await;
    let killer = stage.publish(&Short::new("killer")).await;
    let good = stage.publish(&Short::new("tea")).await;
    stage.start(StageOptions::default());
    let job = stage.ended(killer).await;
    assert_eq!((job.state, job.error_code.as_deref()), (JobState::Dead, Some("commit_interrupted")));
    assert_eq!(stage.ended(good).await.state, JobState::Succeeded);
    assert_eq!(effects_of(&stage, good).await, ["tea"]);
    stage.stop().await;
}

/// A file that another process holds: the worker waits for as long as that takes, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_file_holds_the_work_and_health_says_so() {
    let database = TestDatabase::sqlite().await;
    let gate = Gate::new();
    let handler = Scripted::<Work>::new().perform({
        let gate = gate.clone();
        move |turn, _| {
            let gate = gate.clone();
            Box::pin(async move {
                gate.pass().await;
                Ok(turn.job.note.clone())
            })
        }
    });
    let mut stage = staged(database, Registry::new().with(handler).with(Scripted::<Short>::new())).await;
    for pool in [stage.database.write(), stage.database.read()] {
        pool.execute_unprepared("PRAGMA busy_timeout = 20").await.unwrap();
    }
    let id = stage.publish(&Work::new("tea")).await;
    gate.entered().await;
    let other = stage.reopen().await;
    other.write().execute_unprepared("BEGIN EXCLUSIVE").await.unwrap();
    gate.open(1);
    let health = stage.health();
    eventually("health says so", async || health.condition().database).await;
    assert!(!health.condition().takes_work());
    other.write().execute_unprepared("COMMIT").await.unwrap();
    succeeded_at_once(&stage, &[id]).await;
    eventually("health says that it is over", async || health.condition().database.is_none().then_some(()))
        .await;
    all_settled::<Work>(&stage).await;
    other.close().await;
    stage.stop().await;
}

//! Two transactions in each other's way: Postgres rolls one of them back, and it runs again as if nothing had been.

use std::sync::Arc;

use ackord_consumers::error::JobError;
use ackord_consumers::handler::{Outcome, Tx};
use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, eventually};
use ackord_entities::database::DatabaseOptions;
use ackord_entities::ids::JobId;
use ackord_entities::queue::job;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_test_servers::{PostgresOptions, PostgresServer};
use rstest::rstest;
use sea_orm::ConnectionTrait;
use tokio::sync::Barrier;

use crate::effects::write_effect;
use crate::kinds::{Calls, Noted, Scripted, Short, Work};
use crate::steps::{attempts_of, effects_of, letters, quiet};

/// Rows that a commit half counts up, before it meets the other one and after.
#[derive(Clone, Copy)]
struct Way {
    before: &'static [i32],
    after: &'static [i32],
}

async fn count_up(tx: &Tx<'_>, rows: &[i32]) -> Result<(), JobError> {
    for row in rows {
        tx.execute_unprepared(&format!("UPDATE shelf SET counted = counted + 1 WHERE id = {row}")).await?;
    }
    Ok(())
}

/// The first commit half of this kind waits on its way for that of the other kind; the next ones meet nobody.
fn meeting<J: Noted>(way: Way, meet: &Arc<Barrier>, calls: &Calls) -> Scripted<J> {
    let (meet, calls) = (Arc::clone(meet), calls.clone());
    Scripted::<J>::new().commit(move |turn, tx| {
        let meet = Arc::clone(&meet);
        let call = calls.count(J::KIND);
        Box::pin(async move {
            write_effect(tx, turn.id, "tea").await?;
            count_up(tx, way.before).await?;
            if call == 1 {
                meet.wait().await;
            }
            count_up(tx, way.after).await?;
            Ok(Outcome::succeeded())
        })
    })
}

async fn succeeded_at_once(stage: &Stage, id: JobId) {
    eventually("the job ends", async || job::find(stage.database.read(), id).await.ok()??.finished_at).await;
    let job = stage.job(id).await;
    assert_eq!((job.state, job.attempt), (JobState::Succeeded, 1), "nobody's attempt");
    assert_eq!(effects_of(stage, id).await, ["tea"]);
    assert!(attempts_of(stage, id).await.is_empty());
}

#[rstest]
#[case::deadlock(
    "read%5C%20committed",
    Way { before: &[1], after: &[2] },
    Way { before: &[2], after: &[1] },
    "deadlock detected",
    "2,2"
)]
#[case::serialization(
    "serializable",
    Way { before: &[], after: &[1] },
    Way { before: &[], after: &[1] },
    "could not serialize access",
    "2,0"
)]
#[tokio::test(flavor = "multi_thread")]
async fn transactions_in_each_others_way_both_succeed_and_nobodys_attempt_is_counted(
    #[case] isolation: &str,
    #[case] short: Way,
    #[case] work: Way,
    #[case] refused: &str,
    #[case] counted: &str,
) {
    let Some(server) = PostgresServer::start(PostgresOptions::default()).await else { return };
    let url = format!("{}?options=-c%20default_transaction_isolation%3D{isolation}", server.url());
    let database = TestDatabase::on_own_server(server.url(), DatabaseOptions::new(url)).await;
    let (meet, calls) = (Arc::new(Barrier::new(2)), Calls::default());
    let registry = Registry::new()
        .with(meeting::<Short>(short, &meet, &calls))
        .with(meeting::<Work>(work, &meet, &calls));
    let mut stage = quiet(database, registry).await;
    server
        .psql("CREATE TABLE shelf (id integer PRIMARY KEY, counted integer); INSERT INTO shelf VALUES (1, 0), (2, 0)")
        .await
        .unwrap();
    let ids = [stage.publish(&Short::new("tea")).await, stage.publish(&Work::new("tea")).await];
    stage.start(ackord_consumers::testing::StageOptions::default());
    for id in ids {
        succeeded_at_once(&stage, id).await;
    }
    let log = server.log();
    assert!(log.contains(refused), "they were not in each other's way:\n{log}");
    let sums = server.psql("SELECT string_agg(counted::text, ',' ORDER BY id) FROM shelf").await.unwrap();
    assert_eq!(sums, counted);
    assert!(letters(&stage).await.is_empty());
    stage.stop().await;
}

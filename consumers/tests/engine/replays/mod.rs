//! Replay runs: many dead letters on their way back.

mod letters;
mod operators;
mod ramp;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ackord_consumers::handler::Outcome;
use ackord_consumers::jobs::ReplayHandler;
use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, eventually};
use ackord_entities::database::{RowSet, Sql};
use ackord_entities::ids::{DeadLetterId, JobId, ReplayRunId};
use ackord_entities::jobs::Job;
use ackord_entities::queue::dead_letter::{Filter, LetterState};
use ackord_entities::queue::replay_letter::RunLetterState;
use ackord_entities::queue::replay_run::RunState;
use ackord_entities::queue::{dead_letter, replay_letter, replay_run};
use ackord_entities::testing::TestDatabase;
use ackord_producer::operate::{Operator, Patch, RunRequest, Started, start_run};
use sea_orm::ConnectionTrait;

use crate::kinds::{Scripted, Short, Strict};
use crate::steps::{in_transaction, operator, permanent, quiet};

/// `Short` dies of the note `bad` as long as the switch is on; the replay handler knows all kinds of the test.
fn registry(broken: &Arc<AtomicBool>) -> Registry {
    let broken = Arc::clone(broken);
    let short = Scripted::<Short>::new().commit(move |turn, tx| {
        let broken = broken.load(Ordering::SeqCst);
        Box::pin(async move {
            if broken && turn.job.note == "bad" {
                return Err(permanent("bad"));
            }
            crate::effects::write_effect(tx, turn.id, &turn.job.note).await?;
            Ok(Outcome::succeeded())
        })
    });
    let kinds = Registry::new().with(short).with(Scripted::<Strict>::new());
    let catalogue = kinds.catalogue();
    kinds.with(ReplayHandler::new(catalogue))
}

/// A stage on which nothing runs yet, and the switch.
async fn set(database: TestDatabase) -> (Stage, Arc<AtomicBool>) {
    let broken = Arc::new(AtomicBool::new(true));
    (quiet(database, registry(&broken)).await, broken)
}

/// The same with a dead job and its letter for each payload. Oldest first.
async fn buried(database: TestDatabase, payloads: &[String]) -> (Stage, Vec<(DeadLetterId, JobId)>) {
    let (stage, _) = set(database).await;
    let dead = bury::<Short>(&stage, payloads).await;
    (stage, dead)
}

/// A dead job and its letter for each payload, as a worker leaves them, in one statement each. Oldest first.
async fn bury<J: Job>(stage: &Stage, payloads: &[String]) -> Vec<(DeadLetterId, JobId)> {
    let dead: Vec<(DeadLetterId, JobId)> =
        payloads.iter().map(|_| (DeadLetterId::new(), JobId::new())).collect();
    let rows = || {
        RowSet::new("r")
            .uuid("letter", dead.iter().map(|(letter, _)| letter.0))
            .uuid("job", dead.iter().map(|(_, job)| job.0))
            .string("payload", payloads.iter().cloned())
    };
    in_transaction(stage, async |tx, now| {
        let backend = tx.get_database_backend();
        let jobs = Sql::new(backend)
            .text(
                "INSERT INTO jobs (id, kind, version, state, seq, origin, attempt, max_attempts, deferrals, payload, error_code, \
                 created_at, finished_at) SELECT r.job, ",
            )
            .bind(J::KIND)
            .on_postgres("::text")
            .text(", ")
            .bind(i32::from(J::VERSION))
            .on_postgres("::integer")
            .text(", 'dead', 1, 'enqueue', 1, 3, 0, r.payload, 'bad', ")
            .bind(now)
            .on_postgres("::timestamptz")
            .text(", ")
            .bind(now)
            .on_postgres("::timestamptz")
            .text(" FROM ")
            .rows(rows());
        let letters = Sql::new(backend)
            .text(
                "INSERT INTO dead_letters (id, job_id, kind, seq, state, reason, error_code, error, public_error, fingerprint, \
                 message_key, queue, body, headers, attempts, first_failed_at, last_failed_at) SELECT r.letter, r.job, ",
            )
            .bind(J::KIND)
            .on_postgres("::text")
            .text(", 1, 'open', 'permanent', 'bad', 'bad, for ever', 'bad', 'alike', ")
            .either("r.letter::text", "hex(r.letter)")
            .text(", 'ackord.test', ")
            .either("convert_to(r.payload, 'UTF8')", "CAST(r.payload AS BLOB)")
            .text(", ")
            .bind(format!(r#"{{"x-schema-version":{}}}"#, J::VERSION))
            .on_postgres("::text")
            .text(", 1, ")
            .bind(now)
            .on_postgres("::timestamptz")
            .text(", ")
            .bind(now)
            .on_postgres("::timestamptz")
            .text(" FROM ")
            .rows(rows());
        for statement in [jobs, letters] {
            tx.execute_raw(statement.build()).await.unwrap();
        }
    })
    .await;
    dead
}

fn notes(notes: &[&str]) -> Vec<String> {
    notes.iter().map(|note| serde_json::to_string(&Short::new(note)).unwrap()).collect()
}

fn many(note: &str, count: usize) -> Vec<String> {
    notes(&vec![note; count])
}

/// What an operator's request becomes.
async fn start_with(stage: &Stage, selection: &str, patch: Option<&Patch>, who: &Operator) -> Started {
    let filter = Filter { state: Some(LetterState::Open), ..Filter::default() };
    let letters = dead_letter::ids(stage.database.read(), &filter).await.unwrap();
    start_over(stage, selection, &letters, patch, who).await
}

async fn start_over(
    stage: &Stage,
    selection: &str,
    letters: &[DeadLetterId],
    patch: Option<&Patch>,
    who: &Operator,
) -> Started {
    let request = RunRequest { selection, shown: selection, letters, patch, tolerance: 10 };
    let tx = stage.database.begin().await.unwrap();
    let now = stage.database.clock().now(&tx).await.unwrap();
    let started = start_run(&tx, request, who, now).await.unwrap();
    match started {
        Started::Run { .. } => tx.commit().await.unwrap(),
        Started::Running(_) | Started::Nothing => tx.rollback().await.unwrap(),
    }
    stage.doorbell.ring();
    started
}

async fn start(stage: &Stage) -> ReplayRunId {
    match start_with(stage, "{}", None, &operator()).await {
        Started::Run { run, .. } => run,
        other => panic!("{other:?}"),
    }
}

/// Starts a run and waits for its end.
async fn run_to_its_end(stage: &Stage) -> ReplayRunId {
    let run = start(stage).await;
    run_in(stage, run, RunState::Finished).await;
    run
}

/// Waits until the run is in that state. The jobs that it replayed have ended by then when it is finished.
async fn run_in(stage: &Stage, id: ReplayRunId, state: RunState) -> replay_run::Model {
    eventually("the run is in the wanted state", async || {
        replay_run::find(stage.database.read(), id).await.ok()?.filter(|run| run.state == state)
    })
    .await;
    let other = stage.reopen().await;
    let run = replay_run::find(other.read(), id).await.unwrap().unwrap();
    other.close().await;
    run
}

/// How many went out in each step.
async fn ramp(stage: &Stage, id: ReplayRunId) -> Vec<i64> {
    let other = stage.reopen().await;
    let steps = replay_letter::steps(other.read(), id, None).await.unwrap();
    other.close().await;
    steps.iter().map(|step| step.replayed).collect()
}

async fn counts(stage: &Stage, id: ReplayRunId) -> BTreeMap<String, i64> {
    let other = stage.reopen().await;
    let counts = replay_letter::count(other.read(), id).await.unwrap();
    other.close().await;
    counts.into_iter().map(|(state, count)| (format!("{state:?}"), count)).collect()
}

fn counted<const N: usize>(counts: [(RunLetterState, i64); N]) -> BTreeMap<String, i64> {
    counts.into_iter().map(|(state, count)| (format!("{state:?}"), count)).collect()
}

/// The effects of all jobs, and those of the job with most of them, without what `abandon` writes.
async fn effects(stage: &Stage) -> (i64, i64) {
    let other = stage.reopen().await;
    let statement = Sql::new(other.backend())
        .text(
            "SELECT CAST(COALESCE(SUM(n), 0) AS bigint), CAST(COALESCE(MAX(n), 0) AS bigint) FROM \
             (SELECT COUNT(*) AS n FROM effects WHERE note NOT LIKE 'abandoned%' GROUP BY job_id) AS each",
        )
        .build();
    let row = other.read().query_one_raw(statement).await.unwrap().unwrap();
    let answer = (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap());
    other.close().await;
    answer
}

async fn open_letters(stage: &Stage) -> Vec<DeadLetterId> {
    let filter = Filter { state: Some(LetterState::Open), ..Filter::default() };
    let other = stage.reopen().await;
    let ids = dead_letter::ids(other.read(), &filter).await.unwrap();
    other.close().await;
    ids
}

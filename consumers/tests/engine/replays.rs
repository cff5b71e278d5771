//! Replay runs: many dead letters on their way back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ackord_consumers::handler::Outcome;
use ackord_consumers::jobs::ReplayHandler;
use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, StageOptions, eventually};
use ackord_entities::database::{RowSet, Sql};
use ackord_entities::ids::{DeadLetterId, JobId, ReplayRunId};
use ackord_entities::jobs::{Job, Replay};
use ackord_entities::queue::dead_letter::{self, Filter, LetterState};
use ackord_entities::queue::replay_letter::{self, RunLetterState};
use ackord_entities::queue::replay_run::{self, RunState};
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{audit, job};
use ackord_entities::testing::TestDatabase;
use ackord_producer::operate::{
    self, Edit, Operator, Patch, ResumeOutcome, RunRequest, Started, StopOutcome, resume_run, start_run,
    stop_run,
};
use ackord_producer::upkeep::{Retention, RetentionOptions};
use sea_orm::ConnectionTrait;
use tokio_util::sync::CancellationToken;

use crate::kinds::{Scripted, Short, Strict};
use crate::steps::{advance, in_state, in_transaction, operator, permanent, publish_with, quiet};

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

/// A stage on which nothing runs yet.
async fn set(database: TestDatabase, broken: bool) -> (Stage, Arc<AtomicBool>) {
    let broken = Arc::new(AtomicBool::new(broken));
    (quiet(database, registry(&broken)).await, broken)
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

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_out_in_a_ramp_and_each_effect_happens_once() {
    for database in TestDatabase::each().await {
        let (mut stage, _) = set(database, true).await;
        let dead = bury::<Short>(&stage, &many("good", 25)).await;
        stage.start(StageOptions::default());
        let run = start(&stage).await;
        run_in(&stage, run, RunState::Finished).await;
        assert_eq!(ramp(&stage, run).await, [1, 10, 14]);
        assert_eq!(effects(&stage).await, (25, 1));
        assert_eq!(open_letters(&stage).await, []);
        let (letter, id) = dead[0];
        let first = stage.job(id).await;
        assert_eq!((first.state, first.seq, first.max_attempts), (JobState::Succeeded, 2, 4));
        let letter = dead_letter::find(stage.database.read(), letter).await.unwrap().unwrap();
        assert_eq!((letter.state, letter.resolved_by.as_deref()), (LetterState::Replayed, Some("ada")));
        let deeds = audit::of_subject(stage.database.read(), &id.to_string()).await.unwrap();
        assert_eq!((deeds[0].verb.as_str(), deeds[0].reason.as_deref()), ("replay", Some("a test")));
        assert!(deeds[0].details.as_deref().unwrap().contains(&run.to_string()), "{deeds:?}");
        let deeds = audit::of_subject(stage.database.read(), &run.to_string()).await.unwrap();
        assert_eq!(deeds.iter().map(|deed| deed.verb.as_str()).collect::<Vec<_>>(), ["replay"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_first_job_fails_again_stops_and_goes_on_when_it_is_told_to() {
    for database in TestDatabase::each().await {
        let (mut stage, broken) = set(database, true).await;
        let dead = bury::<Short>(&stage, &many("bad", 12)).await;
        stage.start(StageOptions::default());
        let id = start(&stage).await;
        let run = run_in(&stage, id, RunState::Stopped).await;
        assert_eq!(run.stop_code.as_deref(), Some("failed_again"));
        let cause = run.stop_cause.unwrap();
        assert!(cause.contains("bad, for ever") && cause.contains(&dead[0].1.to_string()), "{cause}");
        assert_eq!(
            counts(&stage, id).await,
            counted([(RunLetterState::Replayed, 1), (RunLetterState::Waiting, 11)])
        );
        // The eleven are as they were; the first one has a new letter, which the run does not know.
        assert_eq!(open_letters(&stage).await.len(), 12);
        for (_, job) in &dead[1..] {
            assert_eq!((stage.job(*job).await.state, stage.job(*job).await.seq), (JobState::Dead, 1));
        }
        let ended = stage.job(run.job_id).await;
        assert_eq!((ended.state, ended.error_code.as_deref()), (JobState::Failed, Some("failed_again")));

        broken.store(false, Ordering::SeqCst);
        let resume = async || {
            in_transaction(&stage, async |tx, now| resume_run(tx, id, &operator(), now).await.unwrap()).await
        };
        assert_eq!(resume().await, ResumeOutcome::Resumed);
        run_in(&stage, id, RunState::Finished).await;
        assert_eq!(resume().await, ResumeOutcome::Finished);
        // Whoever goes on starts with one again.
        assert_eq!(ramp(&stage, id).await, [1, 1, 10]);
        assert_eq!(effects(&stage).await, (11, 1));
        assert_eq!(open_letters(&stage).await.len(), 1);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_step_of_which_too_many_fail_again_stops_the_run() {
    for database in TestDatabase::each().await {
        let (mut stage, _) = set(database, true).await;
        let mut payloads = notes(&["good", "good", "bad", "good", "bad"]);
        payloads.extend(many("good", 15));
        bury::<Short>(&stage, &payloads).await;
        stage.start(StageOptions::default());
        let id = start(&stage).await;
        let run = run_in(&stage, id, RunState::Stopped).await;
        assert!(run.stop_cause.as_deref().unwrap().starts_with("2 of 10 jobs of step 2"), "{run:?}");
        assert_eq!(ramp(&stage, id).await, [1, 10]);
        assert_eq!(
            counts(&stage, id).await,
            counted([(RunLetterState::Replayed, 11), (RunLetterState::Waiting, 9)])
        );
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pressing_twice_starts_nothing_while_the_first_run_goes_on() {
    for database in TestDatabase::each().await {
        let (mut stage, _) = set(database, true).await;
        let dead = bury::<Short>(&stage, &many("good", 5)).await;
        let letters: Vec<DeadLetterId> = dead.iter().map(|(letter, _)| *letter).collect();
        let run = start(&stage).await;
        let bob = Operator { name: "bob".to_owned(), reason: None };
        assert_eq!(start_with(&stage, "{}", None, &bob).await, Started::Running(run));
        // The same letters by other words, all or some of them.
        for some in [&letters[..], &letters[2..3]] {
            assert_eq!(start_over(&stage, "other words", some, None, &bob).await, Started::Running(run));
        }
        // What the first one does not have is not kept from anybody.
        let late = bury::<Short>(&stage, &many("good", 1)).await;
        let other = match start_with(&stage, "all, an hour later", None, &bob).await {
            Started::Run { run, letters: 1 } => run,
            other => panic!("{other:?}"),
        };
        stage.start(StageOptions::default());
        run_in(&stage, run, RunState::Finished).await;
        run_in(&stage, other, RunState::Finished).await;
        assert_eq!(counts(&stage, run).await, counted([(RunLetterState::Replayed, 5)]));
        in_state(&stage, late[0].1, JobState::Succeeded).await;
        assert_eq!(effects(&stage).await, (6, 1));
        assert_eq!(start_over(&stage, "{}", &letters, None, &bob).await, Started::Nothing);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_operators_at_once_one_starts_the_run() {
    for database in TestDatabase::each().await {
        let (mut stage, _) = set(database, true).await;
        bury::<Short>(&stage, &many("good", 40)).await;
        let ada = operator();
        let bob = Operator { name: "bob".to_owned(), reason: None };
        // The same words, and other words for the same letters.
        let (one, two, three) = tokio::join!(
            start_with(&stage, "{}", None, &ada),
            start_with(&stage, "{}", None, &bob),
            start_with(&stage, "other words", None, &bob),
        );
        let answers = [one, two, three];
        let started: Vec<ReplayRunId> = answers
            .iter()
            .filter_map(|answer| match answer {
                Started::Run { run, letters: 40 } => Some(*run),
                _ => None,
            })
            .collect();
        assert_eq!(started.len(), 1, "{answers:?}");
        let others = answers.iter().filter(|answer| **answer == Started::Running(started[0])).count();
        assert_eq!(others, 2, "{answers:?}");
        stage.start(StageOptions::default());
        run_in(&stage, started[0], RunState::Finished).await;
        assert_eq!(effects(&stage).await, (40, 1));
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_arrives_later_is_not_in_the_frozen_set() {
    for database in TestDatabase::each().await {
        let (mut stage, _) = set(database, true).await;
        bury::<Short>(&stage, &many("good", 3)).await;
        let run = start(&stage).await;
        let late = bury::<Short>(&stage, &many("good", 1)).await;
        stage.start(StageOptions::default());
        run_in(&stage, run, RunState::Finished).await;
        assert_eq!(open_letters(&stage).await, [late[0].0]);
        assert_eq!(stage.job(late[0].1).await.state, JobState::Dead);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_cannot_go_out_are_left_with_their_reasons_and_the_run_goes_on() {
    for database in TestDatabase::each().await {
        let (mut stage, _) = set(database, true).await;
        let keyed = |key: &str| serde_json::to_string(&Short::keyed("good", key)).unwrap();
        // The first two cannot go out: the first step is filled all the same.
        let payloads = [
            "nonsense".to_owned(),
            keyed("taken"),
            keyed("free"),
            keyed("free"),
            notes(&["good"])[0].clone(),
        ];
        let dead = bury::<Short>(&stage, &payloads).await;
        let holder = publish_with(&stage, &Short::keyed("later", "taken"), |publish| {
            publish.due_in(std::time::Duration::from_secs(3600))
        })
        .await;
        stage.start(StageOptions::default());
        let run = start(&stage).await;
        run_in(&stage, run, RunState::Finished).await;
        let left = replay_letter::left_behind(stage.database.read(), run, 10).await.unwrap();
        let codes: Vec<_> = left.iter().map(|left| (left.letter_id, left.code.as_deref().unwrap())).collect();
        assert_eq!(codes[..2], [(dead[0].0, "not_json"), (dead[1].0, "dedup_key_taken")]);
        assert!(left[1].note.as_deref().unwrap().contains(&holder.id.to_string()), "{left:?}");
        // Those are open still, and their jobs as they were.
        assert_eq!(open_letters(&stage).await[..2], [dead[0].0, dead[1].0]);
        assert_eq!(stage.job(dead[1].1).await.state, JobState::Dead);
        // Of two with one key the first went out in a step of its own, so the second found the key free again.
        assert_eq!(ramp(&stage, run).await, [1, 2]);
        assert_eq!(effects(&stage).await, (3, 1));
        stage.stop().await;
    }
}

/// In one step, two letters with one key: one job waits under a key, the other letter names it.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_letters_with_one_dedup_key_one_goes_out_at_a_time() {
    for database in TestDatabase::each().await {
        let (mut stage, _) = set(database, true).await;
        let keyed = serde_json::to_string(&Short::keyed("good", "k")).unwrap();
        let payloads = [notes(&["good"])[0].clone(), keyed.clone(), keyed];
        let dead = bury::<Short>(&stage, &payloads).await;
        stage.start(StageOptions::default());
        let run = start(&stage).await;
        run_in(&stage, run, RunState::Finished).await;
        let left = replay_letter::left_behind(stage.database.read(), run, 10).await.unwrap();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!((left[0].letter_id, left[0].code.as_deref()), (dead[2].0, Some("dedup_key_taken")));
        assert!(left[0].note.as_deref().unwrap().contains(&dead[1].1.to_string()), "{left:?}");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_and_jobs_that_moved_on_meanwhile_are_left_alone() {
    for database in TestDatabase::each().await {
        let (mut stage, broken) = set(database, true).await;
        let dead = bury::<Short>(&stage, &many("good", 6)).await;
        let run = start(&stage).await;
        let catalogue = registry(&broken).catalogue();
        in_transaction(&stage, async |tx, now| {
            operate::replay(tx, &catalogue, dead[0].0, Edit::None, &operator(), now).await.unwrap();
            assert_eq!(operate::discard(tx, &[dead[1].0], &operator(), now).await.unwrap(), 1);
            // Revived past its letter, as a second letter of the same job does it.
            let revival = job::Revival { id: dead[2].1, attempts: 3, dedup_key: None, edit: None };
            assert_eq!(job::revive(tx, &[revival]).await.unwrap()[&dead[2].1], 2);
        })
        .await;
        stage.start(StageOptions::default());
        run_in(&stage, run, RunState::Finished).await;
        let left = replay_letter::left_behind(stage.database.read(), run, 10).await.unwrap();
        let left: Vec<_> =
            left.iter().map(|left| (left.letter_id, left.state, left.code.as_deref().unwrap())).collect();
        assert_eq!(
            left,
            [
                (dead[0].0, RunLetterState::Skipped, "not_open"),
                (dead[1].0, RunLetterState::Skipped, "not_open"),
                (dead[2].0, RunLetterState::Refused, "job_not_dead"),
            ]
        );
        assert_eq!(ramp(&stage, run).await, [1, 2]);
        assert_eq!(stage.job(dead[1].1).await.state, JobState::Dead);
        let (all, most) = effects(&stage).await;
        assert!(all >= 4 && most == 1, "{all} {most}");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_edits_every_payload_and_the_letters_keep_the_originals() {
    for database in TestDatabase::each().await {
        let (mut stage, _) = set(database, true).await;
        let dead = bury::<Short>(&stage, &notes(&["bad", "bad", "good"])).await;
        let patch = Patch::parse(r#"[{"op": "replace", "path": "/note", "value": "good"}]"#).unwrap();
        stage.start(StageOptions::default());
        let Started::Run { run, .. } = start_with(&stage, "{}", Some(&patch), &operator()).await else {
            panic!("it was not started")
        };
        run_in(&stage, run, RunState::Finished).await;
        assert_eq!(stage.job(dead[0].1).await.payload, r#"{"note":"good"}"#);
        let letters: Vec<DeadLetterId> = dead.iter().map(|(letter, _)| *letter).collect();
        let letters = dead_letter::read(stage.database.read(), &letters).await.unwrap();
        assert_eq!(letters[0].body, br#"{"note":"bad"}"#);
        assert_eq!(letters[0].edited_payload.as_deref(), Some(r#"{"note":"good"}"#));
        assert_eq!(letters[2].edited_payload, None, "it was as the patch wants it");
        assert_eq!(effects(&stage).await, (3, 1));
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_killed_in_the_middle_of_a_run_double_and_lose_nothing() {
    for database in TestDatabase::each().await {
        let (mut stage, _) = set(database, true).await;
        bury::<Short>(&stage, &many("good", 400)).await;
        let run = start(&stage).await;
        for replayed in [1, 11, 60, 200, 350] {
            stage.start(StageOptions::default());
            eventually("so many went out", async || {
                let counts = replay_letter::count(stage.database.read(), run).await.ok()?;
                let out = counts.iter().find(|(state, _)| *state == RunLetterState::Replayed)?.1;
                (out >= replayed).then_some(())
            })
            .await;
            stage.kill().await;
            stage.lose_broker().await;
            stage.recover().await;
        }
        stage.start(StageOptions::default());
        run_in(&stage, run, RunState::Finished).await;
        assert_eq!(ramp(&stage, run).await, [1, 10, 100, 289]);
        assert_eq!(effects(&stage).await, (400, 1));
        assert_eq!(open_letters(&stage).await, []);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_waits_without_a_worker_and_an_operator_stops_it() {
    for database in TestDatabase::each().await {
        let (mut stage, _) = set(database, true).await;
        bury::<Short>(&stage, &many("good", 3)).await;
        in_transaction(&stage, async |tx, now| {
            operate::pause(tx, Short::KIND, &operator(), now).await.unwrap()
        })
        .await;
        stage.start(StageOptions::default());
        let id = start(&stage).await;
        // The kind is paused, so the first one does not end: the run's job is put off, and pending meanwhile.
        let waiting = eventually("the run waits", async || {
            let run = replay_run::find(stage.database.read(), id).await.ok()??;
            let job = job::find(stage.database.read(), run.job_id).await.ok()??;
            (job.deferrals >= 2 && job.state == JobState::Pending).then_some(job)
        })
        .await;
        assert_eq!(waiting.attempt, 0, "waiting is no attempt");
        let stop = async || {
            in_transaction(&stage, async |tx, now| stop_run(tx, id, &operator(), now).await.unwrap()).await
        };
        assert_eq!(stop().await, StopOutcome::Stopped);
        assert_eq!(stop().await, StopOutcome::NotRunning(RunState::Stopped));
        let run = run_in(&stage, id, RunState::Stopped).await;
        assert_eq!(run.stop_cause.as_deref(), Some("stopped by ada: a test"));
        in_state(&stage, run.job_id, JobState::Cancelled).await;
        // Its letters are free for others, and it leaves them to them when it goes on.
        let other = start(&stage).await;
        let again =
            in_transaction(&stage, async |tx, now| resume_run(tx, id, &operator(), now).await.unwrap()).await;
        assert_eq!(again, ResumeOutcome::Replaced(other));
        in_transaction(&stage, async |tx, now| stop_run(tx, other, &operator(), now).await.unwrap()).await;
        in_transaction(&stage, async |tx, now| resume_run(tx, id, &operator(), now).await.unwrap()).await;
        in_transaction(&stage, async |tx, _| {
            operate::resume(tx, Short::KIND, &operator(), waiting.created_at).await
        })
        .await
        .unwrap();
        run_in(&stage, id, RunState::Finished).await;
        eventually("every job has its effect", async || (effects(&stage).await == (3, 1)).then_some(()))
            .await;
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_job_is_called_off_is_stopped_and_says_so() {
    for database in TestDatabase::each().await {
        let (mut stage, _) = set(database, true).await;
        bury::<Short>(&stage, &many("good", 3)).await;
        let id = start(&stage).await;
        let job = replay_run::find(stage.database.read(), id).await.unwrap().unwrap().job_id;
        in_transaction(&stage, async |tx, now| operate::cancel(tx, job, &operator(), now).await.unwrap())
            .await;
        stage.start(StageOptions::default());
        let run = run_in(&stage, id, RunState::Stopped).await;
        assert!(run.stop_cause.as_deref().unwrap().contains("called off"), "{run:?}");
        assert_eq!(counts(&stage, id).await, counted([(RunLetterState::Waiting, 3)]));
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_published_by_hand_fails_with_a_clear_error() {
    for database in TestDatabase::each().await {
        let (mut stage, _) = set(database, true).await;
        bury::<Short>(&stage, &many("good", 2)).await;
        let run = start(&stage).await;
        stage.start(StageOptions::default());
        run_in(&stage, run, RunState::Finished).await;
        for (of, code) in [(ReplayRunId::new(), "unknown_run"), (run, "run_not_running")] {
            let id = stage.publish(&Replay::of(of)).await;
            let ended = stage.ended(id).await;
            assert_eq!((ended.state, ended.error_code.as_deref()), (JobState::Failed, Some(code)));
            assert!(ended.error.unwrap().contains(&of.to_string()));
        }
        assert_eq!(run_in(&stage, run, RunState::Finished).await.state, RunState::Finished);
        stage.stop().await;
    }
}

/// 100,000 with `ACKORD_SOAK=1`.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_group_is_replayed_in_parts() {
    let soak = std::env::var("ACKORD_SOAK").is_ok_and(|value| value == "1");
    let (size, expected) = if soak {
        (100_000, vec![1, 10, 100, 1_000, 10_000, 88_889])
    } else {
        (2_500, vec![1, 10, 100, 1_000, 1_389])
    };
    for database in TestDatabase::each().await {
        let (mut stage, _) = set(database, true).await;
        bury::<Short>(&stage, &many("good", size)).await;
        stage.start(StageOptions::default());
        let began = std::time::Instant::now();
        let run = start(&stage).await;
        let started = began.elapsed();
        // Longer than anything else is waited for: so many jobs take their time.
        while replay_run::find(stage.database.read(), run).await.unwrap().unwrap().state == RunState::Running
        {
            assert!(
                began.elapsed() < std::time::Duration::from_secs(1200),
                "{:?}",
                counts(&stage, run).await
            );
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        eprintln!(
            "{}: {size} letters frozen in {started:?}, through in {:?}",
            if stage.database.backend() == sea_orm::DbBackend::Postgres { "Postgres" } else { "SQLite" },
            began.elapsed()
        );
        assert_eq!(ramp(&stage, run).await, expected);
        let size = i64::try_from(size).unwrap();
        assert_eq!(effects(&stage).await, (size, 1));
        let about = job::Filter { subject: Some(format!("replay:{run}")), ..job::Filter::default() };
        let jobs = job::list(stage.database.read(), &about, 1_000).await.unwrap().len();
        assert!(i64::try_from(jobs).unwrap() <= size / 500 + 12, "so many jobs worked on it: {jobs}");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_discarded_at_once_and_its_rows_stay() {
    for database in TestDatabase::each().await {
        let (stage, _) = set(database, true).await;
        let dead = bury::<Short>(&stage, &many("bad", 30)).await;
        let kept = bury::<Strict>(&stage, &notes(&["bad"])).await;
        let filter = Filter {
            state: Some(LetterState::Open),
            kind: Some(Short::KIND.to_owned()),
            fingerprint: Some("alike".to_owned()),
            ..Filter::default()
        };
        let ids = dead_letter::ids(stage.database.read(), &filter).await.unwrap();
        let discard = async || {
            in_transaction(&stage, async |tx, now| {
                operate::discard(tx, &ids, &operator(), now).await.unwrap()
            })
            .await
        };
        assert_eq!((discard().await, discard().await), (30, 0));
        assert_eq!(open_letters(&stage).await, [kept[0].0]);
        let letter = dead_letter::find(stage.database.read(), dead[7].0).await.unwrap().unwrap();
        assert_eq!((letter.state, letter.resolved_by.as_deref()), (LetterState::Discarded, Some("ada")));
        let deeds = audit::of_subject(stage.database.read(), &dead[7].1.to_string()).await.unwrap();
        assert_eq!(deeds.iter().map(|deed| deed.verb.as_str()).collect::<Vec<_>>(), ["discard"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_removes_old_runs_and_keeps_those_that_can_go_on() {
    for database in TestDatabase::each().await {
        let (mut stage, broken) = set(database, true).await;
        bury::<Short>(&stage, &many("good", 2)).await;
        stage.start(StageOptions::default());
        let finished = start(&stage).await;
        run_in(&stage, finished, RunState::Finished).await;
        bury::<Short>(&stage, &many("bad", 2)).await;
        let stopped = start(&stage).await;
        run_in(&stage, stopped, RunState::Stopped).await;
        stage.stop().await;
        let catalogue = registry(&broken).catalogue();
        let retention = Retention::new(stage.database.clone(), catalogue, RetentionOptions::default());
        advance(&stage, 91 * 24 * 3600);
        retention.pass(&CancellationToken::new()).await.unwrap();
        let there = async |run| replay_run::find(stage.database.read(), run).await.unwrap().is_some();
        assert_eq!((there(finished).await, there(stopped).await), (false, true));
        assert_eq!(counts(&stage, finished).await, BTreeMap::new());
        // When somebody else has dealt with the letters that it left, there is nothing to go on with.
        let open = open_letters(&stage).await;
        in_transaction(&stage, async |tx, now| operate::discard(tx, &open, &operator(), now).await.unwrap())
            .await;
        retention.pass(&CancellationToken::new()).await.unwrap();
        assert!(!there(stopped).await);
    }
}

//! What operators do with runs: start, stop, go on, call off, discard; and what becomes of old ones.

use std::collections::BTreeMap;

use ackord_consumers::testing::{StageOptions, eventually};
use ackord_entities::ids::{DeadLetterId, ReplayRunId};
use ackord_entities::jobs::{Job, Replay};
use ackord_entities::queue::dead_letter::{Filter, LetterState};
use ackord_entities::queue::replay_letter::RunLetterState;
use ackord_entities::queue::replay_run::RunState;
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{audit, dead_letter, job, replay_run};
use ackord_entities::testing::TestDatabase;
use ackord_producer::operate::{self, Operator, ResumeOutcome, Started, StopOutcome, resume_run, stop_run};
use ackord_producer::upkeep::{Retention, RetentionOptions};
use tokio_util::sync::CancellationToken;

use super::{
    buried, bury, counted, counts, effects, many, notes, open_letters, registry, run_in, run_to_its_end, set,
    start, start_over, start_with,
};
use crate::kinds::{Short, Strict};
use crate::steps::{advance, in_state, in_transaction, operator};

/// Another operator than the tests' own.
fn bob() -> Operator {
    Operator { name: "bob".to_owned(), reason: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn pressing_twice_starts_nothing_while_the_first_run_goes_on() {
    for database in TestDatabase::each().await {
        let (mut stage, dead) = buried(database, &many("good", 5)).await;
        let letters: Vec<DeadLetterId> = dead.iter().map(|(letter, _)| *letter).collect();
        let run = start(&stage).await;
        let bob = bob();
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
        let (mut stage, _) = buried(database, &many("good", 40)).await;
        let ada = operator();
        let bob = bob();
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
async fn a_run_waits_without_a_worker_and_an_operator_stops_it() {
    for database in TestDatabase::each().await {
        let (mut stage, _) = buried(database, &many("good", 3)).await;
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
        let (mut stage, _) = buried(database, &many("good", 3)).await;
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
        let (mut stage, _) = buried(database, &many("good", 2)).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_discarded_at_once_and_its_rows_stay() {
    for database in TestDatabase::each().await {
        let (stage, dead) = buried(database, &many("bad", 30)).await;
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
        let (mut stage, broken) = set(database).await;
        bury::<Short>(&stage, &many("good", 2)).await;
        stage.start(StageOptions::default());
        let finished = run_to_its_end(&stage).await;
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

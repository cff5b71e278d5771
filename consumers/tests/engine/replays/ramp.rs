//! A run goes out step by step, each larger than the one before, and stops where a step goes wrong.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ackord_consumers::testing::{StageOptions, eventually};
use ackord_entities::queue::dead_letter::LetterState;
use ackord_entities::queue::replay_letter::RunLetterState;
use ackord_entities::queue::replay_run::RunState;
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{audit, dead_letter, job, replay_letter, replay_run};
use ackord_entities::testing::TestDatabase;
use ackord_producer::operate::{ResumeOutcome, resume_run};

use super::{
    buried, bury, counted, counts, effects, many, notes, open_letters, ramp, run_in, run_to_its_end, set,
    start,
};
use crate::kinds::Short;
use crate::steps::{in_transaction, operator};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_out_in_a_ramp_and_each_effect_happens_once() {
    for database in TestDatabase::each().await {
        let (mut stage, dead) = buried(database, &many("good", 25)).await;
        stage.start(StageOptions::default());
        let run = run_to_its_end(&stage).await;
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
        let (mut stage, broken) = set(database).await;
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
        let (mut stage, _) = set(database).await;
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
async fn workers_killed_in_the_middle_of_a_run_double_and_lose_nothing() {
    for database in TestDatabase::each().await {
        let (mut stage, _) = buried(database, &many("good", 400)).await;
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

/// 100,000 with `ACKORD_SOAK=1`.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_group_is_replayed_in_parts() {
    let soak = std::env::var("ACKORD_SOAK").is_ok_and(|value| value == "1");
    let (size, expected) = if soak {
        (100_000, [vec![1, 10, 100, 1_000], vec![10_000; 9], vec![8_889]].concat())
    } else {
        (2_500, vec![1, 10, 100, 1_000, 1_389])
    };
    for database in TestDatabase::each().await {
        let (mut stage, _) = buried(database, &many("good", size)).await;
        stage.start(StageOptions::default());
        let began = Instant::now();
        let run = start(&stage).await;
        let started = began.elapsed();
        // Longer than anything else is waited for: so many jobs take their time.
        while replay_run::find(stage.database.read(), run).await.unwrap().unwrap().state == RunState::Running
        {
            assert!(began.elapsed() < Duration::from_secs(1200), "{:?}", counts(&stage, run).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
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

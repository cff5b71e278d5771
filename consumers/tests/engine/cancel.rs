//! Calling a job off: whatever it is doing, a worker ends it, and the domain hears of it.

use std::time::Duration;

use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, StageOptions};
use ackord_entities::ids::JobId;
use ackord_entities::queue::attempt::Outcome as Attempt;
use ackord_entities::queue::audit;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_producer::operate::{self, CancelOutcome, RetryOutcome};

use crate::kinds::{Calls, Hasty, Long, Scripted, Short, Work};
use crate::steps::{
    Gate, all_settled, attempts_of, effects_of, in_state, in_transaction, letters_of, operator, publish_with,
    quiet, staged, transient,
};

async fn cancel(stage: &Stage, id: JobId) -> CancelOutcome {
    in_transaction(stage, async |tx, now| operate::cancel(tx, id, &operator(), now).await.unwrap()).await
}

async fn is_cancelled(stage: &Stage, id: JobId, attempt: i32) {
    let job = stage.ended(id).await;
    assert_eq!((job.state, job.attempt), (JobState::Cancelled, attempt));
    assert_eq!(effects_of(stage, id).await, ["abandoned: cancelled"]);
    assert!(letters_of(stage, id).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_job_is_cancelled_at_once() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, Registry::new().with(Scripted::<Short>::new())).await;
        let hour = Duration::from_secs(3600);
        let id = publish_with(&stage, &Short::new("tea"), |publish| publish.due_in(hour)).await.id;
        assert_eq!(cancel(&stage, id).await, CancelOutcome::Requested);
        is_cancelled(&stage, id, 0).await;
        assert_eq!(cancel(&stage, id).await, CancelOutcome::AlreadyEnded(JobState::Cancelled));
        assert_eq!(cancel(&stage, JobId::new()).await, CancelOutcome::NotFound);
        let deeds = audit::of_subject(stage.database.read(), &id.to_string()).await.unwrap();
        assert_eq!(deeds.len(), 1, "pressed twice, done once");
        assert_eq!((deeds[0].actor.as_str(), deeds[0].verb.as_str()), ("ada", "cancel"));
        all_settled::<Short>(&stage).await;
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_job_is_cancelled_before_its_work_begins() {
    for database in TestDatabase::each().await {
        let calls = Calls::default();
        let handler = Scripted::<Work>::new().perform({
            let calls = calls.clone();
            move |turn, _| {
                calls.count(&turn.job.note);
                Box::pin(async { Ok(String::new()) })
            }
        });
        let mut stage = quiet(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Work::new("tea")).await;
        cancel(&stage, id).await;
        stage.start(StageOptions::default());
        is_cancelled(&stage, id, 0).await;
        assert_eq!(calls.of("tea"), 0);
        all_settled::<Work>(&stage).await;
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retrying_job_is_cancelled_without_another_attempt() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Hasty>::new().perform(|_, _| Box::pin(async { Err(transient("busy")) }));
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Hasty::new("tea")).await;
        ackord_consumers::testing::eventually("its first attempt failed", async || {
            (stage.job(id).await.attempt == 1).then_some(())
        })
        .await;
        cancel(&stage, id).await;
        is_cancelled(&stage, id, 1).await;
        stage.stop().await;
    }
}

/// It stops when it is told to.
fn waits_for_its_end<J: crate::kinds::Noted>(gate: &Gate) -> Scripted<J> {
    let gate = gate.clone();
    Scripted::<J>::new().perform(move |_, context| {
        let gate = gate.clone();
        Box::pin(async move {
            tokio::select! {
                () = gate.pass() => Ok("done".to_owned()),
                () = context.cancelled() => Err(transient("told to stop")),
            }
        })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_performing_job_is_told_to_stop() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let mut stage = staged(database, Registry::new().with(waits_for_its_end::<Work>(&gate))).await;
        let id = stage.publish(&Work::new("tea")).await;
        gate.entered().await;
        cancel(&stage, id).await;
        is_cancelled(&stage, id, 0).await;
        assert!(attempts_of(&stage, id).await.is_empty());
        all_settled::<Work>(&stage).await;
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handed_over_job_is_told_to_stop_and_its_attempt_says_so() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let mut stage = staged(database, Registry::new().with(waits_for_its_end::<Long>(&gate))).await;
        let id = stage.publish(&Long::keyed("tea", "graph:one")).await;
        gate.entered().await;
        in_state(&stage, id, JobState::Running).await;
        cancel(&stage, id).await;
        is_cancelled(&stage, id, 1).await;
        assert_eq!(attempts_of(&stage, id).await, [(1, Attempt::Cancelled, Some("cancelled".to_owned()))]);
        // Its lease is free at once.
        let next = stage.publish(&Long::keyed("cake", "graph:one")).await;
        gate.entered().await;
        gate.open(1);
        assert_eq!(stage.ended(next).await.state, JobState::Succeeded);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_does_not_listen_is_dropped_and_cancelled_all_the_same() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let handler = Scripted::<Work>::new().perform({
            let gate = gate.clone();
            move |_, _| {
                let gate = gate.clone();
                Box::pin(async move {
                    gate.pass().await;
                    Ok("done".to_owned())
                })
            }
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Work::new("tea")).await;
        gate.entered().await;
        cancel(&stage, id).await;
        is_cancelled(&stage, id, 0).await;
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_means_now_instead_of_later() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, Registry::new().with(Scripted::<Short>::new())).await;
        let hour = Duration::from_secs(3600);
        let id = publish_with(&stage, &Short::new("tea"), |publish| publish.due_in(hour)).await.id;
        let retry = async |id| {
            in_transaction(&stage, async |tx, now| {
                operate::retry_now(tx, id, &operator(), now).await.unwrap()
            })
            .await
        };
        assert_eq!(retry(id).await, RetryOutcome::DueNow);
        assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
        assert_eq!(retry(id).await, RetryOutcome::Ended(JobState::Succeeded));
        assert_eq!(retry(JobId::new()).await, RetryOutcome::NotFound);
        stage.stop().await;
    }
}

//! Dedup keys of jobs that are handed over: the claim frees the key, an attempt that fails takes it back where nobody else has it.

use std::time::Duration;

use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, StageOptions, eventually};
use ackord_entities::ids::JobId;
use ackord_entities::queue::job;
use ackord_entities::queue::outbox::Cause;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_producer::Enqueued;
use ackord_producer::upkeep::put_back_expired;

use crate::kinds::{LongAgain, LongOnce, Noted, PATIENT, Scripted};
use crate::steps::{
    Gate, advance, effects_of, gated, in_state, publish_with, quiet, staged, transient, waiting,
};

/// A job for later: it waits until the clock is moved.
const LATER: Duration = Duration::from_secs(3600);
const PAST_LATER: u64 = 3601;

async fn publish(stage: &Stage, note: &str) -> Enqueued {
    publish_with(stage, &LongOnce::keyed(note, "k"), |publish| publish).await
}

async fn publish_for_later(stage: &Stage, note: &str) -> Enqueued {
    publish_with(stage, &LongOnce::keyed(note, "k"), |publish| publish.due_in(LATER)).await
}

/// Whoever publishes with the key now is told that `holder` has it.
async fn is_held_by(stage: &Stage, holder: JobId) {
    let told = publish(stage, "dropped").await;
    assert_eq!((told.duplicate, told.id), (true, holder));
}

/// At its gate first; then its first attempt fails.
fn fails_first<J: Noted>(gate: &Gate) -> Scripted<J> {
    let gate = gate.clone();
    Scripted::<J>::new().perform(move |turn, _| {
        let gate = gate.clone();
        Box::pin(async move {
            gate.pass().await;
            if turn.attempt == 1 { Err(transient("busy")) } else { Ok(turn.job.note().to_owned()) }
        })
    })
}

/// Waits until an attempt of the job has failed and the next one is due later.
async fn is_retried(stage: &Stage, id: JobId) {
    eventually("the job waits for its next attempt", async || {
        waiting(stage, id).await.filter(|message| message.cause == Cause::Retry)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_published_while_a_long_one_runs_is_a_new_one_and_keeps_its_key_at_the_others_end() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let mut stage = quiet(database, Registry::new().with(gated::<LongOnce>(&gate))).await;
        let first = publish(&stage, "first").await;
        is_held_by(&stage, first.id).await;
        stage.start(StageOptions::default());
        gate.entered().await;

        let second = publish_for_later(&stage, "second").await;
        assert!(!second.duplicate && second.id != first.id);
        is_held_by(&stage, second.id).await;
        gate.open(1);
        assert_eq!(stage.ended(first.id).await.state, JobState::Succeeded);
        is_held_by(&stage, second.id).await;

        advance(&stage, PAST_LATER);
        gate.entered().await;
        gate.open(1);
        assert_eq!(stage.ended(second.id).await.state, JobState::Succeeded);
        let third = publish_for_later(&stage, "third").await;
        assert!(!third.duplicate, "the key is free");
        assert_eq!(effects_of(&stage, first.id).await, ["first"]);
        assert_eq!(effects_of(&stage, second.id).await, ["second"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_job_that_is_retried_has_its_key_again_until_it_is_claimed_again() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let mut stage = staged(database, Registry::new().with(fails_first::<LongOnce>(&gate))).await;
        let first = publish(&stage, "first").await;
        gate.entered().await;
        gate.open(1);
        is_retried(&stage, first.id).await;
        is_held_by(&stage, first.id).await;

        advance(&stage, PATIENT.longest.as_secs() + 1);
        gate.entered().await;
        assert!(!publish_for_later(&stage, "second").await.duplicate, "it runs again");
        gate.open(1);
        assert_eq!(stage.ended(first.id).await.state, JobState::Succeeded);
        assert_eq!(effects_of(&stage, first.id).await, ["first"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_job_whose_key_is_taken_when_it_is_retried_leaves_it_and_both_are_done() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let mut stage = staged(database, Registry::new().with(fails_first::<LongOnce>(&gate))).await;
        let first = publish(&stage, "first").await;
        gate.entered().await;
        let second = publish_for_later(&stage, "second").await;
        assert!(!second.duplicate);
        gate.open(1);
        is_retried(&stage, first.id).await;
        is_held_by(&stage, second.id).await;

        // The second one's first attempt fails as well.
        gate.open(3);
        advance(&stage, PAST_LATER);
        assert_eq!(stage.ended(first.id).await.state, JobState::Succeeded);
        is_retried(&stage, second.id).await;
        is_held_by(&stage, second.id).await;
        advance(&stage, PATIENT.longest.as_secs() + 1);
        assert_eq!(stage.ended(second.id).await.state, JobState::Succeeded);
        assert_eq!(effects_of(&stage, first.id).await, ["first"]);
        assert_eq!(effects_of(&stage, second.id).await, ["second"]);
        assert!(!publish_for_later(&stage, "third").await.duplicate, "the key is free");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_job_whose_worker_was_lost_has_its_key_again() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let mut stage = staged(database, Registry::new().with(gated::<LongOnce>(&gate))).await;
        let first = publish(&stage, "first").await;
        gate.entered().await;
        in_state(&stage, first.id, JobState::Running).await;
        stage.kill().await;
        advance(&stage, 31);
        assert_eq!(put_back_expired(&stage.database, &stage.doorbell).await.unwrap(), 1);
        is_held_by(&stage, first.id).await;

        stage.start(StageOptions::default());
        gate.entered().await;
        gate.open(1);
        assert_eq!(stage.ended(first.id).await.state, JobState::Succeeded);
        assert!(!publish_for_later(&stage, "second").await.duplicate, "the key is free");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_job_that_runs_again_serves_those_who_asked_before_it_was_claimed() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let mut stage = quiet(database, Registry::new().with(gated::<LongAgain>(&gate))).await;
        let publish =
            async |note: &str| publish_with(&stage, &LongAgain::keyed(note, "k"), |publish| publish).await;
        let first = publish("first").await;
        assert!(publish("before its claim").await.duplicate);
        stage.start(StageOptions::default());
        gate.entered().await;
        gate.open(1);
        stage.ended(first.id).await;
        let filter = job::Filter { parent: Some(first.id), ..job::Filter::default() };
        assert!(
            job::list(stage.database.read(), &filter, 10).await.unwrap().is_empty(),
            "one run served both"
        );
        stage.stop().await;
    }
}

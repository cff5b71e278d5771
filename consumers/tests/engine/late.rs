//! Whoever comes late changes nothing: an older message, an older claim, an older term. What holds them off is looked at one by
//! one here, each where no other could do it in its place.

use std::sync::Arc;
use std::time::Duration;

use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, StageOptions, eventually};
use ackord_consumers::worker::WorkerOptions;
use ackord_entities::ids::JobId;
use ackord_entities::queue::job::{self, Transition};
use ackord_entities::queue::lease::{self, Held};
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_producer::broker::Broker;
use ackord_producer::relay::{Relay, RelayOptions};
use ackord_producer::upkeep::put_back_expired;
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use crate::kinds::{Calls, Hasty, Long, Scripted, Short};
use crate::steps::{
    Colleague, Gate, advance, all_settled, effects_of, gated, in_state, in_transaction, message,
    publish_with, quiet, staged, transient, waiting,
};

/// A job that is not due, so that nothing but the test moves its row.
async fn far_away(stage: &Stage) -> JobId {
    publish_with(stage, &Short::new("tea"), |publish| publish.due_in(Duration::from_secs(3600))).await.id
}

fn success(id: JobId, seq: i32) -> Transition {
    Transition {
        id,
        seq,
        next_seq: seq,
        state: JobState::Succeeded,
        attempt: 1,
        deferrals: 0,
        started_at: None,
        error: None,
        result: None,
    }
}

#[tokio::test]
async fn a_transition_of_another_seq_or_of_a_job_that_has_ended_moves_nothing() {
    for database in TestDatabase::each().await {
        let stage = quiet(database, Registry::new().with(Scripted::<Short>::new())).await;
        let id = far_away(&stage).await;
        let move_to = async |seq| {
            in_transaction(&stage, async |tx, now| {
                job::transition(tx, &[success(id, seq)], now).await.unwrap()
            })
            .await
        };
        let before = stage.job(id).await;
        assert_eq!((move_to(0).await, move_to(2).await), (0, 0));
        assert_eq!(stage.job(id).await, before);
        assert_eq!(move_to(1).await, 1);
        assert_eq!(move_to(1).await, 0, "an end is an end");
    }
}

#[tokio::test]
async fn a_lease_that_was_taken_over_is_lost_to_the_older_term_also_of_the_same_job() {
    for database in TestDatabase::each().await {
        let stage = quiet(database, Registry::new()).await;
        let (owner, other) = (JobId::new(), JobId::new());
        in_transaction(&stage, async |tx, now| {
            let soon = now + TimeDelta::seconds(30);
            let take = async |job| lease::acquire(tx, "graph:one", job, now, soon).await.unwrap();
            let first = take(owner).await.unwrap();
            assert_eq!(take(other).await.unwrap_err().owner, owner, "it is taken");
            let second = take(owner).await.unwrap();
            assert!(second.term > first.term, "{first:?} {second:?}");
            let is_held = async |held: &Held| {
                let held = std::slice::from_ref(held);
                let verified = lease::verify(tx, held).await.unwrap();
                assert_eq!(lease::renew(tx, held, soon).await.unwrap(), verified);
                !verified.is_empty()
            };
            assert_eq!((is_held(&first).await, is_held(&second).await), (false, true));
            // Freed, or expired and taken by somebody else: the numbers go on from there.
            lease::free(tx, &[owner]).await.unwrap();
            assert!(!is_held(&second).await);
            let third = take(other).await.unwrap();
            assert!(third.term > second.term && !is_held(&second).await);
            let after = lease::acquire(tx, "graph:one", owner, soon, soon).await.unwrap().unwrap();
            assert!(after.term > third.term && !is_held(&third).await);
        })
        .await;
    }
}

/// Its first message comes again while its second one waits for its time.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_message_of_a_job_that_waits_for_its_retry_is_not_its_turn() {
    for database in TestDatabase::each().await {
        let calls = Calls::default();
        let handler = Scripted::<Hasty>::new().perform({
            let calls = calls.clone();
            move |turn, _| {
                calls.count(&turn.job.note);
                Box::pin(async { Err(transient("busy")) })
            }
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let job = Hasty::new("tea");
        // Its backoff is long enough for everything below.
        let id = stage.publish(&job).await;
        let before = eventually("its first attempt failed", async || {
            job::find(stage.database.read(), id).await.ok()?.filter(|job| job.attempt == 1)
        })
        .await;
        let waits = waiting(&stage, id).await.unwrap();
        assert_eq!((before.state, before.seq, waits.seq), (JobState::Pending, 2, 2));
        stage.deliver(message(id, Some(1), &job)).await;
        all_settled::<Hasty>(&stage).await;
        assert_eq!(stage.job(id).await, before);
        assert_eq!(calls.of("tea"), 1);
        stage.stop().await;
    }
}

/// The other claim is the same job's, so its lease has the same owner, and the same key. Only the seq tells them apart.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_worker_whose_job_runs_again_elsewhere_writes_nothing() {
    for database in TestDatabase::each().await {
        let (frozen_gate, gate) = (Gate::new(), Gate::new());
        let mut stage = quiet(database, Registry::new().with(gated::<Long>(&gate))).await;
        let long_lease = WorkerOptions {
            grace: Duration::from_secs(60),
            lease: Duration::from_secs(3600),
            archive: false,
            ..WorkerOptions::default()
        };
        let frozen = Colleague::start(&stage, Registry::new().with(gated::<Long>(&frozen_gate)), long_lease);
        let relay = Relay::new(
            stage.database.clone(),
            Arc::clone(&stage.broker) as Arc<dyn Broker>,
            stage.doorbell.clone(),
            RelayOptions::default(),
        );
        let stop_relay = CancellationToken::new();
        let relay = tokio::spawn(relay.run(stop_relay.clone()));
        let id = stage.publish(&Long::new("tea")).await;
        frozen_gate.entered().await;
        in_state(&stage, id, JobState::Running).await;
        frozen.stop.cancel();
        stage.start(StageOptions { relay: false, ..StageOptions::default() });
        advance(&stage, 3601);
        assert_eq!(put_back_expired(&stage.database, &stage.doorbell).await.unwrap(), 1);
        gate.entered().await;
        let running = in_state(&stage, id, JobState::Running).await;
        assert_eq!((running.seq, running.attempt), (4, 2));
        frozen_gate.open(1);
        frozen.stopped().await;
        assert_eq!(stage.job(id).await, running, "the other one still has it");
        assert_eq!(effects_of(&stage, id).await, [""; 0]);
        gate.open(1);
        assert_eq!(stage.ended(id).await.attempt, 2);
        assert_eq!(effects_of(&stage, id).await, ["tea"]);
        stop_relay.cancel();
        relay.await.unwrap();
        stage.stop().await;
    }
}

/// Its row still says that it runs. Only the leases say that somebody else has what it works on.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_has_lost_one_of_its_leases_writes_nothing() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let mut stage = quiet(database, Registry::new().with(gated::<Long>(&gate))).await;
        let worker = WorkerOptions { lease: Duration::from_secs(3600), ..StageOptions::default().worker };
        stage.start(StageOptions { worker, ..StageOptions::default() });
        let id = stage.publish(&Long::keyed("tea", "graph:one")).await;
        gate.entered().await;
        let running = in_state(&stage, id, JobState::Running).await;
        in_transaction(&stage, async |tx, now| {
            let much_later = now + TimeDelta::hours(2);
            let taken = lease::acquire(tx, "graph:one", JobId::new(), much_later, much_later).await.unwrap();
            assert_eq!(taken.unwrap().term, 2);
        })
        .await;
        gate.open(1);
        stage.stop().await;
        assert_eq!(stage.job(id).await, running);
        assert_eq!(effects_of(&stage, id).await, [""; 0]);
    }
}

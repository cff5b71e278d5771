//! Leases: one key, one job at a time; a worker that lost its lease writes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, StageOptions, eventually};
use ackord_consumers::worker::WorkerOptions;
use ackord_entities::queue::attempt::Outcome as Attempt;
use ackord_entities::queue::outbox::Cause;
use ackord_entities::queue::state::{JobState, ShownState};
use ackord_entities::testing::TestDatabase;
use ackord_producer::upkeep::put_back_expired;

use crate::kinds::{Calls, Long, Scripted};
use crate::steps::{
    Colleague, Gate, advance, attempts_of, effects_of, gated, in_state, letters, now, quiet, shown, staged,
    waiting,
};

async fn waits_for_lease(stage: &Stage, id: ackord_entities::ids::JobId) {
    eventually("the job waits for the lease", async || {
        waiting(stage, id).await.filter(|message| message.waits_for.is_some())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_one_key_never_overlap() {
    for database in TestDatabase::each().await {
        let (inside, overlaps) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let handler = Scripted::<Long>::new().perform({
            let (inside, overlaps) = (Arc::clone(&inside), Arc::clone(&overlaps));
            move |turn, _| {
                let (inside, overlaps) = (Arc::clone(&inside), Arc::clone(&overlaps));
                Box::pin(async move {
                    overlaps.fetch_add(inside.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
                    for _ in 0..20 {
                        tokio::task::yield_now().await;
                    }
                    inside.fetch_sub(1, Ordering::SeqCst);
                    Ok(turn.job.note.clone())
                })
            }
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let mut ids = Vec::new();
        for number in 0..12 {
            ids.push(stage.publish(&Long::keyed(&number.to_string(), "graph:one")).await);
        }
        for (number, id) in ids.into_iter().enumerate() {
            let job = stage.ended(id).await;
            assert_eq!((job.state, job.attempt), (JobState::Succeeded, 1));
            assert_eq!(effects_of(&stage, id).await, [number.to_string()]);
        }
        assert_eq!(overlaps.load(Ordering::SeqCst), 0);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_different_keys_run_beside_each_other() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let mut stage = staged(database, Registry::new().with(gated::<Long>(&gate))).await;
        let one = stage.publish(&Long::keyed("one", "graph:one")).await;
        let two = stage.publish(&Long::keyed("two", "graph:two")).await;
        gate.entered().await;
        gate.entered().await;
        gate.open(2);
        for id in [one, two] {
            assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
        }
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_a_lease_says_so_and_is_woken_when_it_is_free() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let mut stage = quiet(database, Registry::new().with(gated::<Long>(&gate))).await;
        // Its expiry is far away: only the waking can be what starts the second job.
        let worker = WorkerOptions { lease: Duration::from_secs(3600), ..StageOptions::default().worker };
        stage.start(StageOptions { worker, ..StageOptions::default() });
        let first = stage.publish(&Long::keyed("one", "graph:one")).await;
        gate.entered().await;
        let second = stage.publish(&Long::keyed("two", "graph:one")).await;
        waits_for_lease(&stage, second).await;
        let message = waiting(&stage, second).await.unwrap();
        assert_eq!((message.cause, message.seq, stage.job(second).await.seq), (Cause::Deferral, 2, 2));
        assert!(message.reason.unwrap().contains(&first.to_string()), "the holder is named");
        assert_eq!(shown(&stage, second).await, ShownState::Deferred);
        assert_eq!(gate.here(), 0);
        gate.open(2);
        stage.ended(first).await;
        let job = stage.ended(second).await;
        assert_eq!((job.state, job.attempt), (JobState::Succeeded, 1));
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_kept_for_as_long_as_the_work_takes() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let mut stage = quiet(database, Registry::new().with(gated::<Long>(&gate))).await;
        let worker = WorkerOptions { lease: Duration::from_millis(300), ..StageOptions::default().worker };
        stage.start(StageOptions { worker, ..StageOptions::default() });
        let id = stage.publish(&Long::new("tea")).await;
        gate.entered().await;
        let begun = now(&stage).await;
        // Several times the length of the lease, with a sweeper at work.
        eventually("the lease would have expired thrice", async || {
            assert_eq!(put_back_expired(&stage.database, &stage.doorbell).await.unwrap(), 0);
            (now(&stage).await - begun > chrono::TimeDelta::milliseconds(900)).then_some(())
        })
        .await;
        gate.open(1);
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt), (JobState::Succeeded, 1));
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweeper_puts_back_the_job_of_a_dead_worker() {
    for database in TestDatabase::each().await {
        let (gate, calls) = (Gate::new(), Calls::default());
        let handler = Scripted::<Long>::new().perform({
            let (gate, calls) = (gate.clone(), calls.clone());
            move |turn, _| {
                let gate = gate.clone();
                let call = calls.count(&turn.job.note);
                Box::pin(async move {
                    if call == 1 {
                        gate.pass().await;
                    }
                    Ok(turn.job.note.clone())
                })
            }
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Long::keyed("tea", "graph:one")).await;
        gate.entered().await;
        in_state(&stage, id, JobState::Running).await;
        stage.kill().await;
        assert_eq!(
            put_back_expired(&stage.database, &stage.doorbell).await.unwrap(),
            0,
            "not before its time"
        );
        advance(&stage, 31);
        assert_eq!(put_back_expired(&stage.database, &stage.doorbell).await.unwrap(), 1);
        let message = waiting(&stage, id).await.unwrap();
        // One more than the claim's, which is one more than the first message's.
        assert_eq!((message.cause, message.seq, stage.job(id).await.seq), (Cause::LeaseExpired, 3, 3));
        stage.start(StageOptions::default());
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt), (JobState::Succeeded, 2));
        assert_eq!(effects_of(&stage, id).await, ["tea"]);
        let lost = (1, Attempt::Lost, Some("lease_expired".to_owned()));
        assert_eq!(attempts_of(&stage, id).await, [lost, (2, Attempt::Succeeded, None)]);
        stage.stop().await;
    }
}

/// The frozen worker drains, so that the job's second message reaches the other one.
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_worker_that_wakes_up_late_writes_nothing() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let mut stage = quiet(database, Registry::new().with(Scripted::<Long>::new())).await;
        let frozen = Registry::new().with(gated::<Long>(&gate));
        let options = WorkerOptions {
            name: "frozen".to_owned(),
            grace: Duration::from_secs(60),
            lease: Duration::from_secs(3600),
            archive: false,
            ..WorkerOptions::default()
        };
        let colleague = Colleague::start(&stage, frozen, options);
        let worker = WorkerOptions { name: "lively".to_owned(), ..StageOptions::default().worker };
        let relay = ackord_producer::relay::Relay::new(
            stage.database.clone(),
            Arc::clone(&stage.broker) as Arc<dyn ackord_producer::broker::Broker>,
            stage.doorbell.clone(),
            ackord_producer::relay::RelayOptions::default(),
        );
        let stop_relay = tokio_util::sync::CancellationToken::new();
        let relay = tokio::spawn(relay.run(stop_relay.clone()));
        let id = stage.publish(&Long::keyed("tea", "graph:one")).await;
        gate.entered().await;
        in_state(&stage, id, JobState::Running).await;
        colleague.stop.cancel();
        stage.start(StageOptions { worker, relay: false });
        advance(&stage, 3601);
        assert_eq!(put_back_expired(&stage.database, &stage.doorbell).await.unwrap(), 1);
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt), (JobState::Succeeded, 2));
        gate.open(1);
        colleague.stopped().await;
        assert_eq!(stage.job(id).await, job, "the late result is dropped");
        assert_eq!(effects_of(&stage, id).await, ["tea"]);
        assert_eq!(attempts_of(&stage, id).await.len(), 2);
        assert!(letters(&stage).await.is_empty());
        stop_relay.cancel();
        relay.await.unwrap();
        stage.stop().await;
    }
}

/// The same in one worker: its second delivery must not be lost behind the frozen first one.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_put_back_while_it_is_still_performed_here_is_done_once() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let mut stage = quiet(database, Registry::new().with(gated::<Long>(&gate))).await;
        let worker = WorkerOptions { lease: Duration::from_secs(3600), ..StageOptions::default().worker };
        stage.start(StageOptions { worker, ..StageOptions::default() });
        let id = stage.publish(&Long::new("tea")).await;
        gate.entered().await;
        in_state(&stage, id, JobState::Running).await;
        advance(&stage, 3601);
        assert_eq!(put_back_expired(&stage.database, &stage.doorbell).await.unwrap(), 1);
        gate.open(2);
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt), (JobState::Succeeded, 2));
        assert_eq!(effects_of(&stage, id).await, ["tea"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_attempt_of_a_lost_worker_makes_a_dead_letter() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let mut stage = quiet(database, Registry::new().with(gated::<Long>(&gate))).await;
        let id = stage.publish(&Long::new("tea")).await;
        for _ in 0..5 {
            stage.start(StageOptions::default());
            gate.entered().await;
            in_state(&stage, id, JobState::Running).await;
            stage.kill().await;
            advance(&stage, 31);
            assert_eq!(put_back_expired(&stage.database, &stage.doorbell).await.unwrap(), 1);
        }
        stage.start(StageOptions::default());
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt), (JobState::Dead, 5));
        assert_eq!(job.error_code.as_deref(), Some("lease_expired"));
        assert_eq!(effects_of(&stage, id).await, ["abandoned: lease_expired"]);
        stage.stop().await;
    }
}

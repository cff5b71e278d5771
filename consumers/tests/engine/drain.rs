//! A worker that is told to stop: takes nothing new, lets run what may finish in time, and gives back the rest unharmed.

use std::time::Duration;

use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, StageOptions};
use ackord_consumers::worker::WorkerOptions;
use ackord_entities::queue::attempt::Outcome as Attempt;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_producer::broker::Held;

use crate::kinds::{Calls, Long, Noted, Scripted, Work};
use crate::steps::{Gate, attempts_of, effects_of, in_state, quiet, staged, unsettled, warmed_up};

/// Its first call of each note waits at the gate.
fn gated<J: Noted>(gate: &Gate, calls: &Calls) -> Scripted<J> {
    let (gate, calls) = (gate.clone(), calls.clone());
    Scripted::<J>::new().perform(move |turn, _| {
        let gate = gate.clone();
        let call = calls.count(turn.job.note());
        Box::pin(async move {
            if call == 1 {
                gate.pass().await;
            }
            Ok(turn.job.note().to_owned())
        })
    })
}

fn with_grace(grace: Duration) -> StageOptions {
    StageOptions {
        worker: WorkerOptions { grace, ..StageOptions::default().worker },
        ..StageOptions::default()
    }
}

fn held(stage: &Stage, queue: &str) -> Held {
    stage.broker.held(queue).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_may_finish_and_what_waits_goes_back() {
    for database in TestDatabase::each().await {
        let (gate, calls) = (Gate::new(), Calls::default());
        let mut stage = quiet(database, Registry::new().with(gated::<Work>(&gate, &calls))).await;
        let mut options = with_grace(Duration::from_secs(60));
        options.worker.concurrency.insert("work".to_owned(), 2);
        stage.start(options.clone());
        warmed_up(&stage, &gate, 2).await;
        let mut ids = Vec::new();
        for number in 0..5 {
            ids.push(stage.publish(&Work::new(&number.to_string())).await);
        }
        gate.entered().await;
        gate.entered().await;
        unsettled::<Work>(&stage, 5).await;
        let health = stage.health();
        {
            let stopping = stage.stop();
            tokio::pin!(stopping);
            let draining = ackord_consumers::testing::eventually("the worker drains", async || {
                health.condition().draining.then_some(())
            });
            tokio::select! {
                () = &mut stopping => panic!("it did not wait for what runs"),
                () = draining => {}
            }
            assert!(!health.condition().takes_work());
            gate.open(2);
            stopping.await;
        }
        let states = futures::future::join_all(ids.iter().map(|id| stage.job(*id))).await;
        let done = states.iter().filter(|job| job.state == JobState::Succeeded).count();
        assert_eq!(done, 2, "what ran is committed");
        assert_eq!(
            held(&stage, "ackord.work"),
            Held { ready: 3, unsettled: 0 },
            "and settled; the rest is back"
        );
        stage.start(options);
        gate.open(3);
        for (number, id) in ids.into_iter().enumerate() {
            let job = stage.ended(id).await;
            assert_eq!((job.state, job.attempt), (JobState::Succeeded, 1));
            assert_eq!(effects_of(&stage, id).await, [number.to_string()]);
        }
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handed_over_job_that_does_not_finish_in_time_is_handed_back_uncounted() {
    for database in TestDatabase::each().await {
        let (gate, calls) = (Gate::new(), Calls::default());
        let mut stage = quiet(database, Registry::new().with(gated::<Long>(&gate, &calls))).await;
        stage.start(with_grace(Duration::from_millis(1)));
        let id = stage.publish(&Long::keyed("tea", "graph:one")).await;
        gate.entered().await;
        in_state(&stage, id, JobState::Running).await;
        stage.stop().await;
        let job = stage.job(id).await;
        assert_eq!((job.state, job.attempt, job.seq), (JobState::Pending, 0, 3));
        let handed_back = (1, Attempt::HandedBack, Some("put_off".to_owned()));
        assert_eq!(attempts_of(&stage, id).await, std::slice::from_ref(&handed_back));
        stage.start(StageOptions::default());
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt), (JobState::Succeeded, 1));
        assert_eq!(effects_of(&stage, id).await, ["tea"]);
        assert_eq!(attempts_of(&stage, id).await, [handed_back, (1, Attempt::Succeeded, None)]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_performing_job_that_does_not_finish_in_time_goes_back_to_the_broker() {
    for database in TestDatabase::each().await {
        let (gate, calls) = (Gate::new(), Calls::default());
        let mut stage = quiet(database, Registry::new().with(gated::<Work>(&gate, &calls))).await;
        stage.start(with_grace(Duration::from_millis(1)));
        let id = stage.publish(&Work::keyed("tea", "k")).await;
        gate.entered().await;
        stage.stop().await;
        let job = stage.job(id).await;
        assert_eq!((job.state, job.attempt, job.seq), (JobState::Pending, 0, 1));
        assert_eq!(held(&stage, "ackord.work"), Held { ready: 1, unsettled: 0 });
        stage.start(StageOptions::default());
        assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
        assert_eq!(effects_of(&stage, id).await, ["tea"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_stops_at_once() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, Registry::new().with(Scripted::<Work>::new())).await;
        tokio::time::timeout(Duration::from_secs(5), stage.stop()).await.expect("it stops");
    }
}

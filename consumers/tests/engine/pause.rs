//! Pausing a kind: it is stored, survives restarts, and spares the other kinds.

use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, StageOptions, eventually};
use ackord_entities::ids::JobId;
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{audit, outbox};
use ackord_entities::testing::TestDatabase;
use ackord_producer::broker::Held;
use ackord_producer::operate;

use crate::kinds::{Scripted, Short, Work};
use crate::steps::{Gate, in_transaction, operator, quiet, staged, warmed_up};

async fn pause(stage: &Stage) -> bool {
    in_transaction(stage, async |tx, now| operate::pause(tx, "work", &operator(), now).await.unwrap()).await
}

async fn resume(stage: &Stage) -> bool {
    in_transaction(stage, async |tx, now| operate::resume(tx, "work", &operator(), now).await.unwrap()).await
}

async fn is_paused(stage: &Stage, paused: bool) {
    let health = stage.health();
    eventually("the worker noticed", async || (health.condition().paused.is_empty() != paused).then_some(()))
        .await;
}

/// How many of the jobs' messages wait in the outbox: a paused kind's backlog does not fill the broker.
async fn in_the_outbox(stage: &Stage, jobs: &[JobId]) -> usize {
    outbox::of_jobs(stage.reopen().await.read(), jobs).await.unwrap().len()
}

/// Waits until so many messages wait with the broker and so many are out.
async fn wait_with_the_broker(stage: &Stage, ready: usize, unsettled: usize) {
    let wanted = Held { ready, unsettled };
    eventually("the messages wait with the broker", async || {
        (stage.broker.held("ackord.work")? == wanted).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_kind_waits_over_a_restart_and_the_others_go_on() {
    for database in TestDatabase::each().await {
        let registry = Registry::new().with(Scripted::<Work>::new()).with(Scripted::<Short>::new());
        let mut stage = quiet(database, registry).await;
        assert!(pause(&stage).await);
        assert!(!pause(&stage).await, "pressed twice, done once");
        stage.start(StageOptions::default());
        is_paused(&stage, true).await;
        let mut held = Vec::new();
        for number in 0..20 {
            held.push(stage.publish(&Work::new(&number.to_string())).await);
        }
        let free = stage.publish(&Short::new("free")).await;
        stage.ended(free).await;
        assert_eq!(in_the_outbox(&stage, &held).await, 20);
        for round in 0..2 {
            if round == 0 {
                stage.stop().await;
            } else {
                stage.kill().await;
            }
            stage.start(StageOptions::default());
            is_paused(&stage, true).await;
            let free = stage.publish(&Short::new("free")).await;
            stage.ended(free).await;
            assert_eq!(in_the_outbox(&stage, &held).await, 20);
            for id in &held {
                assert_eq!(stage.job(*id).await.state, JobState::Pending);
            }
        }
        assert!(resume(&stage).await);
        assert!(!resume(&stage).await);
        for id in held {
            assert_eq!(stage.ended(id).await.attempt, 1);
        }
        is_paused(&stage, false).await;
        let deeds = audit::of_subject(stage.database.read(), "work").await.unwrap();
        assert_eq!(deeds.iter().map(|deed| deed.verb.as_str()).collect::<Vec<_>>(), ["pause", "resume"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_when_its_kind_is_paused_may_finish_and_what_waits_goes_back() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let handler = Scripted::<Work>::new().perform({
            let gate = gate.clone();
            move |turn, _| {
                let gate = gate.clone();
                Box::pin(async move {
                    gate.pass().await;
                    Ok(turn.job.note.clone())
                })
            }
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        warmed_up(&stage, &gate, 8).await;
        let mut ids = Vec::new();
        for number in 0..20 {
            ids.push(stage.publish(&Work::new(&number.to_string())).await);
        }
        for _ in 0..8 {
            gate.entered().await;
        }
        wait_with_the_broker(&stage, 0, 20).await;
        pause(&stage).await;
        is_paused(&stage, true).await;
        wait_with_the_broker(&stage, 12, 8).await;
        gate.open(20);
        wait_with_the_broker(&stage, 12, 0).await;
        resume(&stage).await;
        for id in ids {
            assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
        }
        stage.stop().await;
    }
}

//! A broker that forgot, rows that are old, and starts on a database that holds finished work.

use std::time::Duration;

use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{StageOptions, eventually};
use ackord_entities::queue::outbox::Cause;
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{job, outbox};
use ackord_entities::testing::TestDatabase;
use ackord_producer::operate;
use ackord_producer::upkeep::{Retention, RetentionOptions, reconcile};
use tokio_util::sync::CancellationToken;

use crate::kinds::{Calls, Long, Scripted, Short, Work};
use crate::steps::{
    Gate, advance, effects_of, in_state, in_transaction, letters_of, operator, permanent, publish_with,
    quiet, staged, unsettled, waiting, warmed_up,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_forgot_is_told_again() {
    for database in TestDatabase::each().await {
        let (gate, calls) = (Gate::new(), Calls::default());
        let handler = Scripted::<Work>::new().perform({
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
        warmed_up(&stage, &gate, 8).await;
        let mut ids = Vec::new();
        for number in 0..20 {
            ids.push(stage.publish(&Work::new(&number.to_string())).await);
        }
        let later =
            publish_with(&stage, &Work::new("later"), |publish| publish.due_in(Duration::from_secs(3600)))
                .await
                .id;
        unsettled::<Work>(&stage, 20).await;
        // A relay that dies between the confirm and its commit keeps what it has sent.
        eventually("only the later one waits to be sent", async || {
            let waits = outbox::of_jobs(stage.database.read(), &ids).await.unwrap();
            waits.is_empty().then_some(())
        })
        .await;
        stage.kill().await;
        stage.lose_broker().await;
        assert_eq!(reconcile(&stage.database, None, &stage.doorbell).await.unwrap(), 20);
        assert_eq!(reconcile(&stage.database, None, &stage.doorbell).await.unwrap(), 0, "once is enough");
        assert_eq!(waiting(&stage, ids[0]).await.unwrap().cause, Cause::Reconcile);
        assert_eq!(
            waiting(&stage, later).await.unwrap().cause,
            Cause::Publish,
            "what waits anyway is left alone"
        );
        gate.open(40);
        stage.start(StageOptions::default());
        for (number, id) in ids.into_iter().enumerate() {
            let job = stage.ended(id).await;
            assert_eq!((job.state, job.seq), (JobState::Succeeded, 1), "the seq stays");
            assert_eq!(effects_of(&stage, id).await, [number.to_string()]);
        }
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn telling_a_broker_that_had_not_forgotten_does_no_harm() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let handler = Scripted::<Long>::new().perform({
            let gate = gate.clone();
            move |turn, _| {
                let gate = gate.clone();
                Box::pin(async move {
                    gate.pass().await;
                    Ok(turn.job.note.clone())
                })
            }
        });
        let registry = Registry::new().with(handler).with(Scripted::<Short>::new());
        let mut stage = quiet(database, registry).await;
        let id = stage.publish(&Long::new("tea")).await;
        stage.start(StageOptions::default());
        gate.entered().await;
        in_state(&stage, id, JobState::Running).await;
        assert_eq!(
            reconcile(&stage.database, None, &stage.doorbell).await.unwrap(),
            0,
            "a running job has a worker"
        );
        assert_eq!(reconcile(&stage.database, Some("short"), &stage.doorbell).await.unwrap(), 0);
        gate.open(1);
        assert_eq!(stage.ended(id).await.attempt, 1);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_removes_what_is_finished_and_old_and_nothing_else() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Short>::new().commit(|turn, tx| {
            Box::pin(async move {
                crate::effects::write_effect(tx, turn.id, &turn.job.note).await?;
                if turn.job.note == "bad" {
                    Err(permanent("bad"))
                } else {
                    Ok(ackord_consumers::handler::Outcome::succeeded())
                }
            })
        });
        let registry = Registry::new().with(handler);
        let mut stage = staged(database, registry.clone()).await;
        let old = stage.publish(&Short::new("old")).await;
        let open = stage.publish(&Short::new("bad")).await;
        let resolved = stage.publish(&Short::new("bad")).await;
        let year = Duration::from_secs(365 * 24 * 3600);
        let unfinished = publish_with(&stage, &Short::new("later"), |publish| publish.due_in(year)).await.id;
        for id in [old, open, resolved] {
            stage.ended(id).await;
        }
        let letter = letters_of(&stage, resolved).await[0].id;
        in_transaction(&stage, async |tx, now| {
            operate::discard(tx, &[letter], &operator(), now).await.unwrap()
        })
        .await;
        stage.stop().await;
        let retention = || {
            Retention::new(
                stage.database.clone(),
                registry.catalogue(),
                RetentionOptions { step: 1, ..RetentionOptions::default() },
            )
        };
        assert_eq!(retention().pass(&CancellationToken::new()).await.unwrap(), 0, "nothing is old yet");
        advance(&stage, 15 * 24 * 3600);
        retention().pass(&CancellationToken::new()).await.unwrap();
        for (id, stays) in [(old, false), (open, true), (resolved, false), (unfinished, true)] {
            assert_eq!(job::find(stage.database.read(), id).await.unwrap().is_some(), stays);
            assert_eq!(letters_of(&stage, id).await.len(), usize::from(id == open));
        }
        assert_eq!(retention().pass(&CancellationToken::new()).await.unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_on_finished_work_does_nothing_twice_and_goes_on() {
    for database in TestDatabase::each().await {
        let registry = Registry::new().with(Scripted::<Short>::new()).with(Scripted::<Long>::new());
        let mut stage = staged(database, registry).await;
        let mut finished = Vec::new();
        for number in 0..10 {
            let id = match number % 2 {
                0 => stage.publish(&Short::keyed(&number.to_string(), &number.to_string())).await,
                _ => stage.publish(&Long::keyed(&number.to_string(), "graph:one")).await,
            };
            finished.push(stage.ended(id).await);
        }
        stage.stop().await;
        stage.lose_broker().await;
        stage.recover().await;
        stage.start(StageOptions::default());
        let next = stage.publish(&Short::keyed("next", "0")).await;
        let long = stage.publish(&Long::keyed("next", "graph:one")).await;
        for id in [next, long] {
            assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
        }
        for before in finished {
            assert_eq!(stage.job(before.id).await, before);
            assert_eq!(effects_of(&stage, before.id).await.len(), 1);
        }
        stage.stop().await;
    }
}

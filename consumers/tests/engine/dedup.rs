//! Dedup keys: at most one waiting job has one. Idempotency keys: one request, one answer.

use ackord_consumers::handler::Outcome;
use ackord_consumers::registry::Registry;
use ackord_consumers::testing::StageOptions;
use ackord_entities::ids::JobId;
use ackord_entities::queue::idempotency::{self, Known};
use ackord_entities::queue::job;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;

use crate::effects::write_effect;
use crate::kinds::{Again, Calls, Scripted, Short, Work};
use crate::steps::{Gate, advance, effects_of, in_transaction, permanent, publish_with, quiet, staged};

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_gets_the_id_of_the_job_that_holds_the_key() {
    for database in TestDatabase::each().await {
        let mut stage = quiet(database, Registry::new().with(Scripted::<Short>::new())).await;
        let first = publish_with(&stage, &Short::keyed("first", "k"), |publish| publish).await;
        let second = publish_with(&stage, &Short::keyed("second", "k"), |publish| publish).await;
        let other = publish_with(&stage, &Short::keyed("other", "j"), |publish| publish).await;
        assert!(!first.duplicate && second.duplicate && !other.duplicate);
        assert_eq!(first.id, second.id);
        stage.start(StageOptions::default());
        stage.ended(first.id).await;
        assert_eq!(effects_of(&stage, first.id).await, ["first"]);
        // The key is free again.
        let third = publish_with(&stage, &Short::keyed("third", "k"), |publish| publish).await;
        assert!(!third.duplicate);
        stage.ended(third.id).await;
        assert_eq!(effects_of(&stage, third.id).await, ["third"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_publishers_at_once_make_one_job() {
    for database in TestDatabase::each().await {
        let mut stage = quiet(database, Registry::new().with(Scripted::<Short>::new())).await;
        let job = Short::keyed("first", "k");
        let publishers = (0..20).map(|_| publish_with(&stage, &job, |publish| publish));
        let published = futures::future::join_all(publishers).await;
        assert_eq!(published.iter().filter(|one| !one.duplicate).count(), 1);
        assert!(published.iter().all(|one| one.id == published[0].id));
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_runs_again_sees_what_its_duplicate_was_about() {
    for database in TestDatabase::each().await {
        let (gate, calls) = (Gate::new(), Calls::default());
        let handler = Scripted::<Again>::new().perform({
            let (gate, calls) = (gate.clone(), calls.clone());
            move |turn, _| {
                let gate = gate.clone();
                let call = calls.count(&turn.job.note);
                Box::pin(async move {
                    if call == 1 {
                        gate.pass().await;
                    }
                    Ok(format!("run {call}"))
                })
            }
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let first = stage.publish(&Again::keyed("tea", "k")).await;
        gate.entered().await;
        for _ in 0..3 {
            let again = publish_with(&stage, &Again::keyed("tea", "k"), |publish| publish).await;
            assert!(again.duplicate && again.id == first);
        }
        gate.open(1);
        stage.ended(first).await;
        let filter = job::Filter { parent: Some(first), ..job::Filter::default() };
        let more = job::list(stage.database.read(), &filter, 10).await.unwrap();
        assert_eq!(more.len(), 1, "three wishes, one more run");
        assert_eq!(stage.ended(more[0].id).await.state, JobState::Succeeded);
        assert_eq!(effects_of(&stage, more[0].id).await, ["run 2"]);
        // And that is all: nobody asked again.
        let filter = job::Filter { parent: Some(more[0].id), ..job::Filter::default() };
        assert!(job::list(stage.database.read(), &filter, 10).await.unwrap().is_empty());
        stage.stop().await;
    }
}

/// A commit half that publishes a job of its own kind and key must not find itself in the way.
#[tokio::test(flavor = "multi_thread")]
async fn the_claim_releases_the_key_before_the_commit_half_runs() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Short>::new().commit(|turn, tx| {
            Box::pin(async move {
                write_effect(tx, turn.id, &turn.job.note).await?;
                if turn.job.note == "first" {
                    let next = Short { note: "next".to_owned(), ..turn.job.clone() };
                    let next = ackord_producer::enqueue(tx.connection(), &next, &turn.follow_up(tx)).await?;
                    assert!(!next.duplicate);
                }
                Ok(Outcome::succeeded())
            })
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let first = stage.publish(&Short::keyed("first", "k")).await;
        stage.ended(first).await;
        let filter = job::Filter { parent: Some(first), ..job::Filter::default() };
        let next = job::list(stage.database.read(), &filter, 10).await.unwrap();
        assert_eq!(stage.ended(next[0].id).await.state, JobState::Succeeded);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_dies_frees_its_key_and_one_that_is_retried_keeps_it() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let handler = Scripted::<Work>::new().perform({
            let gate = gate.clone();
            move |turn, _| {
                let gate = gate.clone();
                Box::pin(async move {
                    if turn.attempt == 2 {
                        gate.pass().await;
                    }
                    Err(crate::steps::transient("busy"))
                })
            }
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let first = stage.publish(&Work::keyed("tea", "k")).await;
        gate.entered().await;
        assert!(publish_with(&stage, &Work::keyed("tea", "k"), |publish| publish).await.duplicate);
        gate.open(1);
        assert_eq!(stage.ended(first).await.state, JobState::Dead);
        gate.open(1);
        assert!(!publish_with(&stage, &Work::keyed("tea", "k"), |publish| publish).await.duplicate);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_free_again_also_when_the_group_of_its_job_had_to_be_taken_apart() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Short>::new().commit(|turn, tx| {
            Box::pin(async move {
                if turn.job.note == "bad" {
                    return Err(permanent("bad"));
                }
                write_effect(tx, turn.id, &turn.job.note).await?;
                Ok(Outcome::succeeded())
            })
        });
        let mut stage = quiet(database, Registry::new().with(handler)).await;
        let good = publish_with(&stage, &Short::keyed("good", "k"), |publish| publish).await;
        let bad = stage.publish(&Short::new("bad")).await;
        stage.start(StageOptions::default());
        assert_eq!(stage.ended(good.id).await.state, JobState::Succeeded);
        assert_eq!(stage.ended(bad).await.state, JobState::Dead);
        let next = publish_with(&stage, &Short::keyed("next", "k"), |publish| publish).await;
        assert!(!next.duplicate);
        stage.ended(next.id).await;
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_a_finished_job_again_by_its_id_does_not_take_its_key() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, Registry::new().with(Scripted::<Short>::new())).await;
        let id = JobId::new();
        let job = Short::keyed("tea", "k");
        assert!(!publish_with(&stage, &job, |publish| publish.with_id(id)).await.duplicate);
        stage.ended(id).await;
        let again = publish_with(&stage, &job, |publish| publish.with_id(id)).await;
        assert!(again.duplicate && again.id == id);
        let next = publish_with(&stage, &job, |publish| publish).await;
        assert!(!next.duplicate, "nobody holds the key");
        stage.ended(next.id).await;
        assert_eq!(effects_of(&stage, id).await, ["tea"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_once_and_its_answer_is_remembered_for_a_day() {
    for database in TestDatabase::each().await {
        let mut stage = quiet(database, Registry::new().with(Scripted::<Short>::new())).await;
        let ask = async |request: &str, answer: &str| {
            in_transaction(&stage, async |tx, now| {
                idempotency::remember(tx, "publish", "key", request, answer, now).await.unwrap()
            })
            .await
        };
        assert_eq!(ask("tea", "one").await, Known::New);
        assert_eq!(ask("tea", "two").await, Known::Answered("one".to_owned()));
        assert_eq!(ask("cake", "three").await, Known::OtherRequest);
        advance(&stage, 24 * 3600 + 1);
        assert_eq!(ask("cake", "three").await, Known::New);
        stage.stop().await;
    }
}

//! A job is published, relayed, delivered, performed, committed and settled.

use ackord_consumers::handler::Outcome;
use ackord_consumers::registry::Registry;
use ackord_entities::queue::attempt::Outcome as Attempt;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use serde_json::json;

use crate::kinds::{Long, Scripted, Short, Work};
use crate::steps::{all_settled, attempts_of, effects_of, in_transaction, publish_with, staged};

#[tokio::test(flavor = "multi_thread")]
async fn a_short_job_has_its_effect_and_costs_nothing_but_its_row() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, Registry::new().with(Scripted::<Short>::new())).await;
        let id = stage.publish(&Short::new("tea")).await;
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt, job.seq), (JobState::Succeeded, 1, 1));
        assert_eq!(effects_of(&stage, id).await, ["tea"]);
        assert!(attempts_of(&stage, id).await.is_empty());
        all_settled::<Short>(&stage).await;
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slow_half_hands_its_output_to_the_short_one() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Work>::new()
            .perform(|turn, _| Box::pin(async move { Ok(turn.job.note.to_uppercase()) }));
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Work::new("tea")).await;
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt, job.seq), (JobState::Succeeded, 1, 1));
        assert_eq!(effects_of(&stage, id).await, ["TEA"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_job_is_handed_over_and_its_attempt_is_recorded() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, Registry::new().with(Scripted::<Long>::new())).await;
        let id = stage.publish(&Long::new("tea")).await;
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt, job.seq), (JobState::Succeeded, 1, 2));
        assert_eq!(effects_of(&stage, id).await, ["tea"]);
        assert_eq!(attempts_of(&stage, id).await, [(1, Attempt::Succeeded, None)]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_jobs_each_have_their_effect_once() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, Registry::new().with(Scripted::<Short>::new())).await;
        let jobs: Vec<Short> = (0..500).map(|number| Short::new(&number.to_string())).collect();
        let published = in_transaction(&stage, async |tx, now| {
            ackord_producer::enqueue_all(tx, &jobs, &ackord_producer::Publish::at(now)).await.unwrap()
        })
        .await;
        for (number, one) in published.into_iter().enumerate() {
            assert_eq!(stage.ended(one.id).await.state, JobState::Succeeded);
            assert_eq!(crate::effects::effects(&stage.database, one.id).await, [number.to_string()]);
        }
        all_settled::<Short>(&stage).await;
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follow_up_is_published_with_the_commit_and_knows_its_parent() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Work>::new().commit(|turn, tx| {
            Box::pin(async move {
                let next = Short::new("follow-up");
                ackord_producer::enqueue(tx.connection(), &next, &turn.follow_up(tx)).await?;
                Ok(Outcome::with_result(json!({ "answer": 42 })))
            })
        });
        let registry = Registry::new().with(handler).with(Scripted::<Short>::new());
        let mut stage = staged(database, registry).await;
        let id = stage.publish(&Work::new("tea")).await;
        let parent = stage.ended(id).await;
        assert_eq!(parent.result.as_deref(), Some(r#"{"answer":42}"#));
        let filter = ackord_entities::queue::job::Filter { parent: Some(id), ..Default::default() };
        let children = ackord_entities::queue::job::list(stage.database.read(), &filter, 10).await.unwrap();
        assert_eq!(children.len(), 1);
        stage.ended(children[0].id).await;
        assert_eq!(effects_of(&stage, children[0].id).await, ["follow-up"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_job_runs_when_it_is_due_and_not_before() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, Registry::new().with(Scripted::<Short>::new())).await;
        let later = publish_with(&stage, &Short::new("later"), |publish| {
            publish.due_in(std::time::Duration::from_secs(3600))
        })
        .await;
        let sooner = stage.publish(&Short::new("sooner")).await;
        stage.ended(sooner).await;
        assert_eq!(
            crate::steps::shown(&stage, later.id).await,
            ackord_entities::queue::state::ShownState::Scheduled
        );
        crate::steps::advance(&stage, 3601);
        stage.ended(later.id).await;
        assert_eq!(effects_of(&stage, later.id).await, ["later"]);
        stage.stop().await;
    }
}

//! A row is written as succeeded before its commit half has run. What turns out otherwise is recorded as it is.

use ackord_consumers::handler::{Failure, Outcome};
use ackord_consumers::registry::Registry;
use ackord_entities::ids::JobId;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_producer::broker::Broker;
use ackord_producer::broker::topology::PUBLISH_EXCHANGE;

use crate::effects::write_effect;
use crate::kinds::{Calls, Scripted, Short};
use crate::steps::{all_settled, effects_of, message, quiet};

#[tokio::test(flavor = "multi_thread")]
async fn each_of_a_group_ends_as_its_own_half_says() {
    for database in TestDatabase::each().await {
        let calls = Calls::default();
        let counted = calls.clone();
        let handler = Scripted::<Short>::new().commit(move |turn, tx| {
            counted.count(&turn.job.note);
            Box::pin(async move {
                write_effect(tx, turn.id, "done").await?;
                Ok(match turn.job.note.as_str() {
                    "plain" => Outcome::succeeded(),
                    "referring" => Outcome::with_result(serde_json::json!({ "to": "it" })),
                    _ => Outcome::Failed(Failure::new("no_facts", "the graph holds none")),
                })
            })
        });
        let mut stage = quiet(database, Registry::new().with(handler)).await;
        let mut jobs = Vec::new();
        for note in ["plain", "referring", "failed", "plain"] {
            jobs.push((stage.publish(&Short::new(note)).await, note));
            let id = JobId::new();
            stage.broker.publish(PUBLISH_EXCHANGE, &[message(id, None, &Short::new(note))]).await.unwrap();
            jobs.push((id, note));
        }
        stage.start(ackord_consumers::testing::StageOptions::default());
        for (id, note) in jobs {
            let job = stage.ended(id).await;
            let (state, result, error) = match note {
                "plain" => (JobState::Succeeded, None, None),
                "referring" => (JobState::Succeeded, Some(r#"{"to":"it"}"#), None),
                _ => (JobState::Failed, None, Some("no_facts")),
            };
            assert_eq!((job.state, job.seq, job.attempt), (state, 1, 1), "{note}");
            assert_eq!((job.result.as_deref(), job.error_code.as_deref()), (result, error), "{note}");
            assert!(job.finished_at.is_some_and(|at| at >= job.created_at), "{note}");
            assert_eq!(effects_of(&stage, id).await, ["done"], "{note}");
        }
        // The group was not taken apart for those that ended otherwise.
        assert_eq!([calls.of("plain"), calls.of("referring"), calls.of("failed")], [4, 2, 2]);
        all_settled::<Short>(&stage).await;
        stage.stop().await;
    }
}

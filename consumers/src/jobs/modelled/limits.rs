//! What an attempt may use.

use ackord_entities::graph::synthesis::State;
use ackord_entities::queue::state::JobState;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn no_call_is_begun_beyond_the_allowance_and_the_end_names_the_numbers() {
    let server = ModelServer::start(|asked| match search_and_cite(asked) {
        Reply::Said(said) => Reply::Said(said.using(5_000, 20)),
        other => other,
    });
    let tight = ModelOptions { max_tokens_per_attempt: 5_500, ..options(&server) };
    let mut world = world_with(DbBackend::Sqlite, tight).await.unwrap();
    let (id, job) = written(&world).await;
    assert_eq!((job.state, job.error_code.as_deref()), (JobState::Failed, Some("over_budget")));
    assert_eq!(server.asked().len(), 1, "the second would have passed it");
    assert_eq!(calls(&world, job.id).await, [(1, 1, Outcome::Answered, 5_020)]);
    let row = world.row(id).await;
    assert_eq!(row.state, State::Error);
    let text = row.error_message.unwrap();
    for words in ["5020 tokens", "5500", "model.max_tokens_per_attempt"] {
        assert!(text.contains(words), "`{words}` is not in: {text}");
    }
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_without_a_report_count_by_their_length_and_cost_nothing_without_prices() {
    let server = ModelServer::start(|asked| match search_and_cite(asked) {
        Reply::Said(said) => Reply::Said(Said { usage: None, ..said }),
        other => other,
    });
    let mut world =
        world_with(DbBackend::Sqlite, ModelOptions { prices: None, ..options(&server) }).await.unwrap();
    let (_, job) = written(&world).await;
    assert_eq!(job.state, JobState::Succeeded);
    for call in rows(&world, job.id).await {
        assert!(call.estimated && call.prompt_tokens > 100 && call.completion_tokens > 0, "{call:?}");
        assert_eq!(call.cost_micros, None);
    }
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_calls_of_a_job_go_with_it() {
    let server = ModelServer::start(search_and_cite);
    let mut world = world(&server).await;
    let (_, job) = written(&world).await;
    assert_eq!(calls(&world, job.id).await.len(), 2);
    world.stage.stop().await;
    let database = world.stage.database.clone();
    let later = database.clock().now(database.read()).await.unwrap() + chrono::TimeDelta::days(1);
    let tx = database.begin().await.unwrap();
    let found = ackord_entities::queue::retention::finished(&tx, &job.kind, later, None, 100).await.unwrap();
    assert_eq!(ackord_entities::queue::retention::remove(&tx, &found.old).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(calls(&world, job.id).await, []);
}

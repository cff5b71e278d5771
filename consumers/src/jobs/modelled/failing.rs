//! The endpoint does not answer as it should.

use std::sync::Arc;

use ackord_entities::clock::machine_now;
use ackord_entities::graph::synthesis::State;
use ackord_entities::queue::dead_letter;
use ackord_entities::queue::state::JobState;
use chrono::TimeDelta;
use rstest::rstest;
use tokio::sync::Semaphore;

use super::*;

/// The second request fails this way, everything else goes well.
fn once(failure: Reply) -> ModelServer {
    ModelServer::start(move |asked| match asked.number {
        1 => search(),
        2 => failure.clone(),
        _ => search_and_cite(asked),
    })
}

#[rstest]
#[case::broken_off(
    Reply::BrokenOff(Said::finish("A lease ends by itself, and a text with it.")),
    "model_cut_off",
    Outcome::CutOff
)]
#[case::ends_early(
    Reply::EndsEarly(Said::finish("A lease ends by itself, and a text with it.")),
    "model_cut_off",
    Outcome::CutOff
)]
#[case::server_error(Reply::Status(500, vec![], "<h1>Oh no</h1>".to_owned()), "model_failed", Outcome::Failed)]
#[case::too_many(Reply::Status(429, vec![], "{}".to_owned()), "model_busy", Outcome::Failed)]
#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_is_tried_again_and_what_was_paid_for_stays_on_the_books(
    #[case] failure: Reply,
    #[case] code: &str,
    #[case] outcome: Outcome,
) {
    let server = once(failure);
    let mut world = world(&server).await;
    let (id, job) = written(&world).await;
    assert_eq!((job.state, job.attempt), (JobState::Succeeded, 2), "{:?}", job.error);
    assert!(!world.text(id).await.contains("and a text with it"));
    let attempts =
        ackord_entities::queue::attempt::of_job(world.stage.database.read(), job.id).await.unwrap();
    assert_eq!(attempts[0].error_code.as_deref(), Some(code));
    let calls = rows(&world, job.id).await;
    let shape: Vec<_> = calls.iter().map(|call| (call.attempt, call.number, call.outcome)).collect();
    assert_eq!(
        shape,
        [(1, 1, Outcome::Answered), (1, 2, outcome), (2, 1, Outcome::Answered), (2, 2, Outcome::Answered)]
    );
    assert_eq!(
        calls[1].prompt_tokens > 0,
        outcome == Outcome::CutOff,
        "what was sent to a server that failed costs nothing"
    );
    assert_eq!(calls[1].estimated, outcome == Outcome::CutOff);
    world.stage.stop().await;
}

#[rstest]
#[case::seconds("900".to_owned())]
#[case::a_moment((machine_now() + TimeDelta::seconds(930)).format("%a, %d %b %Y %H:%M:%S GMT").to_string())]
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_endpoint_is_left_alone_for_as_long_as_it_says(#[case] retry_after: String) {
    let headers = vec![("retry-after", retry_after)];
    let server = once(Reply::Status(429, headers, r#"{"error":{"message":"slow down"}}"#.to_owned()));
    let mut world = world(&server).await;
    let database = world.stage.database.clone();
    let before = database.clock().now(database.read()).await.unwrap();
    let (_, job) = world.ask(&Synthesis::about("Leases")).await;
    let waits = (retry(&world, job).await.due_at - before).as_seconds_f64();
    assert!((860.0..1_100.0).contains(&waits), "{waits}");
    assert_eq!(server.asked().len(), 2);
    database.clock().advance(Duration::from_secs(1_200));
    world.stage.doorbell.ring();
    assert_eq!(world.stage.ended(job).await.state, JobState::Succeeded);
    world.stage.stop().await;
}

#[rstest]
#[case(401, "model.api_key")]
#[case(403, "model.api_key")]
#[case(404, "model.endpoint")]
#[case(400, "model.name")]
#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_has_to_change_is_named_and_the_key_is_not(#[case] status: u16, #[case] setting: &str) {
    let said = format!(r#"{{"error":{{"message":"Incorrect API key provided: {KEY}"}}}}"#);
    let server = ModelServer::start(move |_| Reply::Status(status, vec![], said.clone()));
    let mut world = world(&server).await;
    let (id, job) = written(&world).await;
    assert_eq!((job.state, job.attempt), (JobState::Dead, 1));
    assert_eq!(server.asked().len(), 1);
    let letters = dead_letter::of_job(world.stage.database.read(), job.id).await.unwrap();
    let row = world.row(id).await;
    assert_eq!(row.state, State::Error);
    for text in [job.error.unwrap(), letters[0].error.clone(), row.error_message.unwrap()] {
        assert!(text.contains(setting) && text.contains("***") && !text.contains(KEY), "{text}");
    }
    let public = job.public_error.unwrap();
    assert!(!public.contains("api_key") && !public.contains("Incorrect"), "{public}");
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_model_and_one_that_is_not_there_are_tried_again() {
    let never = Arc::new(Semaphore::new(0));
    let server = ModelServer::start(move |asked| match asked.number {
        1 => Reply::Held(Arc::clone(&never), Said::finish("Never.")),
        _ => search_and_cite(asked),
    });
    let quick = ModelOptions { chunk_timeout: Duration::from_secs(2), ..options(&server) };
    let mut world = world_with(DbBackend::Sqlite, quick).await.unwrap();
    let (_, job) = written(&world).await;
    let attempts =
        ackord_entities::queue::attempt::of_job(world.stage.database.read(), job.id).await.unwrap();
    assert_eq!(attempts[0].error_code.as_deref(), Some("model_timed_out"));
    assert_eq!(job.state, JobState::Succeeded);
    world.stage.stop().await;

    let gone = ModelOptions { endpoint: "http://127.0.0.1:9".to_owned(), ..options(&server) };
    let mut world = world_with(DbBackend::Sqlite, gone).await.unwrap();
    let (_, job) = world.ask(&Synthesis::about("Leases")).await;
    let waits = retry(&world, job).await;
    assert!(waits.reason.unwrap().contains("does not answer"));
    let calls = rows(&world, job).await;
    assert_eq!(
        (calls[0].outcome, calls[0].prompt_tokens, calls[0].cost_micros),
        (Outcome::Failed, 0, Some(0))
    );
    world.stage.stop().await;
}

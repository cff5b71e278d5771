//! A text is written.

use std::sync::Arc;

use ackord_entities::envelope::Message;
use ackord_entities::graph::synthesis::State;
use ackord_entities::graph::{synthesis_attempt, synthesis_version};
use ackord_entities::jobs::Job as _;
use ackord_entities::queue::model_call::Purpose;
use ackord_entities::queue::state::JobState;
use rstest::rstest;
use tokio::sync::Semaphore;

use super::*;

/// Looks for nodes, visits the first, searches facts, and hands a text in.
fn explores(asked: &Asked) -> Reply {
    match asked.number {
        1 => call("search_nodes", &json!({"query": "lease"})),
        2 => call("node", &json!({"id": asked.last_answer()["nodes"][0]["id"], "query": "expired"})),
        3 => call("edges", &json!({"id": asked.last_answer()["id"]})),
        4 => search(),
        _ => Reply::Said(cites(asked)),
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_model_explores_and_writes_and_each_call_is_on_the_books(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let server = ModelServer::start(explores);
    let Some(mut world) = world_with(backend, options(&server)).await else { return };
    let (id, job) = written(&world).await;
    assert_eq!(job.state, JobState::Succeeded, "{:?}", job.error);
    let row = world.row(id).await;
    assert_eq!((row.state, row.current_version), (State::Completed, Some(1)));
    let version = synthesis_version::of(world.stage.database.read(), id, 1).await.unwrap().unwrap();
    assert!(
        version.markdown.starts_with("An expired lease is taken over [1](/facts/"),
        "{}",
        version.markdown
    );
    assert_eq!((version.producer.as_str(), version.facts_linked), ("model scripted", 1));
    // What it looked at is kept with the attempt: one visit, whatever it asked about the node.
    let attempt = synthesis_attempt::all_of(world.stage.database.read(), id).await.unwrap().remove(0);
    let record: Value = serde_json::from_str(attempt.exploration.as_deref().unwrap()).unwrap();
    assert_eq!(record["visits"].as_array().unwrap().len(), 1, "{record}");
    assert!(record["visits"][0]["new_facts"].as_u64().unwrap() > 0);

    let calls = rows(&world, job.id).await;
    let shape: Vec<_> = calls.iter().map(|call| (call.attempt, call.number, call.outcome)).collect();
    assert_eq!(shape, (1..=5).map(|number| (1, number, Outcome::Answered)).collect::<Vec<_>>());
    for call in &calls {
        assert_eq!((call.purpose, call.model.as_str(), call.estimated), (Purpose::Write, "scripted", false));
        assert_eq!((call.prompt_tokens, call.completion_tokens, call.cached_tokens), (100, 10, Some(40)));
        // 60 at 2, 40 at 1 and 10 at 10 of the currency for a million.
        assert_eq!(call.cost_micros, Some(120 + 40 + 100));
        assert!(call.duration_ms.is_some());
    }
    let first = &server.asked()[0];
    assert_eq!(first.authorization.as_deref(), Some("Bearer sk-test-4711"));
    assert_eq!(
        (&first.body["model"], &first.body["stream_options"]["include_usage"]),
        (&json!("scripted"), &json!(true))
    );
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_message_that_comes_again_makes_no_second_charge() {
    let server = ModelServer::start(search_and_cite);
    let mut world = world(&server).await;
    let (id, job) = written(&world).await;
    let before = calls(&world, job.id).await;
    for seq in [1, job.seq] {
        let body = serde_json::to_vec(&Synthesis::about("Leases")).unwrap().into();
        let again = Message {
            message_id: Some(job.id.to_string()),
            kind: Some(Synthesis::KIND.to_owned()),
            seq: Some(seq),
            body,
            ..Message::default()
        };
        world.stage.deliver(again).await;
    }
    // One more job, which is written after both were dealt with.
    let (_, other) = written(&world).await;
    assert_eq!(other.state, JobState::Succeeded);
    assert_eq!((server.asked().len(), calls(&world, job.id).await), (4, before));
    assert_eq!(world.row(id).await.attempts, 1);
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_is_told_once_that_its_budget_is_spent() {
    let server = ModelServer::start(|asked| {
        let several = |calls: &[(&str, Value)]| {
            let calls = calls.iter().map(|(name, arguments)| ((*name).to_owned(), arguments.to_string()));
            Reply::Said(Said { calls: calls.collect(), ..Said::default() })
        };
        let found = |message: usize| {
            let answer: Value =
                serde_json::from_str(asked.messages()[message]["content"].as_str().unwrap()).unwrap();
            ("node", json!({"id": answer["nodes"][0]["id"]}))
        };
        match asked.number {
            1 => several(&[
                ("search_nodes", json!({"query": "lease"})),
                ("search_nodes", json!({"query": "outbox"})),
            ]),
            2 => several(&[found(3)]),
            // A second node is not visited any more; the first one is read again.
            3 => several(&[found(4), found(3)]),
            _ => Reply::Said(cites(asked)),
        }
    });
    let mut world = world(&server).await;
    let (id, job) = world.ask(&Synthesis { exploration_budget: 1, ..Synthesis::about("Leases") }).await;
    assert_eq!(world.stage.ended(job).await.state, JobState::Succeeded);
    let last = server.asked().pop().unwrap();
    let told: Vec<String> =
        last.users().into_iter().filter(|text| text.contains("Call `finish` now")).collect();
    assert_eq!(told.len(), 1);
    let answers: Vec<String> = last
        .messages()
        .iter()
        .filter(|message| message["role"] == "tool")
        .map(|message| message["content"].as_str().unwrap().to_owned())
        .collect();
    assert!(answers[3].contains("every visit of the budget was made"), "{answers:?}");
    assert!(answers[4].contains("\"facts\""), "the visited node is still free: {answers:?}");
    let attempt = synthesis_attempt::all_of(world.stage.database.read(), id).await.unwrap().remove(0);
    let record: Value = serde_json::from_str(attempt.exploration.as_deref().unwrap()).unwrap();
    assert_eq!(record["visits"].as_array().unwrap().len(), 1);
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_outside_of_finish_is_discarded() {
    let server = ModelServer::start(|asked| match asked.number {
        1 => search(),
        2 => Reply::Said(Said { text: "Here is what I think. ".to_owned(), ..cites(asked) }),
        // Another job: nothing but talk.
        _ => Reply::Said(Said::text("A lease is a claim, I am sure of it.")),
    });
    let mut world = world(&server).await;
    let (id, job) = written(&world).await;
    assert_eq!(job.state, JobState::Succeeded);
    assert!(!world.text(id).await.contains("Here is what I think"));
    let (id, job) = written(&world).await;
    assert_eq!((job.state, job.error_code.as_deref()), (JobState::Failed, Some("no_text")));
    assert_eq!(server.asked().len(), 4, "it was told once");
    let row = world.row(id).await;
    assert_eq!((row.state, row.current_version), (State::Error, None));
    assert!(!row.error_message.unwrap().contains("I am sure"));
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_transaction_is_open_while_the_model_is_asked() {
    let permits = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&permits);
    let server = ModelServer::start(move |asked| match search_and_cite(asked) {
        Reply::Said(said) => Reply::Held(Arc::clone(&held), said),
        other => other,
    });
    let mut world = world(&server).await;
    let (_, job) = world.ask(&Synthesis::about("Leases")).await;
    for number in 1..=2 {
        eventually("the model is asked", async || (server.asked().len() == number).then_some(())).await;
        let other = world.stage.reopen().await;
        let tx = other.begin().await.unwrap();
        let now = other.clock().now(&tx).await.unwrap();
        ackord_entities::graph::graphs::ensure(&tx, &format!("g{number}"), now).await.unwrap();
        tx.commit().await.unwrap();
        let calls = model_call::of_job(other.read(), job).await.unwrap();
        assert_eq!(
            calls.last().map(|call| (call.number, call.outcome)),
            i32::try_from(number).ok().map(|number| (number, Outcome::Running))
        );
        other.close().await;
        permits.add_permits(1);
    }
    assert_eq!(world.stage.ended(job).await.state, JobState::Succeeded);
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_called_off_ends_its_call() {
    let permits = Arc::new(Semaphore::new(0));
    let server = ModelServer::start(move |_| Reply::Held(Arc::clone(&permits), Said::text("never")));
    let mut world = world(&server).await;
    let (id, job) = world.ask(&Synthesis::about("Leases")).await;
    eventually("the model is asked", async || (server.asked().len() == 1).then_some(())).await;
    world.cancel(job).await;
    assert_eq!(world.stage.ended(job).await.state, JobState::Cancelled);
    let calls = rows(&world, job).await;
    assert_eq!((calls.len(), calls[0].outcome, calls[0].estimated), (1, Outcome::Cancelled, true));
    assert_eq!(world.row(id).await.state, State::Error);
    world.stage.stop().await;
}

//! The model answers, and not as it should.

use ackord_entities::graph::synthesis::State;
use ackord_entities::graph::{graphs, node};
use ackord_entities::queue::state::JobState;
use ackord_graph::search;
use rstest::rstest;

use super::*;
use crate::jobs::world::{GLACIERS, import};

const STRANGER: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_told_its_mistakes_and_can_do_better() {
    let server = ModelServer::start(|asked| match asked.number {
        1 => Reply::Said(Said::raw_call("search_facts", "{\"query\": \"lea")),
        2 => call("google", &json!({"query": "lease"})),
        3 => call("node", &json!({"id": STRANGER})),
        4 => call("node", &json!({"id": 7})),
        5 => search(),
        _ => Reply::Said(cites(asked)),
    });
    let mut world = world(&server).await;
    let (_, job) = written(&world).await;
    assert_eq!(job.state, JobState::Succeeded, "{:?}", job.error);
    let last = server.asked().pop().unwrap();
    let answers: Vec<Value> = last
        .messages()
        .iter()
        .filter(|message| message["role"] == "tool")
        .map(|message| serde_json::from_str(message["content"].as_str().unwrap()).unwrap())
        .collect();
    for (answer, words) in answers.iter().zip(["no JSON", "no tool `google`", STRANGER, "do not fit"]) {
        assert!(answer["error"].as_str().unwrap().contains(words), "{answer}");
    }
    // What was no JSON is not told back: servers refuse it.
    assert_eq!(last.messages()[2]["tool_calls"][0]["function"]["arguments"], "{}");
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_does_nothing_but_mistakes_is_not_listened_to_for_ever() {
    let server = ModelServer::start(|_| Reply::Said(Said::raw_call("node", "}{")));
    let mut world = world(&server).await;
    let (id, job) = written(&world).await;
    assert_eq!((job.state, job.error_code.as_deref()), (JobState::Failed, Some("malformed_calls")));
    assert_eq!(server.asked().len(), 7);
    assert_eq!(world.row(id).await.state, State::Error);
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_never_finishes_is_not_listened_to_for_ever() {
    let server = ModelServer::start(|_| search());
    let mut world = world(&server).await;
    let (_, job) = world.ask(&Synthesis { exploration_budget: 1, ..Synthesis::about("Leases") }).await;
    let job = world.stage.ended(job).await;
    assert_eq!((job.state, job.error_code.as_deref()), (JobState::Failed, Some("no_text")));
    assert_eq!(server.asked().len(), 22);
    world.stage.stop().await;
}

fn refusal() -> Said {
    Said { refusal: Some("I cannot help with leases.".to_owned()), ..Said::default() }
}

fn withheld() -> Said {
    Said { finish_reason: Some("content_filter"), ..Said::text("Some of it") }
}

#[rstest]
#[case::refusal(refusal(), "refused", "I cannot help with leases")]
#[case::withheld(withheld(), "refused", "content filter")]
#[case::empty(Said::finish("  \n"), "no_text", "empty text")]
#[tokio::test(flavor = "multi_thread")]
async fn without_a_text_there_is_a_reason_for_operators_and_one_for_everybody(
    #[case] said: Said,
    #[case] code: &str,
    #[case] reason: &str,
) {
    let server = ModelServer::start(move |_| Reply::Said(said.clone()));
    let mut world = world(&server).await;
    let (id, job) = written(&world).await;
    assert_eq!((job.state, job.error_code.as_deref(), job.attempt), (JobState::Failed, Some(code), 1));
    let row = world.row(id).await;
    assert_eq!((row.state, row.current_version), (State::Error, None));
    assert!(row.error_message.as_deref().unwrap().contains(reason), "{row:?}");
    let public = row.error_public.unwrap();
    assert!(public.contains("Leases") && !public.contains("I cannot help"), "{public}");
    assert_eq!(calls(&world, job.id).await.len(), 1, "it was paid for");
    world.stage.stop().await;
}

/// The id of a fact about glaciers in another graph.
async fn fact_elsewhere(world: &World) -> String {
    import(&world.stage.database, "g2", "glaciers.md", GLACIERS).await;
    let found = search::facts(world.stage.database.read(), graphs::id_of("g2"), "glacier", 1).await.unwrap();
    found[0].0.id.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_graph_is_not_reached_and_what_is_not_there_is_not_cited() {
    let elsewhere = std::sync::Arc::new(std::sync::OnceLock::<(String, String)>::new());
    let told = std::sync::Arc::clone(&elsewhere);
    let server = ModelServer::start(move |asked| {
        let (node, fact) = told.get().unwrap();
        match asked.number {
            1 => call("search_facts", &json!({"query": "arctic glaciers"})),
            2 => call("search_nodes", &json!({"query": "glacier"})),
            3 => call("node", &json!({"id": node})),
            4 => search(),
            _ => {
                let facts: Value =
                    serde_json::from_str(asked.messages()[9]["content"].as_str().unwrap()).unwrap();
                let own = facts["facts"][0]["id"].as_str().unwrap();
                Reply::Said(Said::finish(&format!(
                    "A lease ends [1](/facts/{own}). Ice melts [2](/facts/{fact}) as [glaciers](/nodes/{node}) do {{fact:{STRANGER}}}."
                )))
            }
        }
    });
    let mut world = world(&server).await;
    let fact = fact_elsewhere(&world).await;
    let node =
        node::most_mentioned(world.stage.database.read(), graphs::id_of("g2"), 1).await.unwrap().remove(0);
    elsewhere.set((node.id.to_string(), fact.clone())).unwrap();
    let (id, job) = written(&world).await;
    assert_eq!(job.state, JobState::Succeeded, "{:?}", job.error);
    let last = server.asked().pop().unwrap();
    let answers: Vec<Value> = last
        .messages()
        .iter()
        .filter(|message| message["role"] == "tool")
        .map(|message| serde_json::from_str(message["content"].as_str().unwrap()).unwrap())
        .collect();
    assert_eq!((&answers[0]["facts"], &answers[1]["nodes"]), (&json!([]), &json!([])));
    assert!(answers[2]["error"].as_str().unwrap().contains("no node"), "{}", answers[2]);
    let correction = answers[4]["error"].as_str().unwrap();
    assert!(correction.contains(&fact) && correction.contains(STRANGER), "{correction}");
    // It did not do better: what is not there is taken out.
    let text = world.text(id).await;
    assert!(text.ends_with("Ice melts as glaciers do."), "{text}");
    let version = ackord_entities::graph::synthesis_version::of(world.stage.database.read(), id, 1)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(version.facts_linked, 1);
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_cites_nothing_is_none() {
    let server = ModelServer::start(|_| Reply::Said(Said::finish("Leases are fine, trust me.")));
    let mut world = world(&server).await;
    let (id, job) = written(&world).await;
    assert_eq!((job.state, job.error_code.as_deref()), (JobState::Failed, Some("no_citations")));
    assert_eq!((server.asked().len(), world.row(id).await.current_version), (2, None));
    world.stage.stop().await;
}

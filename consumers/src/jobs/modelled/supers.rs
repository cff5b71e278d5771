//! A wide topic: the model plans, writes the parts and combines them.

use ackord_entities::graph::super_synthesis::{self, Planning};
use ackord_entities::graph::synthesis::State;
use ackord_entities::graph::synthesis_version;
use ackord_entities::jobs::SuperSynthesis;
use ackord_entities::queue::model_call::Purpose;
use ackord_entities::queue::state::JobState;

use super::*;

/// What a request is for, by the tools it offers.
fn purpose(asked: &Asked) -> Purpose {
    let tools = asked.body["tools"].as_array().unwrap();
    let of_finish = &tools.last().unwrap()["function"]["parameters"]["properties"];
    match (tools.len(), of_finish.get("scopes").is_some()) {
        (1, true) => Purpose::Plan,
        (1, false) => Purpose::Combine,
        _ => Purpose::Write,
    }
}

/// The ids in a message, in its order.
fn ids(text: &str, before: &str) -> Vec<String> {
    text.split(before).skip(1).filter_map(|rest| rest.get(..36).map(str::to_owned)).collect()
}

/// One part for the first shown node, one for the second.
fn plans(asked: &Asked) -> Reply {
    let shown = asked.users().remove(0);
    let nodes: Vec<String> = ids(&shown, " (").into_iter().filter(|id| id.contains('-')).collect();
    let scope = |topic: &str, node: &String| json!({"topic": topic, "starting_node_ids": [node], "exploration_budget": 12});
    call(
        "finish",
        &json!({"scopes": [scope("Leases that expire", &nodes[0]), scope("The outbox", &nodes[1])]}),
    )
}

fn combines(asked: &Asked) -> Reply {
    let cited = ids(&asked.users().remove(0), "/facts/");
    assert!(!cited.is_empty());
    Reply::Said(Said::finish(&format!("Both survive [1](/facts/{}).", cited[0])))
}

fn everything(asked: &Asked) -> Reply {
    match purpose(asked) {
        Purpose::Plan => plans(asked),
        Purpose::Combine => combines(asked),
        Purpose::Write => search_and_cite(asked),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_plans_writes_the_parts_and_combines_them() {
    let server = ModelServer::start(everything);
    let mut world = world(&server).await;
    let asked = SuperSynthesis {
        scope_count: 2,
        ..SuperSynthesis::about("What a worker renews and a broker confirms")
    };
    let (id, job) = world.ask_super(&asked).await;
    world.quiet().await;
    let row = world.row(id).await;
    assert_eq!(row.state, State::Completed, "{row:?}");
    let plan = super_synthesis::by_id(world.stage.database.read(), id).await.unwrap().unwrap();
    assert_eq!((plan.planning, plan.planner.as_deref()), (Some(Planning::Graph), Some("model scripted")));
    let parts: Vec<String> = world.parts(id).await.into_iter().map(|part| part.topic).collect();
    assert_eq!(parts, ["Leases that expire", "The outbox"]);
    assert!(world.text(id).await.starts_with("Both survive [1](/facts/"));
    let version = synthesis_version::of(world.stage.database.read(), id, 1).await.unwrap().unwrap();
    assert_eq!(version.producer, "model scripted");
    assert_eq!(rows(&world, job).await[0].purpose, Purpose::Plan);
    let combined = world.jobs_of("recombination").await.remove(0);
    assert_eq!(rows(&world, combined.id).await[0].purpose, Purpose::Combine);
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_cannot_be_used_leaves_the_topic_in_one_piece_and_says_why() {
    let server = ModelServer::start(|asked| match purpose(asked) {
        Purpose::Plan => Reply::Said(Said::raw_call("finish", "{\"scopes\": \"some\"}")),
        _ => everything(asked),
    });
    let mut world = world(&server).await;
    let (id, _) = world.ask_super(&SuperSynthesis::about("Leases")).await;
    world.quiet().await;
    let plan = super_synthesis::by_id(world.stage.database.read(), id).await.unwrap().unwrap();
    assert_eq!(plan.planning, Some(Planning::Fallback));
    assert!(plan.reason.as_deref().unwrap().contains("malformed_calls"), "{plan:?}");
    assert_eq!(world.row(id).await.state, State::Completed);
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planner_that_is_busy_is_asked_again() {
    let server = ModelServer::start(|asked| match asked.number {
        1 => Reply::Status(503, vec![("retry-after", "1".to_owned())], String::new()),
        _ => everything(asked),
    });
    let mut world = world(&server).await;
    let asked = SuperSynthesis {
        scope_count: 2,
        ..SuperSynthesis::about("What a worker renews and a broker confirms")
    };
    let (id, job) = world.ask_super(&asked).await;
    world.quiet().await;
    let job = world.stage.job(job).await;
    assert_eq!((job.state, job.attempt), (JobState::Succeeded, 2));
    let plan = super_synthesis::by_id(world.stage.database.read(), id).await.unwrap().unwrap();
    assert_eq!(plan.planning, Some(Planning::Graph));
    world.stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_a_model_refused_is_written_again_by_it() {
    let server = ModelServer::start(|asked| match asked.number {
        1 => Reply::Said(Said { refusal: Some("Not today.".to_owned()), ..Said::default() }),
        _ => search_and_cite(asked),
    });
    let mut world = world(&server).await;
    let (id, job) = written(&world).await;
    assert_eq!(job.error_code.as_deref(), Some("refused"));
    let again = world.regenerate(id).await.unwrap().job;
    assert_eq!(world.stage.ended(again).await.state, JobState::Succeeded);
    assert_eq!((world.row(id).await.state, calls(&world, again).await.len()), (State::Completed, 2));
    world.stage.stop().await;
}

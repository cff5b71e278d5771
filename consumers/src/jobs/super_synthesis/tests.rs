#![allow(clippy::unwrap_used, reason = "tests")]

use ackord_entities::graph::node::{self, NodeType};
use ackord_entities::graph::super_synthesis::{self, Planning};
use ackord_entities::graph::synthesis::State;
use ackord_entities::graph::synthesis_link::Origin;
use ackord_entities::graph::{graphs, synthesis_attempt};
use ackord_entities::ids::{GraphId, JobId, NodeId};
use ackord_entities::jobs::{Job as _, Recombination, SubConfig, Synthesis, Visibility};
use ackord_entities::queue::state::JobState;
use ackord_graph::synthesis::{Ground, PlanError, Run, ask_super};
use rstest::rstest;
use sea_orm::DbBackend;

use super::*;
use crate::jobs::world::{LEASES, World, about, import, registry};
use crate::testing::{StageOptions, eventually};

async fn planned(world: &World, id: SynthesisId) -> super_synthesis::Model {
    super_synthesis::by_id(world.stage.database.read(), id).await.unwrap().unwrap()
}

#[rstest]
#[tokio::test]
async fn given_parts_are_written_and_combined_to_one_text(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    let (id, job) = world.ask_super(&about(&["Leases", "The outbox"])).await;
    let row = world.row(id).await;
    assert_eq!((row.state, row.job_id), (State::Pending, Some(job)), "it is there before anything runs");
    world.stage.start(StageOptions::default());
    world.quiet().await;

    let row = world.row(id).await;
    assert_eq!((row.state, row.current_version), (State::Completed, Some(1)), "{:?}", row.error_message);
    assert_eq!((row.visibility, row.creator_id.as_deref()), (node::Visibility::Private, Some("anna")));
    let plan = planned(&world, id).await;
    assert_eq!((plan.planning, plan.job_id), (Some(Planning::Given), Some(job)));
    let parts = world.parts(id).await;
    let topics: Vec<&str> = parts.iter().map(|part| part.topic.as_str()).collect();
    assert_eq!(topics, ["Leases", "The outbox"]);
    assert!(parts.iter().all(|part| part.origin == Origin::Planned && part.state == State::Completed));
    for part in &parts {
        let part = world.row(part.sub_id).await;
        assert_eq!((part.visibility, part.creator_id.as_deref()), (node::Visibility::Private, Some("anna")));
    }
    let text = world.text(id).await;
    assert!(text.contains("exclusive claim on a key") && text.contains("table of messages"), "{text}");
    assert_eq!(world.read(id).await, [("Leases".to_owned(), Some(1)), ("The outbox".to_owned(), Some(1))]);
    let node = node::by_ids(world.stage.database.read(), [NodeId(id.0)]).await.unwrap().remove(0);
    assert_eq!((node.node_type, node.definition.as_deref()), (NodeType::Supersynthesis, Some(text.as_str())));
    assert_eq!(world.jobs_of(Recombination::KIND).await.len(), 1, "two ends, one combination");
    let attempts = synthesis_attempt::all_of(world.stage.database.read(), id).await.unwrap();
    assert_eq!(attempts.len(), 2, "planned, and combined");
    world.stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn one_worker_with_one_place_finishes_four_parts(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    let mut options = StageOptions::default();
    for kind in [SuperSynthesis::KIND, Synthesis::KIND, Recombination::KIND] {
        options.worker.concurrency.insert(kind.to_owned(), 1);
    }
    world.stage.start(options);
    let topics = ["Leases", "The outbox", "Expired leases", "Refused messages"];
    let (id, _) = world.ask_super(&about(&topics)).await;
    world.quiet().await;
    let row = world.row(id).await;
    assert!(matches!(row.state, State::Completed | State::Partial), "{:?}", row.error_message);
    assert_eq!(world.parts(id).await.len(), 4);
    world.stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_failed_part_is_named_and_the_others_are_combined(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.stage.start(StageOptions::default());
    let (id, _) = world.ask_super(&about(&["Leases", "Arctic glaciers"])).await;
    world.quiet().await;
    let row = world.row(id).await;
    assert_eq!((row.state, row.error_code.as_deref()), (State::Partial, Some("parts_missing")));
    assert!(row.error_public.unwrap().contains("“Arctic glaciers”"));
    assert_eq!(world.read(id).await, [("Leases".to_owned(), Some(1)), ("Arctic glaciers".to_owned(), None)]);
    let (text, missing) = (world.text(id).await, world.part(id, "Arctic glaciers").await);
    assert!(text.contains(&format!("[Arctic glaciers](/nodes/{})", missing.sub_id)), "{text}");
    assert!(!text.contains("Arctic glaciers is"), "nothing is made up: {text}");
    world.stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn if_all_parts_fail_the_whole_is_an_error_with_their_causes(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.stage.start(StageOptions::default());
    let (id, _) = world.ask_super(&about(&["Arctic glaciers", "Walrus choreography"])).await;
    world.quiet().await;
    let row = world.row(id).await;
    assert_eq!((row.state, row.current_version), (State::Error, None));
    assert_eq!(row.error_code.as_deref(), Some("all_parts_failed"));
    let causes = row.error_public.unwrap();
    assert!(causes.contains("“Arctic glaciers” (no_facts)") && causes.contains("“Walrus"), "{causes}");
    assert_eq!((row.visibility, row.creator_id.as_deref()), (node::Visibility::Private, Some("anna")));
    let recombinations = world.jobs_of(Recombination::KIND).await;
    assert_eq!((recombinations.len(), recombinations[0].state), (1, JobState::Failed));
    assert_eq!(world.parts(id).await.len(), 2, "the parts stay, to be written again");
    world.stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn a_part_that_is_called_off_counts_as_ended(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    let go = world.writer.hold("The outbox");
    world.stage.start(StageOptions::default());
    let (id, _) = world.ask_super(&about(&["Leases", "The outbox"])).await;
    let part = eventually("both parts are written about", async || {
        let written = world.writer.written.lock().unwrap().len();
        if written < 2 {
            return None;
        }
        let parts = world.parts(id).await;
        parts.into_iter().find(|part| part.topic == "The outbox")
    })
    .await;
    world.cancel(part.job_id.unwrap()).await;
    world.quiet().await;
    drop(go);
    let row = world.row(id).await;
    assert_eq!((row.state, row.current_version), (State::Partial, Some(1)));
    assert_eq!(world.part(id, "The outbox").await.state, State::Error);
    world.stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn parts_that_end_at_the_same_moment_are_combined_once(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    let topics = ["Leases", "The outbox", "Expired leases", "Refused messages"];
    let held: Vec<_> = topics.iter().map(|topic| world.writer.hold(topic)).collect();
    world.stage.start(StageOptions::default());
    let (id, _) = world.ask_super(&about(&topics)).await;
    eventually("all four are being written", async || {
        (world.writer.written.lock().unwrap().len() == 4).then_some(())
    })
    .await;
    for go in &held {
        go.notify_one();
    }
    world.quiet().await;
    let row = world.row(id).await;
    assert!(matches!(row.state, State::Completed | State::Partial));
    assert_eq!((row.current_version, world.jobs_of(Recombination::KIND).await.len()), (Some(1), 1));
    world.stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn existing_syntheses_become_parts_of_several(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.stage.start(StageOptions::default());
    let (existing, _) = world.ask(&Synthesis::about("The outbox")).await;
    world.quiet().await;
    let with = SuperSynthesis {
        existing_synthesis_ids: vec![existing, existing],
        visibility: Visibility::Public,
        ..about(&["Leases"])
    };
    let (one, _) = world.ask_super(&with).await;
    let (other, _) = world.ask_super(&with).await;
    world.quiet().await;
    assert_ne!(one, other, "the same topic twice in one second is two");
    for id in [one, other] {
        let parts = world.parts(id).await;
        assert_eq!(parts.len(), 2, "an id that is given twice counts once");
        assert_eq!((parts[1].sub_id, parts[1].origin), (existing, Origin::Existing));
        assert_eq!(world.row(id).await.state, State::Completed);
    }
    assert_eq!(world.writer.times("The outbox"), 1, "an existing part is not written again");
    world.stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn what_a_request_names_must_be_there_and_fit(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.stage.start(StageOptions::default());
    let (whole, _) = world.ask_super(&about(&["Leases"])).await;
    let (theirs, _) = world.ask(&private_of("bob")).await;
    let (mine, _) = world.ask(&private_of("anna")).await;
    world.quiet().await;
    let concept = node::id_of(graphs::id_of("default"), "outbox");
    let existing = |id: SynthesisId| SuperSynthesis { existing_synthesis_ids: vec![id], ..about(&[]) };
    let starting = |ids: Vec<NodeId>| {
        let part = SubConfig { starting_node_ids: ids, ..SubConfig::about("Leases") };
        SuperSynthesis { sub_configs: vec![SubConfig::about("x"), part], ..about(&[]) }
    };
    let cases = [
        (existing(SynthesisId::new()), "existing_synthesis_ids[0]", "there is no synthesis"),
        (existing(SynthesisId(concept.0)), "existing_synthesis_ids[0]", "another type"),
        (existing(whole), "existing_synthesis_ids[0]", "is a super-synthesis"),
        (existing(theirs), "existing_synthesis_ids[0]", "there is no synthesis"),
        (
            SuperSynthesis { visibility: Visibility::Public, ..existing(mine) },
            "existing_synthesis_ids[0]",
            "would be public",
        ),
        (starting(vec![concept, NodeId::new()]), "sub_configs[1].starting_node_ids[1]", "there is no node"),
        (starting(vec![NodeId(mine.0)]), "sub_configs[1].starting_node_ids[0]", "comes from documents"),
        (SuperSynthesis { graph: "nowhere".to_owned(), ..about(&[]) }, "graph", "`nowhere`"),
    ];
    for (job, field, reason) in cases {
        let tx = world.stage.database.begin().await.unwrap();
        let now = world.stage.database.clock().now(&tx).await.unwrap();
        let error = ask_super(&tx, &job, JobId::new(), now).await.unwrap_err().to_string();
        tx.commit().await.unwrap();
        assert!(error.contains(&format!("`{field}`")) && error.contains(reason), "{error}");
        // The same for a job that was published past the request.
        let direct = world.stage.publish(&job).await;
        let ended = world.stage.ended(direct).await;
        assert_eq!((ended.state, ended.error_code.as_deref()), (JobState::Failed, Some("invalid_request")));
        assert!(ended.public_error.unwrap().contains(field));
    }
    let all = synthesis::by_key_prefix(
        world.stage.database.read(),
        graphs::id_of("default"),
        "supersynthesis-",
        99,
    );
    assert_eq!(all.await.unwrap().len(), 1, "a refusal leaves nothing behind");
    world.stage.stop().await;
}

fn private_of(name: &str) -> Synthesis {
    Synthesis {
        visibility: Visibility::Private,
        creator_id: Some(name.to_owned()),
        ..Synthesis::about("Leases")
    }
}

/// Answers with nonsense.
#[derive(Debug)]
struct Garbage;

#[async_trait]
impl ScopePlanner for Garbage {
    fn name(&self) -> &'static str {
        "garbage"
    }

    async fn plan(&self, _ground: &Ground, _run: &Run<'_>) -> Result<Vec<SubConfig>, PlanError> {
        let elsewhere = SubConfig { starting_node_ids: vec![NodeId::new()], ..SubConfig::about("Leases") };
        Ok(vec![SubConfig::about(""), SubConfig::about("of the"), elsewhere])
    }
}

#[rstest]
#[tokio::test]
async fn a_planner_that_answers_nonsense_leads_to_one_part_and_is_recorded(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let handler = SuperSynthesisHandler::new(Arc::new(Garbage));
    let Some(mut world) = World::with(backend, |writer| registry(writer).with(handler)).await else { return };
    world.stage.start(StageOptions::default());
    let (id, _) = world.ask_super(&SuperSynthesis::about("Leases")).await;
    world.quiet().await;
    let plan = planned(&world, id).await;
    assert_eq!((plan.planning, plan.planner.as_deref()), (Some(Planning::Fallback), Some("garbage")));
    assert!(plan.reason.unwrap().contains("of 3 planned parts 0"));
    let parts = world.parts(id).await;
    assert_eq!((parts.len(), parts[0].topic.as_str()), (1, "Leases"));
    assert_eq!(world.row(id).await.state, State::Completed);
    world.stage.stop().await;
}

#[rstest]
#[tokio::test]
async fn the_parts_of_a_graph_are_written_from_that_graph_only(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    import(&world.stage.database, "g2", "leases.md", LEASES).await;
    world.stage.start(StageOptions::default());
    let (id, _) =
        world.ask_super(&SuperSynthesis { graph: "g2".to_owned(), ..about(&["Leases", "The outbox"]) }).await;
    world.quiet().await;
    let g2: GraphId = graphs::id_of("g2");
    assert_eq!(world.row(id).await.graph_id, g2);
    for part in world.parts(id).await {
        assert_eq!(world.row(part.sub_id).await.graph_id, g2);
    }
    // The other graph knows of the outbox; this one does not.
    assert_eq!(world.part(id, "The outbox").await.error_code.as_deref(), Some("no_facts"));
    assert_eq!(world.part(id, "Leases").await.state, State::Completed);
    world.stage.stop().await;
}

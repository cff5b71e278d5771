use std::collections::HashSet;

use ackord_entities::graph::node;
use ackord_entities::ids::NodeId;
use ackord_entities::testing::TestDatabase;
use rstest::rstest;

use super::*;
use crate::search::topic_terms;
use crate::synthesis::corpus::{DOCUMENTS, import};
use crate::synthesis::{ExtractiveProducer, Request as TextRequest, Run, compose};

const ENGINE: &str = "# Engine of jobs

A job is a row in a table and the message that carries it. The worker of a job acknowledges its message after the commit.

## Leases of jobs

A long job holds a lease while it runs. The lease of a job expires when its worker dies. A sweeper looks for expired leases of jobs.
The sweeper puts a job with an expired lease back.

## The outbox of jobs

The outbox holds the messages of jobs. The relay claims rows of the outbox and publishes the messages of jobs. The relay deletes the
rows of the outbox that the broker confirmed.

## Dead letters of jobs

A dead letter is a job that was given up. An operator replays a dead letter with its job's id. The archive keeps each dead letter of a job with
its cause.

## Schedules of jobs

A schedule publishes a job at each tick. The tick of a schedule is planned in its time zone. A scheduler advances the tick of a schedule and inserts the job.
";

async fn planned(topic: &str, scope_count: u32) -> (TestDatabase, GraphId, Plan) {
    let test = TestDatabase::sqlite().await;
    let documents: Vec<(&str, &str)> = DOCUMENTS.into_iter().chain([("engine.md", ENGINE)]).collect();
    let graph = import(test.database(), "default", &documents).await;
    let plan = plan_of(&test, graph, topic, scope_count, &[]).await;
    (test, graph, plan)
}

async fn plan_of(
    test: &TestDatabase,
    graph: GraphId,
    topic: &str,
    scope_count: u32,
    existing: &[SynthesisId],
) -> Plan {
    let request = Request { graph, topic, given: &[], scope_count, existing };
    plan(test.database().read(), &GraphPlanner, &request, &Run::unwatched()).await.unwrap()
}

#[tokio::test]
async fn a_wide_topic_is_divided_into_parts_that_do_not_overlap() {
    let (test, graph, plan) = planned("Jobs", 0).await;
    assert_eq!(plan.planning, Planning::Graph, "{plan:#?}");
    assert!((3..=7).contains(&plan.parts.len()), "{plan:#?}");
    let mut nodes: HashSet<NodeId> = HashSet::new();
    for part in &plan.parts {
        assert!((10..=20).contains(&part.exploration_budget));
        assert!(!part.starting_node_ids.is_empty() && part.starting_node_ids.len() <= 8);
        assert!(part.starting_node_ids.iter().all(|id| nodes.insert(*id)), "a node of two parts: {plan:#?}");
    }
    assert_eq!(plan_of(&test, graph, "Jobs", 0, &[]).await, plan, "the same graph gives the same plan");
}

#[tokio::test]
async fn the_graph_that_was_asked_is_divided_and_no_other() {
    let test = TestDatabase::sqlite().await;
    let other = import(test.database(), "default", &[("engine.md", ENGINE)]).await;
    let empty =
        import(test.database(), "g3", &[("tea.md", "# Tea\n\nGreen tea is brewed with water.\n")]).await;
    let graph = import(test.database(), "g2", &[("engine.md", ENGINE)]).await;
    let plan = plan_of(&test, graph, "Jobs", 0, &[]).await;
    assert_eq!(plan.planning, Planning::Graph, "{plan:#?}");
    let starting: Vec<NodeId> = plan.parts.iter().flat_map(|part| part.starting_node_ids.clone()).collect();
    let nodes = node::by_ids(test.database().read(), starting.iter().copied()).await.unwrap();
    assert_eq!(nodes.len(), starting.len());
    assert!(nodes.iter().all(|node| node.graph_id == graph), "{nodes:#?}");
    assert_eq!(plan_of(&test, other, "Jobs", 0, &[]).await.planning, Planning::Graph);
    assert_eq!(plan_of(&test, empty, "Jobs", 0, &[]).await.planning, Planning::Fallback);
}

#[tokio::test]
async fn what_is_planned_can_be_written() {
    let (test, graph, plan) = planned("Jobs", 0).await;
    assert_eq!(plan.parts[0].topic, "Jobs", "one part says what the topic is");
    for (index, part) in plan.parts.into_iter().enumerate() {
        let request = TextRequest {
            graph,
            topic: part.topic.clone(),
            starting_nodes: part.starting_node_ids,
            budget: part.exploration_budget,
            max_words: part.max_words,
        };
        let composed =
            compose(test.database().read(), &ExtractiveProducer, &request, &Run::unwatched()).await.unwrap();
        assert!(composed.text.is_ok(), "{}: {:?}", part.topic, composed.text);
        let is_whole = topic_terms(&part.topic) == topic_terms("Jobs");
        assert_eq!(is_whole, index == 0, "the others are about something of their own: {}", part.topic);
    }
}

#[rstest]
#[case(1, 1)]
#[case(2, 2)]
#[case(4, 4)]
#[tokio::test]
async fn as_many_parts_as_were_asked_for(#[case] asked: u32, #[case] given: usize) {
    let (_, _, plan) = planned("Jobs", asked).await;
    assert_eq!((plan.parts.len(), plan.reason), (given, None));
}

#[tokio::test]
async fn a_graph_that_gives_fewer_parts_than_asked_for_says_so() {
    let (_, _, plan) = planned("Jobs", 20).await;
    assert_eq!(plan.planning, Planning::Graph);
    assert!(plan.parts.len() < 20 && plan.reason.unwrap().contains("20 parts were wanted"));
}

#[rstest]
#[case("Arctic glaciers", "no facts")]
#[case("?!", "no facts")]
#[tokio::test]
async fn a_topic_that_cannot_be_divided_is_one_part_with_the_reason(
    #[case] topic: &str,
    #[case] reason: &str,
) {
    let (_, _, plan) = planned(topic, 0).await;
    assert_eq!((plan.planning, plan.parts.len()), (Planning::Fallback, 1));
    assert_eq!((plan.parts[0].topic.as_str(), plan.parts[0].exploration_budget), (topic, 20));
    assert!(plan.reason.unwrap().contains(reason));
}

#[tokio::test]
async fn given_parts_are_taken_as_they_are() {
    let test = TestDatabase::sqlite().await;
    let graph = import(test.database(), "default", &DOCUMENTS).await;
    let given = [SubConfig { exploration_budget: 3, ..SubConfig::about("Leases") }];
    let request = Request { graph, topic: "All", given: &given, scope_count: 5, existing: &[] };
    let plan = plan(test.database().read(), &GraphPlanner, &request, &Run::unwatched()).await.unwrap();
    assert_eq!((plan.planning, plan.parts.as_slice()), (Planning::Given, given.as_slice()));
}

fn ground(covered: Vec<Covered>) -> (Ground, Vec<NodeId>) {
    let nodes: Vec<GroundNode> = (1..=4_u128)
        .map(|number| GroundNode {
            node: crate::synthesis::material::Node {
                id: NodeId(uuid::Uuid::from_u128(number)),
                name: format!("Node {number}"),
                aliases: vec![],
                node_type: node::NodeType::Term,
            },
            weight: 1.0,
            facts: 3,
        })
        .collect();
    let ids = nodes.iter().map(|node| node.node.id).collect();
    let ground = Ground {
        topic: "All".to_owned(),
        wanted: FEWEST..=MOST,
        facts: vec![],
        nodes,
        edges: std::collections::BTreeMap::new(),
        covered,
    };
    (ground, ids)
}

#[test]
fn of_a_planners_answer_only_what_is_sound_is_used() {
    let (ground, ids) = ground(vec![Covered { topic: "Expired leases".to_owned(), nodes: vec![] }]);
    let about = |topic: &str, nodes: &[NodeId]| SubConfig {
        starting_node_ids: nodes.to_vec(),
        exploration_budget: 99,
        ..SubConfig::about(topic)
    };
    let answered = vec![
        about("The outbox", &[ids[0], ids[1], NodeId::new()]),
        about("outboxes", &[ids[2]]),
        about("The relay", &[ids[1]]),
        about("Leases that expired", &[ids[2]]),
        about("two\nlines", &[ids[2]]),
        about("Dead letters", &[ids[1], ids[3]]),
    ];
    let sifted = sift::sift(answered, &ground).unwrap();
    let topics: Vec<&str> = sifted.parts.iter().map(|part| part.topic.as_str()).collect();
    assert_eq!(topics, ["The outbox", "Dead letters"]);
    assert_eq!(sifted.parts[0].starting_node_ids, ids[..2]);
    assert_eq!(
        (sifted.parts[1].starting_node_ids.as_slice(), sifted.parts[1].exploration_budget),
        (&ids[3..], 20)
    );
    assert!(sifted.reason.is_some());
    assert!(sift::sift(vec![about("Alone", &[ids[0]])], &ground).unwrap_err().contains("of 1"));
}

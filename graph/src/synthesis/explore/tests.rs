use ackord_entities::graph::node;
use ackord_entities::testing::TestDatabase;
use rstest::rstest;
use sea_orm::DbBackend;
use uuid::Uuid;

use super::*;
use crate::synthesis::corpus::{DOCUMENTS, import};

fn request(graph: GraphId, topic: &str) -> Request {
    Request { graph, topic: topic.to_owned(), starting_nodes: Vec::new(), budget: 20, max_words: 300 }
}

fn texts(exploration: &Exploration) -> Vec<&str> {
    exploration.brief.facts.iter().map(|scored| scored.fact.text.as_str()).collect()
}

#[rstest]
#[tokio::test]
async fn the_same_data_gives_the_same_answer(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let (Some(one), Some(other)) = (TestDatabase::open(backend).await, TestDatabase::open(backend).await)
    else {
        return;
    };
    let reversed: Vec<(&str, &str)> = DOCUMENTS.into_iter().rev().collect();
    let graph = import(one.database(), "default", &DOCUMENTS).await;
    import(other.database(), "default", &reversed).await;
    let record = |exploration: &Exploration| format!("{:?}", exploration.record);
    let first = explore(one.database().read(), &request(graph, "leases")).await.unwrap();
    let again = explore(one.database().read(), &request(graph, "leases")).await.unwrap();
    let elsewhere = explore(other.database().read(), &request(graph, "leases")).await.unwrap();
    assert_eq!(record(&first), record(&again));
    // The sources have other addresses there, and so other ids: names and sentences compare.
    let names = |exploration: &Exploration| -> Vec<String> {
        exploration.record.visits.iter().map(|visit| visit.concept.clone()).collect()
    };
    assert_eq!(names(&first)[0], names(&elsewhere)[0]);
    let sorted = |exploration: &Exploration| {
        let mut texts: Vec<String> = texts(exploration).into_iter().map(str::to_owned).collect();
        texts.sort();
        texts
    };
    assert_eq!(sorted(&first), sorted(&elsewhere));
}

#[tokio::test]
async fn a_visit_costs_one_and_searching_nothing() {
    let test = TestDatabase::sqlite().await;
    let graph = import(test.database(), "default", &DOCUMENTS).await;
    for budget in [1, 2, 5] {
        let request = Request { budget, ..request(graph, "leases") };
        let found = explore(test.database().read(), &request).await.unwrap();
        let mut visited: Vec<NodeId> = found.record.visits.iter().map(|visit| visit.node_id).collect();
        assert_eq!(visited.len(), usize::try_from(budget).unwrap());
        assert_eq!(found.brief.budget_left, 0);
        visited.sort_unstable();
        visited.dedup();
        assert_eq!(visited.len(), found.record.visits.len(), "no node is visited twice");
        assert!(texts(&found).iter().any(|text| text.contains("exclusive claim")));
    }
}

#[tokio::test]
async fn starting_nodes_come_first_and_unknown_ones_are_recorded() {
    let test = TestDatabase::sqlite().await;
    let graph = import(test.database(), "default", &DOCUMENTS).await;
    let outbox = node::id_of(graph, "outbox");
    let unknown = NodeId(Uuid::from_u128(1));
    let request = Request { starting_nodes: vec![outbox, unknown, unknown], ..request(graph, "leases") };
    let found = explore(test.database().read(), &request).await.unwrap();
    assert_eq!(found.record.visits[0].node_id, outbox);
    assert_eq!(found.record.unknown_starting_nodes, [unknown]);
    assert!(texts(&found).iter().any(|text| text.starts_with("The relay moves")), "its facts are given");
}

#[rstest]
#[tokio::test]
async fn nothing_outside_the_graph_is_read(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    import(test.database(), "default", &DOCUMENTS).await;
    let other =
        import(test.database(), "other", &[("a.md", "# Tulips\n\nTulips bloom early in spring.\n")]).await;
    let found = explore(test.database().read(), &request(other, "leases")).await.unwrap();
    assert!(found.brief.facts.is_empty() && found.record.visits.is_empty());
    let starting_nodes = vec![node::id_of(graphs_default(), "outbox")];
    let request = Request { starting_nodes: starting_nodes.clone(), ..request(other, "tulips bloom") };
    let found = explore(test.database().read(), &request).await.unwrap();
    assert_eq!(found.record.unknown_starting_nodes, starting_nodes);
    assert!(texts(&found).iter().all(|text| text.starts_with("Tulips")));
}

fn graphs_default() -> GraphId {
    ackord_entities::graph::graphs::id_of("default")
}

#[tokio::test]
async fn a_topic_of_which_only_one_word_is_known_gives_nothing() {
    let test = TestDatabase::sqlite().await;
    let graph = import(test.database(), "default", &DOCUMENTS).await;
    let found = explore(test.database().read(), &request(graph, "leases of arctic glaciers")).await.unwrap();
    assert!(found.brief.facts.is_empty());
    assert_eq!((found.record.facts_found > 0, found.record.covered.len()), (true, 1));
}

//! Candidates for a topic.

use ackord_entities::graph::{edge, fact, graphs, node};
use ackord_graph::import::{Import, ImportOptions};
use ackord_graph::text::terms_of;
use rstest::rstest;
use sea_orm::DbBackend;

use crate::world::World;

async fn found(world: &World, graph: &str, topic: &str, limit: u64) -> Vec<String> {
    let facts =
        fact::candidates(world.test.database().read(), graphs::id_of(graph), &terms_of(topic), limit).await;
    facts.unwrap().into_iter().map(|fact| fact.content).collect()
}

#[rstest]
#[tokio::test]
async fn facts_with_more_and_rarer_terms_come_first(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.write(
        "a.md",
        "The lease has a holder. A lease has a fencing term. Leases end. Nobody speaks here. It's O'Brien's term's end.",
    );
    world.write("b.txt", "消息队列很好用。\n\nÉtudes of Größe are naïve.");
    world.import().await;
    let best = found(&world, "default", "fencing terms of leases", 10).await;
    assert_eq!(best[0], "A lease has a fencing term.");
    assert_eq!(best.len(), 4);
    assert_eq!(found(&world, "default", "fencing terms of leases", 2).await, best[..2]);
    assert_eq!(found(&world, "default", "队列", 10).await, ["消息队列很好用。"]);
    assert_eq!(found(&world, "default", "GRÖSSE grösse größe", 10).await, ["Études of Größe are naïve."]);
    assert!(found(&world, "default", "the of and", 10).await.is_empty());
    assert!(found(&world, "default", "\"quoted' \\ * : & | !", 10).await.is_empty());
    assert!(found(&world, "other", "lease", 10).await.is_empty());
}

#[rstest]
#[tokio::test]
async fn two_graphs_do_not_see_each_other(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.write("a.md", "# Leases\n\nA lease of RabbitMQ ends. The RabbitMQ lease ends.");
    world.import().await;
    let before = world.contents().await;
    let paths = [world.folder.path().to_owned()];
    let options = ImportOptions { graph: "other".into(), ..ImportOptions::default() };
    Import::new(world.test.database().clone(), options.clone()).run(&paths).await.unwrap();
    assert_eq!(found(&world, "other", "lease", 10).await.len(), 2);
    world.write("a.md", "# Something else\n\nIt is something else now.");
    Import::new(world.test.database().clone(), options).run(&paths).await.unwrap();
    assert!(found(&world, "other", "lease", 10).await.is_empty());
    let after = world.contents().await;
    assert!(before.is_subset(&after), "the other graph is what it was");
}

#[rstest]
#[tokio::test]
async fn a_node_has_its_facts_and_its_neighbours(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.write(
        "a.md",
        "# Leases\n\nA lease of RabbitMQ ends. The RabbitMQ lease ends. Ada Lovelace holds a lease.",
    );
    world.import().await;
    let graph = graphs::id_of(graphs::DEFAULT);
    let connection = world.test.database().read();
    let rabbit = node::id_of(graph, "rabbitmq");
    assert_eq!(fact::of_node(connection, rabbit, 10).await.unwrap().len(), 2);
    let edges = edge::at_node(connection, graph, "lease", 10).await.unwrap();
    let keys: Vec<(String, i64)> = edges.iter().map(|edge| (edge.key(), edge.weight)).collect();
    assert_eq!(keys, [("related:lease--rabbitmq".into(), 2), ("related:ada-lovelace--lease".into(), 1)]);
    let shared = edge::shared_facts(connection, rabbit, node::id_of(graph, "lease"), 10).await.unwrap();
    assert_eq!(shared.len(), 2);
    assert_eq!(node::most_mentioned(connection, graph, 1).await.unwrap()[0].key, "lease");
}

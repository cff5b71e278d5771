//! What the files say.

use ackord_entities::graph::node::Visibility;
use ackord_entities::graph::synthesis;
use rstest::rstest;
use sea_orm::DbBackend;

use super::world::World;
use crate::sync::CycleEnd;
use crate::synthesis::corpus::import;

#[rstest]
#[tokio::test]
async fn a_graph_becomes_files_and_only_what_changes_is_written_again(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    let id = world.write("The outbox", Visibility::Public).await;
    world.settle().await;
    for (file, table) in [
        ("sources.jsonl", "write_sources"),
        ("facts.jsonl", "write_facts"),
        ("nodes.jsonl", "write_nodes"),
        ("edges.jsonl", "write_edges"),
    ] {
        let lines = world.lines(file);
        assert_eq!(lines.len(), world.count(table).await, "{file}");
        assert!(!lines.is_empty(), "{file}");
    }
    let facts = world.lines("facts.jsonl");
    let (nodes, sources) = (world.lines("nodes.jsonl"), world.lines("sources.jsonl"));
    let links: usize = facts.iter().map(|fact| fact["nodes"].as_array().unwrap().len()).sum();
    assert_eq!(links, world.count("write_node_facts").await);
    for fact in &facts {
        let known = |key: &serde_json::Value| nodes.iter().any(|node| node["key"] == *key);
        assert!(fact["nodes"].as_array().unwrap().iter().all(known), "{fact}");
        let said = fact["sources"].as_array().unwrap();
        assert!(!said.is_empty(), "{fact}");
        assert!(said.iter().all(|at| sources.iter().any(|source| source["id"] == at["source_id"])), "{fact}");
    }
    let row = synthesis::by_id(world.database().read(), id).await.unwrap().unwrap();
    assert_eq!(world.texts(), [format!("{}.md", row.node_key)]);
    let text = world.text(&format!("syntheses/{}.md", row.node_key));
    assert!(text.starts_with("# The outbox\n") && text.contains("[^1]: "), "{text}");

    let idle = world.cycle().await;
    assert_eq!((idle.end, idle.state, idle.tables.len()), (CycleEnd::Idle, None, 0));

    let changed = "UPDATE write_sources SET title = 'Another' WHERE uri LIKE '%outbox.md'";
    assert_eq!(world.run(changed).await, 1);
    world.readable().await;
    let cycle = world.cycle().await;
    assert_eq!(cycle.end, CycleEnd::Complete);
    assert_eq!(cycle.tables.keys().copied().collect::<Vec<_>>(), ["facts", "sources"]);
    assert!(world.lines("sources.jsonl").iter().any(|source| source["title"] == "Another"));
    assert_eq!(world.cycle().await.end, CycleEnd::Idle);
    assert!(
        world.count("write_changes").await > 0,
        "forgotten when the next cycle knows that this one counts"
    );

    import(
        world.database(),
        "default",
        &[("more.md", "# Parrots\n\nA Parrot repeats what the Sweeper says.\n")],
    )
    .await;
    world.settle().await;
    assert_eq!(world.lines("facts.jsonl").len(), world.count("write_facts").await);
    assert!(world.text("facts.jsonl").contains("Parrot"));
}

#[rstest]
#[tokio::test]
async fn what_is_private_is_never_there_and_leaves_when_it_becomes_so(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    let public = world.write("The outbox", Visibility::Public).await;
    let private = world.write("Leases", Visibility::Private).await;
    world.settle().await;
    let everything = |world: &World| {
        let mut all: String =
            ["facts", "nodes", "edges", "sources"].map(|name| world.text(&format!("{name}.jsonl"))).concat();
        for name in world.texts() {
            all.push_str(&name);
            all.push_str(&world.text(&format!("syntheses/{name}")));
        }
        all
    };
    let hidden = synthesis::by_id(world.database().read(), private).await.unwrap().unwrap();
    let all = everything(&world);
    assert!(!all.contains(&hidden.node_key) && !all.contains(&private.to_string()) && !all.contains("anna"));
    assert_eq!(world.texts().len(), 1);

    // A concept that facts and edges name.
    let edges = world.lines("edges.jsonl");
    let key = edges[0]["source"].as_str().unwrap().to_owned();
    assert!(world.text("facts.jsonl").contains(&format!("\"{key}\"")));
    let hide =
        format!("UPDATE write_nodes SET visibility = 'private', creator_id = 'anna' WHERE key = '{key}'");
    assert_eq!(world.run(&hide).await, 1);
    let tx = world.database().begin().await.unwrap();
    let now = world.database().clock().now(&tx).await.unwrap();
    synthesis::set_visibility(&tx, public, Visibility::Private, now).await.unwrap();
    tx.commit().await.unwrap();
    world.settle().await;
    assert!(!world.text("nodes.jsonl").contains(&format!("\"key\":\"{key}\"")));
    for edge in world.lines("edges.jsonl") {
        assert!(edge["source"] != key.as_str() && edge["target"] != key.as_str(), "{edge}");
    }
    for fact in world.lines("facts.jsonl") {
        assert!(fact["nodes"].as_array().unwrap().iter().all(|node| *node != key.as_str()), "{fact}");
    }
    assert_eq!(world.texts(), Vec::<String>::new());
}

#[rstest]
#[tokio::test]
async fn links_that_were_rejected_and_facts_that_are_not_ready_are_left_out(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.run("UPDATE write_facts SET dedup_status = 'pending' WHERE id = (SELECT id FROM write_facts ORDER BY id LIMIT 1)").await;
    world
        .run("INSERT INTO write_node_fact_rejections (node_id, fact_id) SELECT node_id, fact_id FROM write_node_facts WHERE fact_id = (SELECT max_id.id FROM (SELECT fact_id AS id FROM write_node_facts ORDER BY fact_id DESC LIMIT 1) AS max_id)")
        .await;
    world.settle().await;
    let facts = world.lines("facts.jsonl");
    assert_eq!(facts.len() + 1, world.count("write_facts").await);
    let rejected = world.count("write_node_fact_rejections").await;
    assert!(rejected > 0);
    assert!(facts.iter().any(|fact| fact["nodes"].as_array().unwrap().is_empty()));

    world.run("UPDATE write_facts SET dedup_status = 'ready'").await;
    world.run("DELETE FROM write_node_fact_rejections").await;
    world.settle().await;
    let facts = world.lines("facts.jsonl");
    assert_eq!(facts.len(), world.count("write_facts").await);
    let links: usize = facts.iter().map(|fact| fact["nodes"].as_array().unwrap().len()).sum();
    assert_eq!(links, world.count("write_node_facts").await);
}

#[rstest]
#[tokio::test]
async fn another_graph_has_a_folder_of_its_own(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    import(
        world.database(),
        "other",
        &[("parrots.md", "# Parrots\n\nA Parrot repeats what the Sailor says.\n")],
    )
    .await;
    world.settle().await;
    assert!(!world.text("facts.jsonl").contains("Parrot"));
    assert!(!world.text("nodes.jsonl").contains("parrot"));
}

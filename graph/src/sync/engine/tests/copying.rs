//! What changes on the write side is there on the read side after the next cycle.

use rstest::rstest;
use sea_orm::DbBackend;

use super::world::{LEASES, OUTBOX, World};
use crate::sync::CycleEnd;

#[rstest]
#[tokio::test]
async fn a_graph_is_copied_and_then_only_what_changes(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.import("leases.md", LEASES).await;
    world.settle().await;
    world.assert_equal().await;
    let facts = world.count("facts").await;
    assert!(facts >= 3 && world.count("edges").await > 0, "{facts} facts");
    assert!(world.count("edge_facts").await > 0, "an edge has the facts that mention both its nodes");

    let idle = world.cycle().await;
    assert_eq!((idle.end, idle.state, idle.tables.len()), (CycleEnd::Idle, None, 0));

    world.import("outbox.md", OUTBOX).await;
    let cycles = world.settle().await;
    world.assert_equal().await;
    let moved: u64 =
        cycles.iter().filter_map(|cycle| cycle.tables.get("facts")).map(|table| table.moved).sum();
    assert_eq!(
        usize::try_from(moved).unwrap(),
        world.count("facts").await - facts,
        "only the new facts were written"
    );
}

#[rstest]
#[tokio::test]
async fn what_is_changed_and_what_is_removed_travels(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.import("leases.md", LEASES).await;
    world.import("outbox.md", OUTBOX).await;
    world.settle().await;
    world.change("UPDATE write_sources SET title = 'Another', canonical_url = 'https://example.org/a', doi = '10.1/x'").await;
    world
        .change("UPDATE write_nodes SET visibility = 'private', creator_id = 'anna' WHERE key = 'lease'")
        .await;
    world.settle().await;
    world.assert_equal().await;
    world.change("UPDATE write_sources SET canonical_url = NULL, doi = NULL").await;
    world.change("DELETE FROM write_node_facts WHERE fact_id IN (SELECT id FROM write_facts WHERE content LIKE '%relay%')").await;
    world.change("DELETE FROM write_fact_sources WHERE fact_id IN (SELECT id FROM write_facts WHERE content LIKE '%relay%')").await;
    world.change("DELETE FROM write_facts WHERE content LIKE '%relay%'").await;
    world.change("DELETE FROM write_edges WHERE source_key = 'relay' OR target_key = 'relay'").await;
    world.change("DELETE FROM write_nodes WHERE key = 'relay'").await;
    world.settle().await;
    world.assert_equal().await;
    assert_eq!(world.failures().await, [], "nothing waits for what is gone");
}

#[rstest]
#[tokio::test]
async fn a_source_that_is_taken_again_loses_what_it_no_longer_says(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text.md");
    for text in [LEASES, OUTBOX, LEASES] {
        std::fs::write(&file, text).unwrap();
        let import =
            crate::import::Import::new(world.write().clone(), crate::import::ImportOptions::default());
        import.run(std::slice::from_ref(&file)).await.unwrap();
        world.settle().await;
        world.assert_equal().await;
    }
    assert_eq!(world.count("sources").await, 1);
}

#[rstest]
#[tokio::test]
async fn a_long_copy_ends_when_its_time_is_over_and_the_next_goes_on(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::new(backend).await else { return };
    world.import("leases.md", LEASES).await;
    world.import("outbox.md", OUTBOX).await;
    world.budget = std::time::Duration::ZERO;
    let cycles = world.settle().await;
    assert!(cycles.len() > 5, "one page each: {} cycles", cycles.len());
    world.assert_equal().await;
    assert_eq!(world.failures().await, [], "what waited for a later page is there");
}

#[rstest]
#[tokio::test]
async fn two_graphs_of_one_database_do_not_mix(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(mut world) = World::called(backend, "first").await else { return };
    world.import("leases.md", LEASES).await;
    world.settle().await;
    let facts = world.count("facts").await;
    let database = world.write();
    let now = database.clock().now(database.read()).await.unwrap();
    let other = ackord_entities::graph::graphs::ensure(database.write(), "second", now).await.unwrap();
    (world.slug, world.graph) = ("second".to_owned(), other);
    world.import("outbox.md", OUTBOX).await;
    (world.slug, world.graph) = ("first".to_owned(), ackord_entities::graph::graphs::id_of("first"));
    world.settle().await;
    assert_eq!(world.count("facts").await, facts, "the second graph is not copied with the first");
    (world.slug, world.graph) = ("second".to_owned(), other);
    world.settle().await;
    world.assert_equal().await;
}

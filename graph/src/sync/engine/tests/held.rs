//! Rows that cannot be copied yet, or at all, and what becomes of them.

use std::time::Duration;

use ackord_entities::sync::failure::State;
use rstest::rstest;
use sea_orm::DbBackend;

use super::world::{LEASES, World};

/// Makes `id` of a UUID in SQL.
fn id(backend: DbBackend, last: u8) -> String {
    let text = format!("00000000-0000-4000-8000-0000000000{last:02x}");
    match backend {
        DbBackend::Postgres => format!("'{text}'"),
        _ => format!("unhex('{}')", text.replace('-', "")),
    }
}

async fn add_fact(world: &World, backend: DbBackend, last: u8, status: &str) {
    let graph = world.graph_sql(backend);
    let search = if backend == DbBackend::Postgres { (", search", ", ''::tsvector") } else { ("", "") };
    world
        .change(&format!(
            "INSERT INTO write_facts (id, graph_id, content, fact_type, dedup_status, created_at, updated_at{}) \
             VALUES ({}, {graph}, 'Fact {last}.', 'stated', '{status}', '2026-01-01T00:00:00+00:00', '2026-01-01T00:00:00+00:00'{})",
            search.0,
            id(backend, last),
            search.1
        ))
        .await;
}

impl World {
    fn graph_sql(&self, backend: DbBackend) -> String {
        match backend {
            DbBackend::Postgres => format!("'{}'", self.graph),
            _ => format!("unhex('{}')", self.graph.0.simple()),
        }
    }
}

async fn add_node(world: &World, backend: DbBackend, key: &str) {
    let graph = world.graph_sql(backend);
    let node = ackord_entities::graph::node::id_of(world.graph, key).0;
    let node = match backend {
        DbBackend::Postgres => format!("'{node}'"),
        _ => format!("unhex('{}')", node.simple()),
    };
    world
        .change(&format!(
            "INSERT INTO write_nodes (id, graph_id, key, concept, node_type, visibility, fact_count, strength, created_at, updated_at) \
             VALUES ({node}, {graph}, '{key}', '{key}', 'concept', 'public', 0, 1, '2026-01-01T00:00:00+00:00', '2026-01-01T00:00:00+00:00')"
        ))
        .await;
}

async fn add_edge(world: &World, backend: DbBackend, from: &str, to: &str) {
    let graph = world.graph_sql(backend);
    world
        .change(&format!(
            "INSERT INTO write_edges (graph_id, source_key, target_key, relationship_type, weight, stated, updated_at) \
             VALUES ({graph}, '{from}', '{to}', 'draws_from', 1, 1, '2026-01-01T00:00:00+00:00')"
        ))
        .await;
}

#[rstest]
#[tokio::test]
async fn an_edge_waits_for_its_node_and_comes_with_it(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    add_node(&world, backend, "a").await;
    add_edge(&world, backend, "a", "b").await;
    world.settle().await;
    assert_eq!(world.count("edges").await, 0);
    let failures = world.failures().await;
    assert_eq!(failures.len(), 1);
    assert_eq!((failures[0].0.as_str(), failures[0].2, failures[0].3), ("edges", State::Deferred, 0));
    add_node(&world, backend, "b").await;
    world.settle().await;
    world.assert_equal().await;
    assert_eq!((world.count("edges").await, world.failures().await.len()), (1, 0));
}

#[rstest]
#[tokio::test]
async fn an_edge_goes_with_its_node_and_comes_back_with_it(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    add_node(&world, backend, "a").await;
    add_node(&world, backend, "b").await;
    add_edge(&world, backend, "a", "b").await;
    world.settle().await;
    world.change("DELETE FROM write_nodes WHERE key = 'b'").await;
    world.settle().await;
    assert_eq!((world.count("edges").await, world.failures().await.len()), (0, 1));
    world.assert_equal().await;
    add_node(&world, backend, "b").await;
    world.settle().await;
    world.assert_equal().await;
    assert_eq!((world.count("edges").await, world.failures().await.len()), (1, 0));
}

#[rstest]
#[tokio::test]
async fn a_link_comes_when_its_fact_is_ready_and_ready_facts_are_not_sent_again(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    add_node(&world, backend, "a").await;
    add_fact(&world, backend, 1, "pending").await;
    add_fact(&world, backend, 2, "ready").await;
    for last in [1, 2] {
        let node = format!("(SELECT id FROM write_nodes WHERE key = 'a'), {}", id(backend, last));
        world.change(&format!("INSERT INTO write_node_facts (node_id, fact_id) SELECT {node}")).await;
    }
    world.settle().await;
    assert_eq!((world.count("facts").await, world.count("node_facts").await), (1, 1));
    assert_eq!(
        world.cycle().await.tables.get("facts").map(|table| table.moved),
        None,
        "nothing is sent again"
    );
    world.change("UPDATE write_facts SET dedup_status = 'ready'").await;
    world.settle().await;
    world.assert_equal().await;
    assert_eq!((world.count("facts").await, world.count("node_facts").await), (2, 2));
    assert_eq!(world.failures().await, []);
}

#[rstest]
#[tokio::test]
async fn a_rejected_link_is_not_there_and_comes_when_it_is_taken_back(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    world.import("leases.md", LEASES).await;
    world.settle().await;
    let links = world.count("node_facts").await;
    world.change("INSERT INTO write_node_fact_rejections (node_id, fact_id) SELECT node_id, fact_id FROM write_node_facts LIMIT 1").await;
    world.settle().await;
    assert_eq!(world.count("node_facts").await, links - 1);
    world.assert_equal().await;
    world.change("DELETE FROM write_node_fact_rejections").await;
    world.settle().await;
    assert_eq!(world.count("node_facts").await, links);
    world.assert_equal().await;
}

/// Makes the read side refuse the node called `key`.
async fn refuse(world: &World, backend: DbBackend, key: &str) {
    let sql = match backend {
        DbBackend::Postgres => {
            format!("ALTER TABLE nodes ADD CONSTRAINT no_poison CHECK (key <> '{key}') NOT VALID")
        }
        _ => format!(
            "CREATE TRIGGER no_poison BEFORE INSERT ON nodes WHEN NEW.key = '{key}' BEGIN SELECT RAISE(ABORT, 'no'); END"
        ),
    };
    world.meddle(&sql).await;
}

async fn accept(world: &World, backend: DbBackend) {
    let sql = match backend {
        DbBackend::Postgres => "ALTER TABLE nodes DROP CONSTRAINT no_poison",
        _ => "DROP TRIGGER no_poison",
    };
    world.meddle(sql).await;
}

#[rstest]
#[tokio::test]
async fn a_refused_row_holds_up_nobody_and_is_tried_later_and_later(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    refuse(&world, backend, "n-50").await;
    for number in 0..100 {
        add_node(&world, backend, &format!("n-{number}")).await;
    }
    world.settle().await;
    assert_eq!(world.count("nodes").await, 99);
    let state = |tries, state| vec![(state, tries)];
    let failures = || async {
        world.failures().await.into_iter().map(|(_, _, state, tries)| (state, tries)).collect::<Vec<_>>()
    };
    assert_eq!(failures().await, state(1, State::Pending));
    let clock = world.write().clock();
    // Not due before 60 s times two: cycles in between change nothing.
    for _ in 0..3 {
        world.cycle().await;
    }
    assert_eq!(failures().await, state(1, State::Pending));
    for (tries, wait) in [(2, 120), (3, 240), (4, 480)] {
        // A minute for what the test itself takes: the clock goes on meanwhile.
        clock.advance(Duration::from_secs(wait - 60));
        world.cycle().await;
        assert_eq!(failures().await, state(tries - 1, State::Pending), "{wait} s are not over");
        clock.advance(Duration::from_secs(61));
        world.settle().await;
        assert_eq!(failures().await, state(tries, State::Pending));
    }
    clock.advance(Duration::from_secs(961));
    world.settle().await;
    assert_eq!(failures().await, state(5, State::Abandoned));
    clock.advance(Duration::from_secs(100_000));
    world.settle().await;
    assert_eq!(failures().await, state(5, State::Abandoned), "it waits for an operator");
    accept(&world, backend).await;
    world.change("UPDATE write_nodes SET concept = 'Repaired' WHERE key = 'n-50'").await;
    world.settle().await;
    world.assert_equal().await;
    assert_eq!(world.failures().await, [], "a change that can be copied clears it");
}

#[rstest]
#[tokio::test]
async fn a_refused_row_that_is_gone_is_forgotten(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    refuse(&world, backend, "poison").await;
    add_node(&world, backend, "poison").await;
    world.settle().await;
    assert_eq!(world.failures().await.len(), 1);
    world.change("DELETE FROM write_nodes").await;
    world.settle().await;
    assert_eq!(world.failures().await, []);
    world.assert_equal().await;
}

//! More than a page holds: of one record, and of one transaction after the other.

use rstest::rstest;
use sea_orm::DbBackend;

use super::world::World;
use crate::sync::CycleEnd;

/// More than two pages of rows.
const MANY: usize = 9_000;

const NOW: &str = "'2026-01-01T00:00:00+00:00'";

/// `SELECT` of `columns` for each number `n` up to `count`, `$id(..)` of which are ids.
fn each(backend: DbBackend, columns: &str, count: usize) -> String {
    let is_postgres = backend == DbBackend::Postgres;
    let (open, close) =
        if is_postgres { ("md5((", ")::text)::uuid") } else { ("unhex(printf('%032x', ", "))") };
    let columns = columns.replace("$id(", open).replace(")id", close);
    if is_postgres {
        format!("SELECT {columns} FROM generate_series(1, {count}) AS s(n)")
    } else {
        format!(
            "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) SELECT {columns} FROM s"
        )
    }
}

/// A source with [`MANY`] places, a fact with as many nodes, and small ones before and behind them.
async fn fill(world: &World, backend: DbBackend) {
    let graph = match backend {
        DbBackend::Postgres => format!("'{}'", world.graph),
        _ => format!("unhex('{}')", world.graph.0.simple()),
    };
    let search = if backend == DbBackend::Postgres { (", search", ", ''::tsvector") } else { ("", "") };
    for (table, columns, values, count) in [
        (
            "write_sources",
            "id, graph_id, uri, title, content_hash, content_type, byte_size, fact_count, created_at, updated_at".to_owned(),
            format!("$id(n + 1000000)id, {graph}, 'file:///' || n, 's', 'x', 'text/plain', 1, 0, {NOW}, {NOW}"),
            40,
        ),
        (
            "write_facts",
            format!("id, graph_id, content, fact_type, created_at, updated_at{}", search.0),
            format!("$id(n)id, {graph}, 'f' || n, 'sentence', {NOW}, {NOW}{}", search.1),
            MANY,
        ),
        (
            "write_nodes",
            "id, graph_id, key, concept, node_type, visibility, fact_count, strength, created_at, updated_at".to_owned(),
            format!("$id(n + 2000000)id, {graph}, 'n-' || n, 'c', 'name', 'public', 0, 1, {NOW}, {NOW}"),
            MANY,
        ),
        (
            "write_fact_sources",
            "source_id, position, fact_id, line, start_byte, end_byte, node_keys".to_owned(),
            "$id(1000020)id, n, $id(n)id, 1, 0, 1, ''".to_owned(),
            MANY,
        ),
        (
            "write_fact_sources",
            "source_id, position, fact_id, line, start_byte, end_byte, node_keys".to_owned(),
            "$id(1000000 + (CASE WHEN n < 20 THEN n ELSE n + 1 END))id, 0, $id(n)id, 1, 0, 1, ''".to_owned(),
            39,
        ),
        ("write_node_facts", "fact_id, node_id".to_owned(), "$id(4500)id, $id(n + 2000000)id".to_owned(), MANY),
        ("write_node_facts", "fact_id, node_id".to_owned(), "$id(n)id, $id(n + 2000000)id".to_owned(), 4_000),
    ] {
        world.change(&format!("INSERT INTO {table} ({columns}) {}", each(backend, &values, count))).await;
    }
}

#[rstest]
#[tokio::test]
async fn a_record_with_more_rows_than_a_page_holds_is_copied_and_loses_what_goes(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    fill(&world, backend).await;
    world.settle().await;
    world.assert_equal().await;
    assert_eq!(world.count("fact_sources").await, MANY + 39);
    assert_eq!(world.count("node_facts").await, MANY + 4_000);
    world.change("DELETE FROM write_fact_sources WHERE position % 3 = 1").await;
    let few = each(backend, "$id(n * 2 + 2000000)id", MANY / 2);
    world.change(&format!("DELETE FROM write_node_facts WHERE node_id IN ({few})")).await;
    world.settle().await;
    world.assert_equal().await;
}

#[rstest]
#[tokio::test]
async fn a_record_that_one_transaction_after_the_other_has_changed_is_copied_once(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(world) = World::new(backend).await else { return };
    fill(&world, backend).await;
    world.settle().await;
    for _ in 0..3 {
        world.change("UPDATE write_nodes SET concept = concept || 'x'").await;
    }
    world.readable().await;
    let cycle = world.cycle().await;
    assert_eq!((cycle.end, cycle.tables["nodes"].moved), (CycleEnd::Complete, MANY as u64));
    world.assert_equal().await;
}

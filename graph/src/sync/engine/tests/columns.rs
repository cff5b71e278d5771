//! Every column of the write side is copied, or left out on purpose.

use std::collections::BTreeSet;

use ackord_entities::testing::TestDatabase;
use rstest::rstest;
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::super::{LEFT_OUT, STREAMS};

/// Tables of the write side that nothing is copied from, each with the reason.
const OTHER_TABLES: [(&str, &str); 10] = [
    ("write_changes", "says what is to be copied"),
    ("write_followers", "says who copies"),
    ("write_node_sources", "decides what a node is called"),
    ("write_edge_sources", "decides what an edge weighs"),
    ("write_synthesis_attempts", "for operators"),
    ("write_super_syntheses", "how a text was planned"),
    ("write_synthesis_links", "how a text was planned"),
    ("write_synthesis_parts_read", "how a text was combined"),
    ("write_facts_search", "SQLite's full-text index"),
    ("write_facts_search_", "SQLite's full-text index"),
];

#[rstest]
#[tokio::test]
async fn every_column_of_the_write_side_is_copied_or_left_out_on_purpose(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let sql = match backend {
        DbBackend::Postgres => {
            "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name LIKE 'write\\_%'"
        }
        _ => {
            "SELECT m.name || '.' || c.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table' AND m.name LIKE 'write\\_%' ESCAPE '\\'"
        }
    };
    let rows = test.database().read().query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
    let covered: BTreeSet<&str> =
        STREAMS.iter().flat_map(|stream| stream.columns).flat_map(|column| column.covers).copied().collect();
    let mut forgotten = Vec::new();
    for row in rows {
        let name: String = row.try_get_by_index(0).unwrap();
        let table = name.split_once('.').unwrap().0;
        let is_other = OTHER_TABLES
            .iter()
            .any(|(other, _)| *other == table || (other.ends_with('_') && table.starts_with(other)));
        let is_left_out = LEFT_OUT.iter().any(|(left_out, _)| *left_out == name);
        if !is_other && !is_left_out && !covered.contains(name.as_str()) {
            forgotten.push(name);
        }
    }
    assert_eq!(forgotten, Vec::<String>::new(), "copy these columns, or say in LEFT_OUT why not");
}

#[rstest]
#[tokio::test]
async fn every_column_of_the_read_side_is_filled(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    /// What the copying itself keeps there.
    const OWN: [&str; 5] = ["epoch", "change", "fact_count", "edge_count", "dimension_count"];
    let Some(test) = TestDatabase::open(backend).await else { return };
    for stream in &STREAMS {
        let sql = match backend {
            DbBackend::Postgres => {
                format!(
                    "SELECT column_name::text FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '{}'",
                    stream.table
                )
            }
            _ => format!("SELECT name FROM pragma_table_info('{}')", stream.table),
        };
        let rows = test.database().read().query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
        let mut there: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        there.retain(|name| !OWN.contains(&name.as_str()));
        there.sort();
        let mut filled: Vec<&str> = stream.columns.iter().map(|column| column.name).collect();
        filled.sort_unstable();
        assert_eq!(there, filled, "{}", stream.table);
    }
}

//! What has changed on the write side of a graph, for those who copy it.
//!
//! Triggers note each changed row in `write_changes`, in the transaction that changes it, so that no writer can forget it: importers,
//! syntheses, other people's pipelines. They note nothing while nobody follows a graph (`write_followers`), so a graph that is not
//! copied pays next to nothing.
//!
//! `transaction_id` is Postgres's: a row is safe to read past when every transaction up to it has ended. SQLite's writers take turns;
//! there `id` alone says the order.
//!
//! A stream has the changes of one table and of the links that belong to its rows. Its `record_key` says which row is to be looked at
//! again, with its links. So a link that is written before the row it belongs to is not missed: the row is noted when it comes.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::dialect::execute_all;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute_all(manager, &UP).await?;
        let postgres = manager.get_database_backend() == DbBackend::Postgres;
        execute_all(manager, if postgres { &UP_POSTGRES } else { &UP_SQLITE }).await?;
        for stream in STREAMS {
            let statements = if postgres { stream.postgres() } else { stream.sqlite() };
            let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
            execute_all(manager, &statements).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == DbBackend::Postgres;
        for stream in STREAMS {
            let statements = stream.undone(postgres);
            let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
            execute_all(manager, &statements).await?;
        }
        execute_all(manager, &DOWN).await
    }

    /// On SQLite too: a process that dies half way leaves the old schema, not half of the new one.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const UP: [&str; 8] = [
    "ALTER TABLE write_facts ADD COLUMN dedup_status text NOT NULL DEFAULT 'ready' CHECK (dedup_status IN ('pending', 'in_progress', 'ready'))",
    // By fact: the links of one fact are copied together. The primary key begins with the node.
    "CREATE INDEX write_node_facts_by_fact ON write_node_facts (fact_id)",
    "CREATE TABLE write_node_fact_rejections (
        node_id $uuid NOT NULL,
        fact_id $uuid NOT NULL,
        PRIMARY KEY (node_id, fact_id)
    ) $compact",
    "CREATE INDEX write_node_fact_rejections_by_fact ON write_node_fact_rejections (fact_id)",
    "CREATE TABLE write_dimensions (
        id $uuid NOT NULL PRIMARY KEY,
        graph_id $uuid NOT NULL,
        node_key text NOT NULL,
        model_id text NOT NULL,
        content text NOT NULL,
        confidence $real CHECK (confidence BETWEEN 0 AND 1),
        suggested_concepts text,
        batch_index $int NOT NULL CHECK (batch_index >= 0),
        is_definitive $bool NOT NULL,
        metadata text,
        created_at $time NOT NULL,
        updated_at $time NOT NULL
    ) $strict",
    "CREATE INDEX write_dimensions_by_graph ON write_dimensions (graph_id, node_key)",
    "CREATE TABLE write_dimension_facts (
        dimension_id $uuid NOT NULL,
        fact_id $uuid NOT NULL,
        PRIMARY KEY (dimension_id, fact_id)
    ) $compact",
    // token: a new one in each cycle that copies something. A write side that was set back shows an older one.
    "CREATE TABLE write_followers (
        graph_id $uuid NOT NULL PRIMARY KEY,
        since $big NOT NULL,
        token $uuid NOT NULL,
        previous_token $uuid,
        created_at $time NOT NULL
    ) $compact",
];

const UP_POSTGRES: [&str; 1] = ["CREATE TABLE write_changes (
        graph_id uuid NOT NULL,
        stream text NOT NULL,
        transaction_id bigint NOT NULL,
        id bigint GENERATED ALWAYS AS IDENTITY,
        record_key text NOT NULL,
        PRIMARY KEY (graph_id, stream, transaction_id, id)
    )"];

const UP_SQLITE: [&str; 2] = [
    // AUTOINCREMENT: an id never comes again, also after everything was removed.
    "CREATE TABLE write_changes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        graph_id BLOB NOT NULL,
        stream TEXT NOT NULL,
        transaction_id INTEGER NOT NULL,
        record_key TEXT NOT NULL
    ) STRICT",
    "CREATE INDEX write_changes_by_stream ON write_changes (graph_id, stream, id)",
];

const DOWN: [&str; 7] = [
    "DROP TABLE write_changes",
    "DROP TABLE write_followers",
    "DROP TABLE write_dimension_facts",
    "DROP TABLE write_dimensions",
    "DROP TABLE write_node_fact_rejections",
    "DROP INDEX write_node_facts_by_fact",
    "ALTER TABLE write_facts DROP COLUMN dedup_status",
];

/// A table whose changes are noted.
struct Watched {
    table: &'static str,
    stream: &'static str,
    /// The key of the record that a changed row `r` belongs to.
    key: Key,
    /// The table that knows the graph of `r`, if `r` does not, and the column of `r` that names its row.
    owner: Option<(&'static str, &'static str)>,
}

enum Key {
    /// A UUID in this column.
    Id(&'static str),
    /// The ends and the type of an edge.
    Edge,
}

const STREAMS: [Watched; 11] = [
    Watched { table: "write_sources", stream: "sources", key: Key::Id("id"), owner: None },
    Watched { table: "write_facts", stream: "facts", key: Key::Id("id"), owner: None },
    Watched { table: "write_nodes", stream: "nodes", key: Key::Id("id"), owner: None },
    Watched {
        table: "write_fact_sources",
        stream: "sources",
        key: Key::Id("source_id"),
        owner: Some(("write_sources", "source_id")),
    },
    Watched {
        table: "write_node_facts",
        stream: "facts",
        key: Key::Id("fact_id"),
        owner: Some(("write_facts", "fact_id")),
    },
    Watched {
        table: "write_node_fact_rejections",
        stream: "facts",
        key: Key::Id("fact_id"),
        owner: Some(("write_facts", "fact_id")),
    },
    Watched { table: "write_edges", stream: "edges", key: Key::Edge, owner: None },
    Watched { table: "write_dimensions", stream: "dimensions", key: Key::Id("id"), owner: None },
    Watched {
        table: "write_dimension_facts",
        stream: "dimensions",
        key: Key::Id("dimension_id"),
        owner: Some(("write_dimensions", "dimension_id")),
    },
    Watched { table: "write_syntheses", stream: "syntheses", key: Key::Id("id"), owner: None },
    Watched {
        table: "write_synthesis_versions",
        stream: "syntheses",
        key: Key::Id("synthesis_id"),
        owner: Some(("write_syntheses", "synthesis_id")),
    },
];

/// The event, the rows it changed, and the name of its trigger.
const EVENTS: [(&str, &str); 3] = [("INSERT", "inserted"), ("UPDATE", "updated"), ("DELETE", "deleted")];

impl Watched {
    /// Statement by statement, so that a set of rows is noted as a set.
    fn postgres(&self) -> Vec<String> {
        let Self { table, stream, .. } = self;
        let key = match self.key {
            Key::Id(column) => format!("r.{column}::text"),
            Key::Edge => "json_build_array(r.relationship_type, r.source_key, r.target_key)::text".to_owned(),
        };
        let (graph, owner) = match self.owner {
            None => ("r.graph_id", String::new()),
            Some((owner, column)) => ("o.graph_id", format!(" JOIN {owner} AS o ON o.id = r.{column}")),
        };
        let mut statements = Vec::new();
        for (event, name) in EVENTS {
            let (rows, tables) = match event {
                "INSERT" => ("new_rows", "NEW TABLE AS new_rows"),
                "DELETE" => ("old_rows", "OLD TABLE AS old_rows"),
                // Both: a row whose key changes is gone under the old one.
                _ => (
                    "(SELECT * FROM old_rows UNION ALL SELECT * FROM new_rows)",
                    "OLD TABLE AS old_rows NEW TABLE AS new_rows",
                ),
            };
            statements.push(format!(
                "CREATE FUNCTION {table}_{name}() RETURNS trigger LANGUAGE plpgsql AS $body$
                BEGIN
                    IF EXISTS (SELECT 1 FROM write_followers) THEN
                        INSERT INTO write_changes (graph_id, stream, transaction_id, record_key)
                        SELECT DISTINCT {graph}, '{stream}', pg_current_xact_id()::text::bigint, {key}
                        FROM {rows} AS r{owner} JOIN write_followers AS f ON f.graph_id = {graph};
                    END IF;
                    RETURN NULL;
                END $body$"
            ));
            statements.push(format!(
                "CREATE TRIGGER {table}_{name} AFTER {event} ON {table} REFERENCING {tables}
                FOR EACH STATEMENT EXECUTE FUNCTION {table}_{name}()"
            ));
        }
        statements
    }

    /// Row by row: SQLite knows no sets here.
    fn sqlite(&self) -> Vec<String> {
        let Self { table, stream, .. } = self;
        let note = |r: &str| {
            let key = match self.key {
                Key::Id(column) => format!("lower(hex({r}.{column}))"),
                Key::Edge => {
                    format!("json_array({r}.relationship_type, {r}.source_key, {r}.target_key)")
                }
            };
            let from = match self.owner {
                None => format!("write_followers AS f WHERE f.graph_id = {r}.graph_id"),
                Some((owner, column)) => format!(
                    "{owner} AS o JOIN write_followers AS f ON f.graph_id = o.graph_id WHERE o.id = {r}.{column}"
                ),
            };
            format!(
                "INSERT INTO write_changes (graph_id, stream, transaction_id, record_key) SELECT f.graph_id, '{stream}', 0, {key} FROM {from};"
            )
        };
        let statement = |(event, name): (&str, &str)| {
            let notes = match event {
                "INSERT" => note("NEW"),
                "DELETE" => note("OLD"),
                _ => note("OLD") + " " + &note("NEW"),
            };
            format!(
                "CREATE TRIGGER {table}_{name} AFTER {event} ON {table} \
                 WHEN EXISTS (SELECT 1 FROM write_followers) BEGIN {notes} END"
            )
        };
        EVENTS.into_iter().map(statement).collect()
    }

    fn undone(&self, postgres: bool) -> Vec<String> {
        let table = self.table;
        let mut statements = Vec::new();
        for (_, name) in EVENTS {
            if postgres {
                statements.push(format!("DROP TRIGGER {table}_{name} ON {table}"));
                statements.push(format!("DROP FUNCTION {table}_{name}()"));
            } else {
                statements.push(format!("DROP TRIGGER {table}_{name}"));
            }
        }
        statements
    }
}

//! The read side of the graphs, and what is known about copying them.
//!
//! The read side has foreign keys, links in tables of their own and counts beside their rows; the copying of a graph is its only writer.
//! Each row says since which change it is as it is (`epoch`, `change`): an older one never comes over a newer one. An epoch is one
//! complete copy with all that followed it.
//!
//! The facts of an edge are no table: an edge between related nodes is there because of the facts that mention both, which the links
//! say already.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::dialect::execute_all;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute_all(manager, &UP).await?;
        execute_all(manager, audit(manager, &AUDIT_UP_POSTGRES, &AUDIT_UP_SQLITE)).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute_all(manager, &DOWN).await?;
        execute_all(manager, audit(manager, &AUDIT_DOWN_POSTGRES, &AUDIT_DOWN_SQLITE)).await
    }

    /// On SQLite too: a process that dies half way leaves the old schema, not half of the new one.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const UP: [&str; 34] = [
    "ALTER TABLE graphs ADD COLUMN composition text",
    "CREATE TABLE sources (
        id $uuid NOT NULL PRIMARY KEY,
        graph_id $uuid NOT NULL REFERENCES graphs (id),
        container_id $uuid REFERENCES sources (id) ON DELETE CASCADE,
        uri text NOT NULL,
        title text NOT NULL,
        content_hash text,
        content_type text NOT NULL,
        byte_size $big NOT NULL CHECK (byte_size >= 0),
        fact_count $int NOT NULL DEFAULT 0,
        canonical_url text,
        doi text,
        created_at $time NOT NULL,
        updated_at $time NOT NULL,
        epoch $int NOT NULL,
        change $big NOT NULL,
        UNIQUE (graph_id, uri)
    ) $strict",
    "CREATE INDEX sources_by_container ON sources (container_id) WHERE container_id IS NOT NULL",
    "CREATE INDEX sources_by_epoch ON sources (graph_id, epoch)",
    "CREATE TABLE facts (
        id $uuid NOT NULL PRIMARY KEY,
        graph_id $uuid NOT NULL REFERENCES graphs (id),
        content text NOT NULL,
        fact_type text NOT NULL,
        created_at $time NOT NULL,
        updated_at $time NOT NULL,
        epoch $int NOT NULL,
        change $big NOT NULL
    ) $strict",
    "CREATE INDEX facts_by_epoch ON facts (graph_id, epoch)",
    "CREATE TABLE nodes (
        id $uuid NOT NULL PRIMARY KEY,
        graph_id $uuid NOT NULL REFERENCES graphs (id),
        key text NOT NULL,
        concept text NOT NULL,
        node_type text NOT NULL,
        definition text,
        visibility text NOT NULL CHECK (visibility IN ('public', 'private')),
        creator_id text,
        fact_count $int NOT NULL DEFAULT 0,
        edge_count $int NOT NULL DEFAULT 0,
        dimension_count $int NOT NULL DEFAULT 0,
        created_at $time NOT NULL,
        updated_at $time NOT NULL,
        epoch $int NOT NULL,
        change $big NOT NULL,
        UNIQUE (graph_id, key)
    ) $strict",
    "CREATE INDEX nodes_by_epoch ON nodes (graph_id, epoch)",
    "CREATE TABLE fact_sources (
        source_id $uuid NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
        position $int NOT NULL CHECK (position >= 0),
        fact_id $uuid NOT NULL REFERENCES facts (id) ON DELETE CASCADE,
        line $int NOT NULL,
        start_byte $big NOT NULL,
        end_byte $big NOT NULL,
        heading text,
        epoch $int NOT NULL,
        change $big NOT NULL,
        PRIMARY KEY (source_id, position)
    ) $compact",
    "CREATE INDEX fact_sources_by_fact ON fact_sources (fact_id)",
    "CREATE TABLE node_facts (
        node_id $uuid NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
        fact_id $uuid NOT NULL REFERENCES facts (id) ON DELETE CASCADE,
        epoch $int NOT NULL,
        change $big NOT NULL,
        PRIMARY KEY (fact_id, node_id)
    ) $compact",
    "CREATE INDEX node_facts_by_node ON node_facts (node_id, fact_id)",
    "CREATE TABLE edges (
        id $uuid NOT NULL PRIMARY KEY,
        graph_id $uuid NOT NULL REFERENCES graphs (id),
        source_id $uuid NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
        target_id $uuid NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
        relationship_type text NOT NULL,
        weight $big NOT NULL,
        stated $big NOT NULL,
        justification text,
        updated_at $time NOT NULL,
        epoch $int NOT NULL,
        change $big NOT NULL,
        UNIQUE (source_id, target_id, relationship_type)
    ) $strict",
    "CREATE INDEX edges_by_target ON edges (target_id)",
    "CREATE INDEX edges_by_epoch ON edges (graph_id, epoch)",
    "CREATE VIEW edge_facts AS
        SELECT e.id AS edge_id, a.fact_id AS fact_id
        FROM edges AS e
        JOIN node_facts AS a ON a.node_id = e.source_id
        JOIN node_facts AS b ON b.fact_id = a.fact_id AND b.node_id = e.target_id
        WHERE e.relationship_type = 'related'",
    "CREATE TABLE dimensions (
        id $uuid NOT NULL PRIMARY KEY,
        graph_id $uuid NOT NULL REFERENCES graphs (id),
        node_id $uuid NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
        model_id text NOT NULL,
        content text NOT NULL,
        confidence $real,
        suggested_concepts text,
        batch_index $int NOT NULL,
        fact_count $int NOT NULL DEFAULT 0,
        is_definitive $bool NOT NULL,
        metadata text,
        created_at $time NOT NULL,
        updated_at $time NOT NULL,
        epoch $int NOT NULL,
        change $big NOT NULL
    ) $strict",
    "CREATE INDEX dimensions_by_node ON dimensions (node_id)",
    "CREATE INDEX dimensions_by_epoch ON dimensions (graph_id, epoch)",
    "CREATE TABLE dimension_facts (
        dimension_id $uuid NOT NULL REFERENCES dimensions (id) ON DELETE CASCADE,
        fact_id $uuid NOT NULL REFERENCES facts (id) ON DELETE CASCADE,
        epoch $int NOT NULL,
        change $big NOT NULL,
        PRIMARY KEY (dimension_id, fact_id)
    ) $compact",
    "CREATE INDEX dimension_facts_by_fact ON dimension_facts (fact_id)",
    "CREATE TABLE syntheses (
        id $uuid NOT NULL PRIMARY KEY,
        graph_id $uuid NOT NULL REFERENCES graphs (id),
        node_id $uuid NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
        topic text NOT NULL,
        state text NOT NULL,
        visibility text NOT NULL CHECK (visibility IN ('public', 'private')),
        creator_id text,
        error_code text,
        error_public text,
        error_at $time,
        current_version $int,
        attempts $int NOT NULL,
        created_at $time NOT NULL,
        updated_at $time NOT NULL,
        epoch $int NOT NULL,
        change $big NOT NULL
    ) $strict",
    "CREATE INDEX syntheses_by_node ON syntheses (node_id)",
    "CREATE INDEX syntheses_by_epoch ON syntheses (graph_id, epoch)",
    "CREATE TABLE synthesis_versions (
        synthesis_id $uuid NOT NULL REFERENCES syntheses (id) ON DELETE CASCADE,
        version $int NOT NULL,
        markdown text NOT NULL,
        document text NOT NULL,
        sentences_count $int NOT NULL,
        facts_linked $int NOT NULL,
        nodes_referenced $int NOT NULL,
        producer text NOT NULL,
        created_at $time NOT NULL,
        epoch $int NOT NULL,
        change $big NOT NULL,
        PRIMARY KEY (synthesis_id, version)
    ) $strict",
    // Whose counts are to be taken again, by the end of the cycle that changed something at them or of the next one.
    "CREATE TABLE uncounted_nodes (
        graph_id $uuid NOT NULL,
        node_id $uuid NOT NULL,
        PRIMARY KEY (graph_id, node_id)
    ) $compact",
    // The newest claim that has written to this database, for each key: an older one is refused.
    "CREATE TABLE ackord_fence (
        fence_key text NOT NULL PRIMARY KEY,
        term $big NOT NULL
    ) $compact",
    // In the jobs' database from here on. state: the provider's own, how far it is.
    "CREATE TABLE sync_states (
        graph_id $uuid NOT NULL,
        provider text NOT NULL,
        state text NOT NULL,
        updated_at $time NOT NULL,
        PRIMARY KEY (graph_id, provider)
    ) $strict",
    // state: deferred (waits for another row), pending (tried again when due), abandoned (waits for an operator).
    "CREATE TABLE sync_failures (
        graph_id $uuid NOT NULL,
        table_name text NOT NULL,
        record_key text NOT NULL,
        state text NOT NULL CHECK (state IN ('deferred', 'pending', 'abandoned')),
        error_code text NOT NULL,
        error text NOT NULL,
        waits_for text,
        tries $int NOT NULL CHECK (tries >= 0),
        due_at $time NOT NULL,
        created_at $time NOT NULL,
        updated_at $time NOT NULL,
        PRIMARY KEY (graph_id, table_name, record_key),
        CHECK ((state = 'deferred') = (waits_for IS NOT NULL)),
        CHECK (state = 'deferred' OR tries >= 1)
    ) $strict",
    "CREATE INDEX sync_failures_due ON sync_failures (graph_id, due_at) WHERE state <> 'abandoned'",
    "CREATE INDEX sync_failures_waiting ON sync_failures (graph_id, waits_for) WHERE waits_for IS NOT NULL",
    "CREATE TABLE sync_cycles (
        job_id $uuid NOT NULL PRIMARY KEY,
        graph_id $uuid NOT NULL,
        provider text NOT NULL,
        provider_resolution text NOT NULL CHECK (provider_resolution IN ('default', 'composition')),
        outcome text NOT NULL CHECK (outcome IN ('idle', 'complete', 'continued', 'partial', 'failed')),
        moved $big NOT NULL,
        deleted $big NOT NULL,
        deferred $big NOT NULL,
        failed $big NOT NULL,
        tables text NOT NULL,
        lag_ms $big,
        held_by text,
        error text,
        started_at $time NOT NULL,
        ended_at $time NOT NULL
    ) $strict",
    "CREATE INDEX sync_cycles_by_graph ON sync_cycles (graph_id, job_id)",
    "CREATE INDEX sync_cycles_by_time ON sync_cycles (ended_at)",
];

const DOWN: [&str; 17] = [
    "DROP TABLE sync_cycles",
    "DROP TABLE sync_failures",
    "DROP TABLE sync_states",
    "DROP TABLE ackord_fence",
    "DROP TABLE uncounted_nodes",
    "DROP TABLE synthesis_versions",
    "DROP TABLE syntheses",
    "DROP TABLE dimension_facts",
    "DROP TABLE dimensions",
    "DROP VIEW edge_facts",
    "DROP TABLE edges",
    "DROP TABLE node_facts",
    "DROP TABLE fact_sources",
    "DROP TABLE nodes",
    "DROP TABLE facts",
    "DROP TABLE sources",
    "ALTER TABLE graphs DROP COLUMN composition",
];

/// The statements of the connected database.
fn audit<'s>(manager: &SchemaManager<'_>, postgres: &'s [&'s str], sqlite: &'s [&'s str]) -> &'s [&'s str] {
    if manager.get_database_backend() == DbBackend::Postgres { postgres } else { sqlite }
}

// What the audit may be about grows. SQLite cannot change a CHECK, so it gets the table anew; deeds about what the older schema
// does not know go with it.
const AUDIT_UP_POSTGRES: [&str; 3] = [
    "ALTER TABLE audit DROP CONSTRAINT audit_subject_type_check",
    "DELETE FROM audit WHERE subject_type NOT IN ('job', 'dead_letter', 'kind', 'replay_run', 'synthesis', 'api_token', 'schedule', 'graph')",
    "ALTER TABLE audit ADD CONSTRAINT audit_subject_type_check CHECK (subject_type IN ('job', 'dead_letter', 'kind', 'replay_run', 'synthesis', 'api_token', 'schedule', 'graph'))",
];

const AUDIT_UP_SQLITE: [&str; 5] = [
    "CREATE TABLE audit_anew (
        id $uuid NOT NULL PRIMARY KEY,
        at $time NOT NULL,
        actor text NOT NULL,
        verb text NOT NULL,
        subject_type text NOT NULL CHECK (subject_type IN ('job', 'dead_letter', 'kind', 'replay_run', 'synthesis', 'api_token', 'schedule', 'graph')),
        subject text NOT NULL,
        reason text,
        details text
    ) $strict",
    "INSERT INTO audit_anew SELECT id, at, actor, verb, subject_type, subject, reason, details FROM audit WHERE subject_type IN ('job', 'dead_letter', 'kind', 'replay_run', 'synthesis', 'api_token', 'schedule', 'graph')",
    "DROP TABLE audit",
    "ALTER TABLE audit_anew RENAME TO audit",
    "CREATE INDEX audit_by_subject ON audit (subject, id)",
];

const AUDIT_DOWN_POSTGRES: [&str; 3] = [
    "ALTER TABLE audit DROP CONSTRAINT audit_subject_type_check",
    "DELETE FROM audit WHERE subject_type NOT IN ('job', 'dead_letter', 'kind', 'replay_run', 'synthesis', 'api_token', 'schedule')",
    "ALTER TABLE audit ADD CONSTRAINT audit_subject_type_check CHECK (subject_type IN ('job', 'dead_letter', 'kind', 'replay_run', 'synthesis', 'api_token', 'schedule'))",
];

const AUDIT_DOWN_SQLITE: [&str; 5] = [
    "CREATE TABLE audit_anew (
        id $uuid NOT NULL PRIMARY KEY,
        at $time NOT NULL,
        actor text NOT NULL,
        verb text NOT NULL,
        subject_type text NOT NULL CHECK (subject_type IN ('job', 'dead_letter', 'kind', 'replay_run', 'synthesis', 'api_token', 'schedule')),
        subject text NOT NULL,
        reason text,
        details text
    ) $strict",
    "INSERT INTO audit_anew SELECT id, at, actor, verb, subject_type, subject, reason, details FROM audit WHERE subject_type IN ('job', 'dead_letter', 'kind', 'replay_run', 'synthesis', 'api_token', 'schedule')",
    "DROP TABLE audit",
    "ALTER TABLE audit_anew RENAME TO audit",
    "CREATE INDEX audit_by_subject ON audit (subject, id)",
];

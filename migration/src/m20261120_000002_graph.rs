//! The write side of the knowledge graphs: where importers and other pipelines put what they found.
//!
//! There are no foreign keys here: writers of different kinds fill these tables in an order of their own, and each key
//! would cost a look-up per row. What refers to what is kept right by one rule instead: every transaction that changes a
//! graph's contents first locks its row in `graphs`, and removes what nothing supports any more before it commits.
//!
//! The tables that only say "this belongs to that" (`write_fact_sources`, `write_node_sources`, `write_node_facts`,
//! `write_edge_sources`) carry no times: their rows are replaced together with their source, node or edge, whose
//! `updated_at` moves then.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::dialect::execute_all;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute_all(manager, &UP).await?;
        match manager.get_database_backend() {
            DbBackend::Postgres => execute_all(manager, &UP_FACTS_POSTGRES).await,
            _ => execute_all(manager, &UP_FACTS_SQLITE).await,
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() != DbBackend::Postgres {
            execute_all(manager, &DOWN_FACTS_SQLITE).await?;
        }
        execute_all(manager, &DOWN).await
    }

    /// On SQLite too: a process that dies half way leaves the old schema, not half of the new one.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const UP: [&str; 13] = [
    "CREATE TABLE graphs (
        id $uuid NOT NULL PRIMARY KEY,
        slug text NOT NULL UNIQUE,
        name text NOT NULL,
        created_at $time NOT NULL,
        updated_at $time NOT NULL
    ) $strict",
    // content_hash is NULL while the contents are being written in several transactions.
    "CREATE TABLE write_sources (
        id $uuid NOT NULL PRIMARY KEY,
        graph_id $uuid NOT NULL,
        container_id $uuid,
        uri text NOT NULL,
        title text NOT NULL,
        content_hash text,
        content_type text NOT NULL,
        byte_size $big NOT NULL CHECK (byte_size >= 0),
        fact_count $int NOT NULL CHECK (fact_count >= 0),
        canonical_url text,
        doi text,
        created_at $time NOT NULL,
        updated_at $time NOT NULL,
        UNIQUE (graph_id, uri)
    ) $strict",
    "CREATE INDEX write_sources_by_container ON write_sources (container_id) WHERE container_id IS NOT NULL",
    "CREATE TABLE write_fact_sources (
        source_id $uuid NOT NULL,
        position $int NOT NULL CHECK (position >= 0),
        fact_id $uuid NOT NULL,
        line $int NOT NULL CHECK (line >= 1),
        start_byte $big NOT NULL CHECK (start_byte >= 0),
        end_byte $big NOT NULL CHECK (end_byte >= start_byte),
        heading text,
        node_keys text NOT NULL,
        PRIMARY KEY (source_id, position)
    ) $compact",
    "CREATE INDEX write_fact_sources_by_fact ON write_fact_sources (fact_id)",
    "CREATE TABLE write_nodes (
        id $uuid NOT NULL PRIMARY KEY,
        graph_id $uuid NOT NULL,
        key text NOT NULL,
        concept text NOT NULL,
        node_type text NOT NULL,
        definition text,
        visibility text NOT NULL CHECK (visibility IN ('public', 'private')),
        creator_id text,
        fact_count $int NOT NULL CHECK (fact_count >= 0),
        strength $big NOT NULL,
        created_at $time NOT NULL,
        updated_at $time NOT NULL,
        UNIQUE (graph_id, key)
    ) $strict",
    "CREATE TABLE write_node_sources (
        source_id $uuid NOT NULL,
        node_id $uuid NOT NULL,
        concept text NOT NULL,
        node_type text NOT NULL,
        definition text,
        strength $big NOT NULL,
        PRIMARY KEY (source_id, node_id)
    ) $compact",
    "CREATE INDEX write_node_sources_by_node ON write_node_sources (node_id, strength)",
    "CREATE TABLE write_node_facts (
        node_id $uuid NOT NULL,
        fact_id $uuid NOT NULL,
        PRIMARY KEY (node_id, fact_id)
    ) $compact",
    "CREATE TABLE write_edges (
        graph_id $uuid NOT NULL,
        source_key text NOT NULL,
        target_key text NOT NULL,
        relationship_type text NOT NULL,
        weight $big NOT NULL CHECK (weight >= 0),
        stated $big NOT NULL CHECK (stated >= 0),
        justification text,
        updated_at $time NOT NULL,
        PRIMARY KEY (graph_id, source_key, target_key, relationship_type)
    ) $compact",
    "CREATE INDEX write_edges_by_target ON write_edges (graph_id, target_key)",
    "CREATE TABLE write_edge_sources (
        source_id $uuid NOT NULL,
        edge_key text NOT NULL,
        weight $big NOT NULL CHECK (weight >= 1),
        justification text,
        PRIMARY KEY (source_id, edge_key)
    ) $compact",
    "CREATE INDEX write_edge_sources_by_edge ON write_edge_sources (edge_key)",
];

/// `search` holds the fact's terms as the importer made them, so that both databases find the same facts.
const UP_FACTS_POSTGRES: [&str; 3] = [
    "CREATE TABLE write_facts (
        id uuid NOT NULL PRIMARY KEY,
        graph_id uuid NOT NULL,
        content text NOT NULL,
        fact_type text NOT NULL,
        search tsvector NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )",
    "CREATE INDEX write_facts_search ON write_facts USING gin (search) WITH (fastupdate = on)",
    "CREATE INDEX write_facts_by_graph ON write_facts (graph_id)",
];

/// `seq` ties a fact to its row in the full-text index; it is spelt out because SQLite may renumber an implicit rowid.
/// The index keeps no copy of the text and no positions: it answers which facts hold a term, nothing else is asked of it.
const UP_FACTS_SQLITE: [&str; 2] = [
    "CREATE TABLE write_facts (
        seq INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        graph_id BLOB NOT NULL,
        content TEXT NOT NULL,
        fact_type TEXT NOT NULL,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    ) STRICT",
    "CREATE VIRTUAL TABLE write_facts_search USING fts5(terms, content='', contentless_delete=1, detail='none', tokenize='ascii')",
];

const DOWN_FACTS_SQLITE: [&str; 1] = ["DROP TABLE write_facts_search"];

const DOWN: [&str; 9] = [
    "DROP TABLE write_facts",
    "DROP TABLE write_edge_sources",
    "DROP TABLE write_edges",
    "DROP TABLE write_node_facts",
    "DROP TABLE write_node_sources",
    "DROP TABLE write_nodes",
    "DROP TABLE write_fact_sources",
    "DROP TABLE write_sources",
    "DROP TABLE graphs",
];

//! Texts about topics: one row per synthesis, every version of its text, every attempt to write it.
//!
//! A synthesis is also a node: its row in `write_nodes` has the same id. The input, the owner and the state stand here from
//! before the first attempt on, so that a failure has a place to be shown and something to start again from.

use sea_orm_migration::prelude::*;

use crate::dialect::execute_all;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute_all(manager, &UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute_all(manager, &DOWN).await
    }

    /// On SQLite too: a process that dies half way leaves the old schema, not half of the new one.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const UP: [&str; 5] = [
    // job_id is the job of the last attempt. current_version is the last good text; an attempt that fails leaves it.
    "CREATE TABLE write_syntheses (
        id $uuid NOT NULL PRIMARY KEY,
        graph_id $uuid NOT NULL,
        node_key text NOT NULL,
        topic text NOT NULL,
        state text NOT NULL CHECK (state IN ('pending', 'running', 'completed', 'error', 'partial')),
        visibility text NOT NULL CHECK (visibility IN ('public', 'private')),
        creator_id text,
        input text NOT NULL,
        error_code text,
        error_message text,
        error_public text,
        error_at $time,
        current_version $int CHECK (current_version >= 1),
        attempts $int NOT NULL CHECK (attempts >= 0),
        row_version $int NOT NULL CHECK (row_version >= 1),
        job_id $uuid,
        created_at $time NOT NULL,
        updated_at $time NOT NULL,
        UNIQUE (graph_id, node_key),
        CHECK ((error_code IS NULL) = (error_message IS NULL)),
        CHECK ((error_code IS NULL) = (error_public IS NULL)),
        CHECK ((error_code IS NULL) = (error_at IS NULL)),
        CHECK (state <> 'error' OR error_code IS NOT NULL),
        CHECK (state <> 'completed' OR (error_code IS NULL AND current_version IS NOT NULL)),
        CHECK (state <> 'running' OR (job_id IS NOT NULL AND attempts >= 1))
    ) $strict",
    "CREATE INDEX write_syntheses_by_time ON write_syntheses (graph_id, created_at, id)",
    "CREATE TABLE write_synthesis_versions (
        synthesis_id $uuid NOT NULL REFERENCES write_syntheses (id) ON DELETE CASCADE,
        version $int NOT NULL CHECK (version >= 1),
        markdown text NOT NULL CHECK (markdown <> ''),
        document text NOT NULL,
        sentences_count $int NOT NULL CHECK (sentences_count >= 0),
        facts_linked $int NOT NULL CHECK (facts_linked >= 0),
        nodes_referenced $int NOT NULL CHECK (nodes_referenced >= 0),
        job_id $uuid NOT NULL,
        producer text NOT NULL,
        created_at $time NOT NULL,
        PRIMARY KEY (synthesis_id, version)
    ) $strict",
    "CREATE TABLE write_synthesis_attempts (
        synthesis_id $uuid NOT NULL REFERENCES write_syntheses (id) ON DELETE CASCADE,
        attempt $int NOT NULL CHECK (attempt >= 1),
        job_id $uuid NOT NULL,
        state text NOT NULL CHECK (state IN ('running', 'completed', 'error')),
        error_code text,
        error_message text,
        error_public text,
        exploration text,
        started_at $time NOT NULL,
        ended_at $time,
        PRIMARY KEY (synthesis_id, attempt),
        CHECK ((state = 'running') = (ended_at IS NULL)),
        CHECK ((state = 'error') = (error_code IS NOT NULL)),
        CHECK ((error_code IS NULL) = (error_message IS NULL)),
        CHECK ((error_code IS NULL) = (error_public IS NULL))
    ) $strict",
    "CREATE INDEX write_synthesis_attempts_by_job ON write_synthesis_attempts (job_id)",
];

const DOWN: [&str; 3] = [
    "DROP TABLE write_synthesis_attempts",
    "DROP TABLE write_synthesis_versions",
    "DROP TABLE write_syntheses",
];

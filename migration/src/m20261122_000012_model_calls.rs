//! Calls to a model: what each of them used and cost.

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

// A row is written before its call, so that one whose end nobody saw is there too. cost_micros is in millionths of the currency unit
// of the configured prices; without prices there is none.
const UP: [&str; 1] = ["CREATE TABLE model_calls (
        job_id $uuid NOT NULL,
        attempt $int NOT NULL CHECK (attempt >= 1),
        number $int NOT NULL CHECK (number >= 1),
        purpose text NOT NULL CHECK (purpose IN ('write', 'plan', 'combine')),
        model text NOT NULL CHECK (model <> ''),
        outcome text NOT NULL CHECK (outcome IN ('running', 'answered', 'refused', 'cut_off', 'failed', 'cancelled')),
        prompt_tokens $big NOT NULL CHECK (prompt_tokens >= 0),
        completion_tokens $big NOT NULL CHECK (completion_tokens >= 0),
        cached_tokens $big CHECK (cached_tokens >= 0),
        estimated $bool NOT NULL,
        cost_micros $big CHECK (cost_micros >= 0),
        started_at $time NOT NULL,
        duration_ms $big CHECK (duration_ms >= 0),
        PRIMARY KEY (job_id, attempt, number),
        CHECK ((outcome = 'running') = (duration_ms IS NULL))
    ) $strict"];

const DOWN: [&str; 1] = ["DROP TABLE model_calls"];

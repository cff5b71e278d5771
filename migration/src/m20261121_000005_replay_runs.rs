//! Replay runs: many dead letters on their way back, with the set that was frozen when the run began.

use sea_orm_migration::prelude::*;

use crate::audit::audit_of;
use crate::dialect::execute_all;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute_all(manager, &UP).await?;
        audit_of(manager, &["job", "dead_letter", "kind", "replay_run"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute_all(manager, &DOWN).await?;
        audit_of(manager, &["job", "dead_letter", "kind"]).await
    }

    /// On SQLite too: a process that dies half way leaves the old schema, not half of the new one.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const UP: [&str; 6] = [
    // job_id is the job that works on the run at the moment. step numbers the steps of the ramp for ever, rung says how large
    // the next one is: 10 to the power of it. selection_key is equal for equal selections: one of them runs at a time.
    "CREATE TABLE replay_runs (
        id $uuid NOT NULL PRIMARY KEY,
        job_id $uuid NOT NULL,
        state text NOT NULL CHECK (state IN ('running', 'stopped', 'finished')),
        selection text NOT NULL,
        selection_key text NOT NULL,
        patch text,
        tolerance $int NOT NULL CHECK (tolerance BETWEEN 0 AND 100),
        total $int NOT NULL,
        step $int NOT NULL,
        rung $int NOT NULL,
        step_at $time NOT NULL,
        stop_code text,
        stop_cause text,
        reason text,
        created_by text NOT NULL,
        created_at $time NOT NULL,
        ended_at $time,
        CHECK ((state = 'running') = (ended_at IS NULL)),
        CHECK ((state = 'stopped') = (stop_cause IS NOT NULL)),
        CHECK ((stop_code IS NULL) = (stop_cause IS NULL))
    ) $strict",
    "CREATE UNIQUE INDEX replay_runs_by_selection ON replay_runs (selection_key) WHERE state = 'running'",
    "CREATE TABLE replay_letters (
        run_id $uuid NOT NULL,
        letter_id $uuid NOT NULL,
        state text NOT NULL CHECK (state IN ('waiting', 'replayed', 'refused', 'skipped')),
        step $int,
        job_id $uuid,
        code text,
        note text,
        PRIMARY KEY (run_id, letter_id),
        CHECK ((state = 'replayed') = (step IS NOT NULL)),
        CHECK ((state = 'replayed') = (job_id IS NOT NULL)),
        CHECK ((state IN ('refused', 'skipped')) = (code IS NOT NULL))
    ) $compact",
    "CREATE INDEX replay_letters_waiting ON replay_letters (run_id, letter_id) WHERE state = 'waiting'",
    "CREATE INDEX replay_letters_by_letter ON replay_letters (letter_id)",
    "CREATE INDEX replay_letters_by_step ON replay_letters (run_id, step, job_id) WHERE state = 'replayed'",
];

const DOWN: [&str; 2] = ["DROP TABLE replay_letters", "DROP TABLE replay_runs"];

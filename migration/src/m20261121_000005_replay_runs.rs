//! Replay runs: many dead letters on their way back, with the set that was frozen when the run began.

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

/// The statements of the connected database.
fn audit<'s>(manager: &SchemaManager<'_>, postgres: &'s [&'s str], sqlite: &'s [&'s str]) -> &'s [&'s str] {
    if manager.get_database_backend() == DbBackend::Postgres { postgres } else { sqlite }
}

// What the audit may be about grows. SQLite cannot change a CHECK, so it gets the table anew; deeds about what the older schema
// does not know go with it.
const AUDIT_UP_POSTGRES: [&str; 3] = [
    "ALTER TABLE audit DROP CONSTRAINT audit_subject_type_check",
    "DELETE FROM audit WHERE subject_type NOT IN ('job', 'dead_letter', 'kind', 'replay_run')",
    "ALTER TABLE audit ADD CONSTRAINT audit_subject_type_check CHECK (subject_type IN ('job', 'dead_letter', 'kind', 'replay_run'))",
];

const AUDIT_UP_SQLITE: [&str; 5] = [
    "CREATE TABLE audit_anew (
        id $uuid NOT NULL PRIMARY KEY,
        at $time NOT NULL,
        actor text NOT NULL,
        verb text NOT NULL,
        subject_type text NOT NULL CHECK (subject_type IN ('job', 'dead_letter', 'kind', 'replay_run')),
        subject text NOT NULL,
        reason text,
        details text
    ) $strict",
    "INSERT INTO audit_anew SELECT id, at, actor, verb, subject_type, subject, reason, details FROM audit WHERE subject_type IN ('job', 'dead_letter', 'kind', 'replay_run')",
    "DROP TABLE audit",
    "ALTER TABLE audit_anew RENAME TO audit",
    "CREATE INDEX audit_by_subject ON audit (subject, id)",
];

const AUDIT_DOWN_POSTGRES: [&str; 3] = [
    "ALTER TABLE audit DROP CONSTRAINT audit_subject_type_check",
    "DELETE FROM audit WHERE subject_type NOT IN ('job', 'dead_letter', 'kind')",
    "ALTER TABLE audit ADD CONSTRAINT audit_subject_type_check CHECK (subject_type IN ('job', 'dead_letter', 'kind'))",
];

const AUDIT_DOWN_SQLITE: [&str; 5] = [
    "CREATE TABLE audit_anew (
        id $uuid NOT NULL PRIMARY KEY,
        at $time NOT NULL,
        actor text NOT NULL,
        verb text NOT NULL,
        subject_type text NOT NULL CHECK (subject_type IN ('job', 'dead_letter', 'kind')),
        subject text NOT NULL,
        reason text,
        details text
    ) $strict",
    "INSERT INTO audit_anew SELECT id, at, actor, verb, subject_type, subject, reason, details FROM audit WHERE subject_type IN ('job', 'dead_letter', 'kind')",
    "DROP TABLE audit",
    "ALTER TABLE audit_anew RENAME TO audit",
    "CREATE INDEX audit_by_subject ON audit (subject, id)",
];

//! Schedules, and what became of each of their ticks.

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

const UP: [&str; 5] = [
    // next_tick is null while the schedule is disabled, or when its expression names no moment to come. version is of the row:
    // each edit raises it, a tick does not. last_job_id is the job that it fired last, which overlap is about.
    "CREATE TABLE schedules (
        id $uuid NOT NULL PRIMARY KEY,
        name text NOT NULL UNIQUE,
        kind text NOT NULL,
        payload text NOT NULL,
        payload_version $int NOT NULL CHECK (payload_version >= 1),
        expression text NOT NULL,
        zone text NOT NULL,
        catch_up text NOT NULL CHECK (catch_up IN ('none', 'last') OR catch_up LIKE 'all:%'),
        overlap text NOT NULL CHECK (overlap IN ('skip', 'allow')),
        enabled $bool NOT NULL,
        next_tick $time,
        last_job_id $uuid,
        version $int NOT NULL CHECK (version >= 1),
        created_at $time NOT NULL,
        created_by text NOT NULL,
        changed_at $time NOT NULL,
        changed_by text NOT NULL,
        CHECK (enabled OR next_tick IS NULL)
    ) $strict",
    "CREATE INDEX schedules_due ON schedules (next_tick, id) WHERE next_tick IS NOT NULL",
    // A row for each tick that was dealt with, once for ever: whoever fires it writes it. The name of the schedule stands here too, so
    // that a job can tell where it came from when its schedule is gone. A missed one stands for all that were passed over with it, from
    // passed_from to planned_at.
    "CREATE TABLE schedule_ticks (
        schedule_id $uuid NOT NULL,
        planned_at $time NOT NULL,
        schedule text NOT NULL,
        fired_by text NOT NULL CHECK (fired_by IN ('tick', 'hand')),
        outcome text NOT NULL CHECK (outcome IN ('fired', 'overlap', 'duplicate', 'missed', 'changed', 'unknown_kind', 'invalid_payload')),
        job_id $uuid,
        holder_id $uuid,
        passed_from $time,
        passed_over $int CHECK (passed_over >= 1),
        note text,
        recorded_at $time NOT NULL,
        PRIMARY KEY (schedule_id, planned_at),
        CHECK ((outcome = 'fired') = (job_id IS NOT NULL)),
        CHECK ((outcome IN ('overlap', 'duplicate')) = (holder_id IS NOT NULL)),
        CHECK ((outcome IN ('missed', 'changed')) = (passed_over IS NOT NULL)),
        CHECK ((passed_over IS NULL) = (passed_from IS NULL))
    ) $strict",
    "CREATE INDEX schedule_ticks_by_job ON schedule_ticks (job_id) WHERE job_id IS NOT NULL",
    // What retention looks for: those with a job go with it.
    "CREATE INDEX schedule_ticks_without_job ON schedule_ticks (recorded_at) WHERE job_id IS NULL",
];

const DOWN: [&str; 2] = ["DROP TABLE schedule_ticks", "DROP TABLE schedules"];

/// The statements of the connected database.
fn audit<'s>(manager: &SchemaManager<'_>, postgres: &'s [&'s str], sqlite: &'s [&'s str]) -> &'s [&'s str] {
    if manager.get_database_backend() == DbBackend::Postgres { postgres } else { sqlite }
}

// What the audit may be about grows. SQLite cannot change a CHECK, so it gets the table anew; deeds about what the older schema
// does not know go with it.
const AUDIT_UP_POSTGRES: [&str; 3] = [
    "ALTER TABLE audit DROP CONSTRAINT audit_subject_type_check",
    "DELETE FROM audit WHERE subject_type NOT IN ('job', 'dead_letter', 'kind', 'replay_run', 'synthesis', 'api_token', 'schedule')",
    "ALTER TABLE audit ADD CONSTRAINT audit_subject_type_check CHECK (subject_type IN ('job', 'dead_letter', 'kind', 'replay_run', 'synthesis', 'api_token', 'schedule'))",
];

const AUDIT_UP_SQLITE: [&str; 5] = [
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

const AUDIT_DOWN_POSTGRES: [&str; 3] = [
    "ALTER TABLE audit DROP CONSTRAINT audit_subject_type_check",
    "DELETE FROM audit WHERE subject_type NOT IN ('job', 'dead_letter', 'kind', 'replay_run', 'synthesis', 'api_token')",
    "ALTER TABLE audit ADD CONSTRAINT audit_subject_type_check CHECK (subject_type IN ('job', 'dead_letter', 'kind', 'replay_run', 'synthesis', 'api_token'))",
];

const AUDIT_DOWN_SQLITE: [&str; 5] = [
    "CREATE TABLE audit_anew (
        id $uuid NOT NULL PRIMARY KEY,
        at $time NOT NULL,
        actor text NOT NULL,
        verb text NOT NULL,
        subject_type text NOT NULL CHECK (subject_type IN ('job', 'dead_letter', 'kind', 'replay_run', 'synthesis', 'api_token')),
        subject text NOT NULL,
        reason text,
        details text
    ) $strict",
    "INSERT INTO audit_anew SELECT id, at, actor, verb, subject_type, subject, reason, details FROM audit WHERE subject_type IN ('job', 'dead_letter', 'kind', 'replay_run', 'synthesis', 'api_token')",
    "DROP TABLE audit",
    "ALTER TABLE audit_anew RENAME TO audit",
    "CREATE INDEX audit_by_subject ON audit (subject, id)",
];

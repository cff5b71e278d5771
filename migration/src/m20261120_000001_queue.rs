//! The queue's own tables: jobs and everything that carries, fences, ends or explains them.

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

const UP: [&str; 22] = [
    "CREATE TABLE jobs (
        id $uuid NOT NULL PRIMARY KEY,
        kind text NOT NULL,
        version $int NOT NULL,
        state text NOT NULL CHECK (state IN ('pending', 'running', 'succeeded', 'failed', 'dead', 'cancelled')),
        seq $int NOT NULL CHECK (seq >= 1),
        origin text NOT NULL CHECK (origin IN ('enqueue', 'direct')),
        attempt $int NOT NULL CHECK (attempt >= 0),
        max_attempts $int NOT NULL CHECK (max_attempts >= 1),
        deferrals $int NOT NULL CHECK (deferrals >= 0),
        payload text NOT NULL,
        subject text,
        dedup_key text,
        parent_id $uuid,
        traceparent text,
        error_code text,
        error text,
        public_error text,
        result text,
        cancel_requested_at $time,
        created_at $time NOT NULL,
        started_at $time,
        finished_at $time,
        CHECK ((state IN ('pending', 'running')) = (finished_at IS NULL)),
        CHECK (state <> 'running' OR started_at IS NOT NULL),
        CHECK (state NOT IN ('failed', 'dead') OR error_code IS NOT NULL)
    ) $strict",
    "CREATE INDEX jobs_unfinished ON jobs (kind, id) WHERE state IN ('pending', 'running')",
    "CREATE INDEX jobs_ended_badly ON jobs (state, id) WHERE state IN ('failed', 'dead', 'cancelled')",
    "CREATE INDEX jobs_by_subject ON jobs (subject, id) WHERE subject IS NOT NULL",
    "CREATE INDEX jobs_by_parent ON jobs (parent_id) WHERE parent_id IS NOT NULL",
    "CREATE TABLE attempts (
        job_id $uuid NOT NULL,
        attempt $int NOT NULL CHECK (attempt >= 1),
        seq $int NOT NULL,
        worker text NOT NULL,
        outcome text NOT NULL CHECK (outcome IN ('running', 'succeeded', 'failed', 'errored', 'timed_out', 'panicked', 'lost', 'cancelled', 'deferred', 'handed_back')),
        error_code text,
        error text,
        public_error text,
        started_at $time NOT NULL,
        ended_at $time,
        PRIMARY KEY (job_id, attempt, seq),
        CHECK ((outcome = 'running') = (ended_at IS NULL))
    ) $strict",
    "CREATE TABLE outbox (
        job_id $uuid NOT NULL PRIMARY KEY,
        kind text NOT NULL,
        seq $int NOT NULL,
        cause text NOT NULL CHECK (cause IN ('publish', 'retry', 'deferral', 'replay', 'lease_expired', 'handed_back', 'reconcile')),
        reason text,
        waits_for text,
        due_at $time NOT NULL,
        sends $int NOT NULL,
        last_error text,
        created_at $time NOT NULL
    ) $compact",
    "CREATE INDEX outbox_due ON outbox (due_at, job_id)",
    "CREATE INDEX outbox_waiters ON outbox (waits_for, job_id) WHERE waits_for IS NOT NULL",
    "CREATE TABLE dead_letters (
        id $uuid NOT NULL PRIMARY KEY,
        job_id $uuid,
        kind text,
        seq $int,
        state text NOT NULL CHECK (state IN ('open', 'replayed', 'discarded')),
        reason text NOT NULL,
        error_code text NOT NULL,
        error text NOT NULL,
        public_error text NOT NULL,
        fingerprint text NOT NULL,
        message_key text NOT NULL UNIQUE,
        queue text,
        body $bytes NOT NULL,
        headers text NOT NULL,
        attempts $int NOT NULL,
        edited_payload text,
        first_failed_at $time NOT NULL,
        last_failed_at $time NOT NULL,
        resolved_at $time,
        resolved_by text,
        CHECK ((state = 'open') = (resolved_at IS NULL))
    ) $strict",
    "CREATE INDEX dead_letters_open ON dead_letters (kind, id) WHERE state = 'open'",
    "CREATE INDEX dead_letters_by_job ON dead_letters (job_id) WHERE job_id IS NOT NULL",
    "CREATE INDEX dead_letters_by_fingerprint ON dead_letters (fingerprint, id)",
    "CREATE TABLE leases (
        lease_key text NOT NULL PRIMARY KEY,
        owner $uuid,
        term $big NOT NULL,
        expires_at $time,
        CHECK ((owner IS NULL) = (expires_at IS NULL))
    ) $compact",
    "CREATE INDEX leases_by_owner ON leases (owner) WHERE owner IS NOT NULL",
    "CREATE TABLE dedup_keys (
        kind text NOT NULL,
        dedup_key text NOT NULL,
        job_id $uuid NOT NULL UNIQUE,
        run_again $bool NOT NULL,
        PRIMARY KEY (kind, dedup_key)
    ) $compact",
    "CREATE TABLE idempotency_keys (
        scope text NOT NULL,
        idempotency_key text NOT NULL,
        request_hash text NOT NULL,
        answer text NOT NULL,
        expires_at $time NOT NULL,
        PRIMARY KEY (scope, idempotency_key)
    ) $strict",
    "CREATE TABLE message_ids (
        kind text NOT NULL,
        message_id text NOT NULL,
        job_id $uuid NOT NULL UNIQUE,
        created_at $time NOT NULL,
        PRIMARY KEY (kind, message_id)
    ) $compact",
    "CREATE TABLE suspects (
        job_id $uuid NOT NULL PRIMARY KEY,
        starts $int NOT NULL,
        last_started_at $time NOT NULL
    ) $compact",
    "CREATE TABLE paused_kinds (
        kind text NOT NULL PRIMARY KEY,
        paused_at $time NOT NULL,
        paused_by text NOT NULL,
        reason text NOT NULL
    ) $compact",
    "CREATE TABLE audit (
        id $uuid NOT NULL PRIMARY KEY,
        at $time NOT NULL,
        actor text NOT NULL,
        verb text NOT NULL,
        subject_type text NOT NULL CHECK (subject_type IN ('job', 'dead_letter', 'kind')),
        subject text NOT NULL,
        reason text,
        details text
    ) $strict",
    "CREATE INDEX audit_by_subject ON audit (subject, id)",
];

const DOWN: [&str; 11] = [
    "DROP TABLE audit",
    "DROP TABLE paused_kinds",
    "DROP TABLE suspects",
    "DROP TABLE message_ids",
    "DROP TABLE idempotency_keys",
    "DROP TABLE dedup_keys",
    "DROP TABLE leases",
    "DROP TABLE dead_letters",
    "DROP TABLE outbox",
    "DROP TABLE attempts",
    "DROP TABLE jobs",
];

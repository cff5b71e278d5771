//! Tokens of the HTTP API, and what is done through it in the audit.

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

// hash is of the token, which is random and stored nowhere. subject is whose token it is: what it makes belongs to that subject.
const UP: [&str; 1] = ["CREATE TABLE api_tokens (
        id $uuid NOT NULL PRIMARY KEY,
        name text NOT NULL UNIQUE,
        hash text NOT NULL UNIQUE,
        role text NOT NULL CHECK (role IN ('viewer', 'publisher', 'operator', 'admin')),
        subject text,
        created_by text NOT NULL,
        created_at $time NOT NULL,
        expires_at $time,
        last_used_at $time,
        revoked_at $time
    ) $strict"];

const DOWN: [&str; 1] = ["DROP TABLE api_tokens"];

/// The statements of the connected database.
fn audit<'s>(manager: &SchemaManager<'_>, postgres: &'s [&'s str], sqlite: &'s [&'s str]) -> &'s [&'s str] {
    if manager.get_database_backend() == DbBackend::Postgres { postgres } else { sqlite }
}

// What the audit may be about grows. SQLite cannot change a CHECK, so it gets the table anew; deeds about what the older schema
// does not know go with it.
const AUDIT_UP_POSTGRES: [&str; 3] = [
    "ALTER TABLE audit DROP CONSTRAINT audit_subject_type_check",
    "DELETE FROM audit WHERE subject_type NOT IN ('job', 'dead_letter', 'kind', 'replay_run', 'synthesis', 'api_token')",
    "ALTER TABLE audit ADD CONSTRAINT audit_subject_type_check CHECK (subject_type IN ('job', 'dead_letter', 'kind', 'replay_run', 'synthesis', 'api_token'))",
];

const AUDIT_UP_SQLITE: [&str; 5] = [
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

const AUDIT_DOWN_POSTGRES: [&str; 3] = [
    "ALTER TABLE audit DROP CONSTRAINT audit_subject_type_check",
    "DELETE FROM audit WHERE subject_type NOT IN ('job', 'dead_letter', 'kind', 'replay_run')",
    "ALTER TABLE audit ADD CONSTRAINT audit_subject_type_check CHECK (subject_type IN ('job', 'dead_letter', 'kind', 'replay_run'))",
];

const AUDIT_DOWN_SQLITE: [&str; 5] = [
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

//! Tokens of the HTTP API, and what is done through it in the audit.

use sea_orm_migration::prelude::*;

use crate::audit::audit_of;
use crate::dialect::execute_all;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute_all(manager, &UP).await?;
        audit_of(manager, &["job", "dead_letter", "kind", "replay_run", "synthesis", "api_token"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute_all(manager, &DOWN).await?;
        audit_of(manager, &["job", "dead_letter", "kind", "replay_run"]).await
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

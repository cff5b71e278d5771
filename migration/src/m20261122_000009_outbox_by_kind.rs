//! What is due is looked for a kind at a time.

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

const UP: [&str; 2] = [
    // A relay passes over the messages of paused kinds without reading them, and lets the others take turns.
    "CREATE INDEX outbox_due_by_kind ON outbox (kind, due_at, job_id)",
    "DROP INDEX outbox_due",
];

const DOWN: [&str; 2] =
    ["CREATE INDEX outbox_due ON outbox (due_at, job_id)", "DROP INDEX outbox_due_by_kind"];

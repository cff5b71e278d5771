//! Which broker the database has told its messages to, and an index that answers what waits without reading the rows.

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

const UP: [&str; 3] = [
    "CREATE TABLE broker_incarnation (
        id $int NOT NULL PRIMARY KEY CHECK (id = 1),
        incarnation $uuid NOT NULL,
        since $time NOT NULL
    ) $compact",
    "DROP INDEX jobs_unfinished",
    // With the state in it, what waits is counted and the oldest found in the index alone.
    "CREATE INDEX jobs_unfinished ON jobs (kind, state, id) WHERE state IN ('pending', 'running')",
];

const DOWN: [&str; 3] = [
    "DROP INDEX jobs_unfinished",
    "CREATE INDEX jobs_unfinished ON jobs (kind, id) WHERE state IN ('pending', 'running')",
    "DROP TABLE broker_incarnation",
];

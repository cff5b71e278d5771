//! Which processes work on the database, and as what.

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

// roles is a list joined by commas; broker is `embedded` or a URL without its credentials.
const UP: [&str; 1] = ["CREATE TABLE processes (
        name text NOT NULL PRIMARY KEY,
        roles text NOT NULL,
        host text NOT NULL,
        process $big NOT NULL,
        version text NOT NULL,
        broker text NOT NULL,
        started_at $time NOT NULL,
        seen_at $time NOT NULL
    ) $compact"];

const DOWN: [&str; 1] = ["DROP TABLE processes"];

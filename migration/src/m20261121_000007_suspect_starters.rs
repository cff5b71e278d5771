//! Who started a suspect last: a process that outlived a start was not killed by it.

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

// A name of `processes`; null where nothing is known of the newest start.
const UP: [&str; 1] = ["ALTER TABLE suspects ADD COLUMN started_by text"];

const DOWN: [&str; 1] = ["ALTER TABLE suspects DROP COLUMN started_by"];

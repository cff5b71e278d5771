//! An index of the syntheses that a job works on or is going to: few among many. The upkeep asks for them every few seconds.

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

const UP: [&str; 1] = [
    "CREATE INDEX write_syntheses_in_flight ON write_syntheses (job_id) WHERE state IN ('pending', 'running')",
];

const DOWN: [&str; 1] = ["DROP INDEX write_syntheses_in_flight"];

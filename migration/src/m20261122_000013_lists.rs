//! Lists of syntheses by what few of them have.

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
    // Those that wait, run or failed are few among many that are done.
    "CREATE INDEX write_syntheses_by_state ON write_syntheses (graph_id, state, created_at, id)",
    "CREATE INDEX write_syntheses_by_creator ON write_syntheses (graph_id, creator_id, created_at, id) WHERE creator_id IS NOT NULL",
];

const DOWN: [&str; 2] = ["DROP INDEX write_syntheses_by_creator", "DROP INDEX write_syntheses_by_state"];

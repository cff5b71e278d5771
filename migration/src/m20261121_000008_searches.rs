//! Indexes for what is asked every few seconds or minutes of tables that may be large, and for bad ends of one kind.

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
    // The gauges count open letters by kind and reason: in the index alone, without reading bodies.
    "CREATE INDEX dead_letters_open_reasons ON dead_letters (kind, reason) WHERE state = 'open'",
    // An operator's list: without the kind it reads every job that ended badly. A success writes nothing here.
    "CREATE INDEX jobs_ended_badly_by_kind ON jobs (kind, state, id) WHERE state IN ('failed', 'dead', 'cancelled')",
    // Retention looks for what has expired.
    "CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at)",
];

const DOWN: [&str; 3] = [
    "DROP INDEX idempotency_keys_by_expiry",
    "DROP INDEX jobs_ended_badly_by_kind",
    "DROP INDEX dead_letters_open_reasons",
];

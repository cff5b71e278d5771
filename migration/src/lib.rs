//! Schema history of ackord's database: frozen, up and down, for Postgres and SQLite.
//!
//! A migration that has been released is never edited; a change of the schema is a new migration. This crate depends on
//! none of the others, so that an entity may change without changing history.

mod dialect;
mod m20261120_000001_queue;
mod m20261120_000002_graph;
mod m20261120_000003_syntheses;
mod m20261121_000004_broker;
mod m20261121_000005_replay_runs;
mod m20261121_000006_processes;
mod m20261121_000007_suspect_starters;
mod m20261121_000008_searches;
mod m20261122_000009_outbox_by_kind;
mod m20261122_000010_super_syntheses;
mod m20261122_000011_api_tokens;
mod m20261122_000012_model_calls;
mod m20261122_000013_lists;
mod m20261122_000014_syntheses_in_flight;
mod m20261122_000015_schedules;
mod m20261122_000016_changes;
mod m20261122_000017_read_side;

use sea_orm_migration::prelude::*;
pub use sea_orm_migration::{MigrationStatus, MigratorTrait};

/// All migrations, oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261120_000001_queue::Migration),
            Box::new(m20261120_000002_graph::Migration),
            Box::new(m20261120_000003_syntheses::Migration),
            Box::new(m20261121_000004_broker::Migration),
            Box::new(m20261121_000005_replay_runs::Migration),
            Box::new(m20261121_000006_processes::Migration),
            Box::new(m20261121_000007_suspect_starters::Migration),
            Box::new(m20261121_000008_searches::Migration),
            Box::new(m20261122_000009_outbox_by_kind::Migration),
            Box::new(m20261122_000010_super_syntheses::Migration),
            Box::new(m20261122_000011_api_tokens::Migration),
            Box::new(m20261122_000012_model_calls::Migration),
            Box::new(m20261122_000013_lists::Migration),
            Box::new(m20261122_000014_syntheses_in_flight::Migration),
            Box::new(m20261122_000015_schedules::Migration),
            Box::new(m20261122_000016_changes::Migration),
            Box::new(m20261122_000017_read_side::Migration),
        ]
    }

    fn migration_table_name() -> DynIden {
        "ackord_migrations".into_iden()
    }
}

//! Syntheses of syntheses: how each was planned, which parts it has, and which versions of them each of its texts has read.
//!
//! The parts stand here from before anything is combined on, so that a failure has something to start again from. A part may
//! belong to several super-syntheses.

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

const UP: [&str; 4] = [
    // A row of its own beside the one in write_syntheses: it is what the end of a part locks (docs/adr/0014-fan-in.md).
    "CREATE TABLE write_super_syntheses (
        id $uuid NOT NULL PRIMARY KEY REFERENCES write_syntheses (id) ON DELETE CASCADE,
        planning text CHECK (planning IN ('given', 'graph', 'fallback')),
        planner text,
        reason text,
        job_id $uuid,
        planned_at $time,
        CHECK ((planning IS NULL) = (planner IS NULL)),
        CHECK ((planning IS NULL) = (job_id IS NULL)),
        CHECK ((planning IS NULL) = (planned_at IS NULL)),
        CHECK (planning <> 'fallback' OR reason IS NOT NULL)
    ) $strict",
    "CREATE TABLE write_synthesis_links (
        super_id $uuid NOT NULL REFERENCES write_super_syntheses (id) ON DELETE CASCADE,
        sub_id $uuid NOT NULL REFERENCES write_syntheses (id) ON DELETE CASCADE,
        position $int NOT NULL CHECK (position >= 0),
        origin text NOT NULL CHECK (origin IN ('planned', 'existing')),
        PRIMARY KEY (super_id, sub_id),
        UNIQUE (super_id, position),
        CHECK (super_id <> sub_id)
    ) $strict",
    "CREATE INDEX write_synthesis_links_by_sub ON write_synthesis_links (sub_id, super_id)",
    // No reference to the part: it may be removed, and what was read of it stays known.
    "CREATE TABLE write_synthesis_parts_read (
        super_id $uuid NOT NULL,
        version $int NOT NULL,
        position $int NOT NULL CHECK (position >= 0),
        sub_id $uuid NOT NULL,
        topic text NOT NULL,
        sub_version $int CHECK (sub_version >= 1),
        missing_code text,
        missing_public text,
        PRIMARY KEY (super_id, version, position),
        FOREIGN KEY (super_id, version) REFERENCES write_synthesis_versions (synthesis_id, version) ON DELETE CASCADE,
        CHECK ((sub_version IS NULL) = (missing_code IS NOT NULL)),
        CHECK ((missing_code IS NULL) = (missing_public IS NULL))
    ) $strict",
];

const DOWN: [&str; 3] = [
    "DROP TABLE write_synthesis_parts_read",
    "DROP TABLE write_synthesis_links",
    "DROP TABLE write_super_syntheses",
];

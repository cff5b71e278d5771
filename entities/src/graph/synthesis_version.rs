//! The texts of syntheses: every version that was good when it was written.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel as _, QueryOrder};

use crate::ids::{JobId, SynthesisId};

/// One version of a text. Never changed.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "write_synthesis_versions")]
pub struct Model {
    /// The synthesis.
    #[sea_orm(primary_key, auto_increment = false)]
    pub synthesis_id: SynthesisId,
    /// From 1, without gaps.
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i32,
    /// The text, with canonical links. Never empty.
    pub markdown: String,
    /// Its structure as JSON.
    pub document: String,
    /// Sentences, headings and list items.
    pub sentences_count: i32,
    /// Different facts behind them.
    pub facts_linked: i32,
    /// Different nodes that they refer to.
    pub nodes_referenced: i32,
    /// The job that wrote it.
    pub job_id: JobId,
    /// The name of the writer.
    pub producer: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

impl ActiveModelBehavior for ActiveModel {}

/// Writes a version.
///
/// # Errors
/// Whatever the database answers, a number that is taken included.
pub async fn insert(connection: &impl ConnectionTrait, version: Model) -> Result<(), DbErr> {
    Entity::insert(version.into_active_model()).exec_without_returning(connection).await.map(drop)
}

/// This version of the synthesis.
///
/// # Errors
/// Whatever the database answers.
pub async fn of(
    connection: &impl ConnectionTrait,
    synthesis: SynthesisId,
    version: i32,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id((synthesis, version)).one(connection).await
}

/// All versions of the synthesis, oldest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn all_of(connection: &impl ConnectionTrait, synthesis: SynthesisId) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(COLUMN.synthesis_id.eq(synthesis))
        .order_by_asc(COLUMN.version)
        .all(connection)
        .await
}

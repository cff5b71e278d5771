//! `sync_cycles`: what each cycle did.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect};

use crate::ids::{GraphId, JobId};

/// One cycle.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sync_cycles")]
pub struct Model {
    /// The job that it was.
    #[sea_orm(primary_key, auto_increment = false)]
    pub job_id: JobId,
    /// The graph.
    pub graph_id: GraphId,
    /// Who did it.
    pub provider: String,
    /// How the provider was found.
    pub provider_resolution: Resolution,
    /// How it ended.
    pub outcome: Outcome,
    /// Rows written to the read side.
    pub moved: i64,
    /// Rows removed from it.
    pub deleted: i64,
    /// Rows that wait for another one since this cycle.
    pub deferred: i64,
    /// Rows that were refused.
    pub failed: i64,
    /// The same for each table, with the seconds it took, as JSON.
    pub tables: String,
    /// For how long the oldest transaction has been open that the changes were read up to.
    pub lag_ms: Option<i64>,
    /// Whose transaction that is.
    pub held_by: Option<String>,
    /// Why the cycle failed as a whole.
    pub error: Option<String>,
    /// When its work began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
}

impl ActiveModelBehavior for ActiveModel {}

/// How the provider of a cycle was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// The graph names none: it is the default.
    #[sea_orm(string_value = "default")]
    Default,
    /// The graph's composition names it.
    #[sea_orm(string_value = "composition")]
    Composition,
}

/// How a cycle ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// There was nothing to do.
    #[sea_orm(string_value = "idle")]
    Idle,
    /// Everything was copied.
    #[sea_orm(string_value = "complete")]
    Complete,
    /// Its time was over; another job goes on.
    #[sea_orm(string_value = "continued")]
    Continued,
    /// Rows were refused; everything else was copied.
    #[sea_orm(string_value = "partial")]
    Partial,
    /// It could not be done.
    #[sea_orm(string_value = "failed")]
    Failed,
}

/// Records a cycle.
///
/// # Errors
/// Whatever the database answers.
pub async fn record(connection: &impl ConnectionTrait, cycle: Model) -> Result<(), DbErr> {
    Entity::insert(cycle.into_active_model()).exec_without_returning(connection).await.map(drop)
}

/// The graph's cycles, newest first: at most `limit`.
///
/// # Errors
/// Whatever the database answers.
pub async fn newest(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::GraphId.eq(graph))
        .order_by_desc(Column::JobId)
        .limit(limit)
        .all(connection)
        .await
}

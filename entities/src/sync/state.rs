//! `sync_states`: how far a provider is with a graph, in words of its own.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, DatabaseTransaction};

use crate::ids::GraphId;

/// How far a provider is with a graph.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sync_states")]
pub struct Model {
    /// The graph.
    #[sea_orm(primary_key, auto_increment = false)]
    pub graph_id: GraphId,
    /// The provider's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub provider: String,
    /// JSON that only the provider reads.
    pub state: String,
    /// When a cycle last changed it.
    pub updated_at: DateTime<Utc>,
}

impl ActiveModelBehavior for ActiveModel {}

/// What the provider's last cycle left, if there was one.
///
/// # Errors
/// Whatever the database answers.
pub async fn get(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    provider: &str,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id((graph, provider.to_owned())).one(connection).await
}

/// Leaves `state` for the provider's next cycle.
///
/// # Errors
/// Whatever the database answers.
pub async fn put(
    tx: &DatabaseTransaction,
    graph: GraphId,
    provider: &str,
    state: String,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        graph_id: Set(graph),
        provider: Set(provider.to_owned()),
        state: Set(state),
        updated_at: Set(now),
    };
    let on_conflict = OnConflict::columns([Column::GraphId, Column::Provider])
        .update_columns([Column::State, Column::UpdatedAt])
        .to_owned();
    Entity::insert(row).on_conflict(on_conflict).exec_without_returning(tx).await.map(drop)
}

//! `sync_states`: how far a provider is with a graph, in words of its own.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, DatabaseTransaction, FromQueryResult, Statement};

use crate::graph::graphs;
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

/// The graph of that name, and what each provider's last cycle has left of it: one round trip.
///
/// # Errors
/// Whatever the database answers.
pub async fn of_graph(
    connection: &impl ConnectionTrait,
    slug: &str,
) -> Result<Option<(graphs::Model, BTreeMap<String, String>)>, DbErr> {
    let sql = "SELECT graphs.*, s.provider, s.state FROM graphs LEFT JOIN sync_states AS s ON s.graph_id = graphs.id \
               WHERE graphs.slug = $1";
    let statement =
        Statement::from_sql_and_values(connection.get_database_backend(), sql, [slug.to_owned().into()]);
    let rows = connection.query_all_raw(statement).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let graph = graphs::Model::from_query_result(first, "")?;
    let mut states = BTreeMap::new();
    for row in &rows {
        if let Some(provider) = row.try_get::<Option<String>>("", "provider")? {
            states.insert(provider, row.try_get("", "state")?);
        }
    }
    Ok(Some((graph, states)))
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

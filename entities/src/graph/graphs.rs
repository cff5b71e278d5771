//! Graphs: the top of everything else here.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, DbBackend, QueryOrder, Statement};
use uuid::Uuid;

use crate::ids::GraphId;

/// The slug of the graph that is there without being asked for.
pub const DEFAULT: &str = "default";

/// Graph ids are derived from their slug in this namespace: one slug has one id in every database.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f0a_9d0e_51c4_5b1e_9b7e_2f6c_a3d8_41f7);

/// One graph.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "graphs")]
pub struct Model {
    /// Derived from the slug.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: GraphId,
    /// Its name in commands and addresses: lowercase, dashes. Unique, never changed.
    #[sea_orm(unique)]
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Who does what for it, as JSON; without one the defaults do.
    pub composition: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its row was last changed.
    pub updated_at: DateTime<Utc>,
}

impl ActiveModelBehavior for ActiveModel {}

/// The id that the graph called `slug` has, whether or not it exists.
#[must_use]
pub fn id_of(slug: &str) -> GraphId {
    GraphId::derived(NAMESPACE, slug)
}

/// Makes the graph `slug` if it is not there, and returns its id.
///
/// # Errors
/// Whatever the database answers.
pub async fn ensure(
    connection: &impl ConnectionTrait,
    slug: &str,
    now: DateTime<Utc>,
) -> Result<GraphId, DbErr> {
    let id = id_of(slug);
    let sql = "INSERT INTO graphs (id, slug, name, created_at, updated_at) VALUES ($1, $2, $2, $3, $3) \
               ON CONFLICT DO NOTHING";
    let values = [id.0.into(), slug.into(), now.into()];
    connection
        .execute_raw(Statement::from_sql_and_values(connection.get_database_backend(), sql, values))
        .await?;
    Ok(id)
}

/// Makes the graph's row like this one: how a graph comes to another database.
///
/// # Errors
/// Whatever the database answers.
pub async fn copy(
    connection: &impl ConnectionTrait,
    id: GraphId,
    slug: &str,
    name: &str,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let sql = "INSERT INTO graphs (id, slug, name, created_at, updated_at) VALUES ($1, $2, $3, $4, $4) \
               ON CONFLICT (id) DO UPDATE SET name = excluded.name, updated_at = excluded.updated_at \
               WHERE graphs.name <> excluded.name";
    let values = [id.0.into(), slug.into(), name.into(), now.into()];
    connection
        .execute_raw(Statement::from_sql_and_values(connection.get_database_backend(), sql, values))
        .await?;
    Ok(())
}

/// All graphs, by slug.
///
/// # Errors
/// Whatever the database answers.
pub async fn all(connection: &impl ConnectionTrait) -> Result<Vec<Model>, DbErr> {
    Entity::find().order_by_asc(Column::Slug).all(connection).await
}

/// The graph called `slug`, if it exists.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_slug(connection: &impl ConnectionTrait, slug: &str) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id_of(slug)).one(connection).await
}

/// Says who does what for the graph: [`super::composition`] has the words.
///
/// # Errors
/// Whatever the database answers.
pub async fn set_composition(
    tx: &DatabaseTransaction,
    graph: GraphId,
    composition: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let sql = "UPDATE graphs SET composition = $1, updated_at = $2 WHERE id = $3";
    let values = [composition.into(), now.into(), graph.0.into()];
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await?;
    Ok(())
}

/// Takes the graph's write lock until the transaction ends: the first statement of every transaction that changes the
/// graph's contents. Returns whether the graph exists.
///
/// Postgres locks the row. SQLite's transactions that write (`BEGIN IMMEDIATE`) already exclude each other.
///
/// # Errors
/// Whatever the database answers.
pub async fn lock(transaction: &DatabaseTransaction, graph: GraphId) -> Result<bool, DbErr> {
    let backend = transaction.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => "SELECT 1 AS found FROM graphs WHERE id = $1 FOR UPDATE",
        _ => "SELECT 1 AS found FROM graphs WHERE id = $1",
    };
    let statement = Statement::from_sql_and_values(backend, sql, [graph.0.into()]);
    Ok(transaction.query_one_raw(statement).await?.is_some())
}

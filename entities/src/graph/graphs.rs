//! Graphs: the top of everything else here.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, DbBackend, Statement};
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

/// The graph called `slug`, if it exists.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_slug(connection: &impl ConnectionTrait, slug: &str) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id_of(slug)).one(connection).await
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

//! `paused_kinds`: kinds that no worker takes messages of until they are resumed. Survives restarts.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseTransaction, QueryOrder};

/// A paused kind.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "paused_kinds")]
pub struct Model {
    /// The kind.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    /// Since when.
    pub paused_at: DateTime<Utc>,
    /// By whom.
    pub paused_by: String,
    /// Why.
    pub reason: String,
}

impl ActiveModelBehavior for ActiveModel {}

/// Pauses a kind. Answers whether it was running; one that is paused keeps its first reason.
///
/// # Errors
/// Whatever the database answers.
pub async fn pause(
    tx: &DatabaseTransaction,
    kind: &str,
    actor: &str,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let row = ActiveModel {
        kind: Set(kind.to_owned()),
        paused_at: Set(now),
        paused_by: Set(actor.to_owned()),
        reason: Set(reason.to_owned()),
    };
    let on_conflict = OnConflict::column(Column::Kind).do_nothing().to_owned();
    match Entity::insert(row).on_conflict(on_conflict).exec_without_returning(tx).await {
        Ok(written) => Ok(written == 1),
        Err(DbErr::RecordNotInserted) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Resumes a kind. Answers whether it was paused.
///
/// # Errors
/// Whatever the database answers.
pub async fn resume(tx: &DatabaseTransaction, kind: &str) -> Result<bool, DbErr> {
    Ok(Entity::delete_by_id(kind.to_owned()).exec(tx).await?.rows_affected == 1)
}

/// All paused kinds, by name.
///
/// # Errors
/// Whatever the database answers.
pub async fn all(connection: &impl ConnectionTrait) -> Result<Vec<Model>, DbErr> {
    Entity::find().order_by_asc(Column::Kind).all(connection).await
}

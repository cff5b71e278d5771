//! `message_ids`: the job ids of messages whose own id is not one.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseTransaction};

use crate::database::Sql;
use crate::ids::JobId;

/// A foreign message id.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "message_ids")]
pub struct Model {
    /// The kind.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    /// The publisher's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub message_id: String,
    /// Ours.
    #[sea_orm(unique)]
    pub job_id: JobId,
    /// When it was first seen.
    pub created_at: DateTime<Utc>,
}

impl ActiveModelBehavior for ActiveModel {}

/// The job id of a foreign message id, made up when it is seen for the first time. The same for ever after.
///
/// # Errors
/// Whatever the database answers.
pub async fn resolve(
    tx: &DatabaseTransaction,
    kind: &str,
    message_id: &str,
    now: DateTime<Utc>,
) -> Result<JobId, DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("INSERT INTO message_ids (kind, message_id, job_id, created_at) VALUES (")
        .bind(kind)
        .text(", ")
        .bind(message_id)
        .text(", ")
        .bind(JobId::new())
        .text(", ")
        .bind(now)
        // An update that changes nothing, so that the row comes back (and is locked) either way.
        .text(") ON CONFLICT (kind, message_id) DO UPDATE SET kind = excluded.kind RETURNING job_id")
        .build();
    tx.query_one_raw(statement)
        .await?
        .ok_or_else(|| DbErr::RecordNotFound(format!("message id {message_id}")))?
        .try_get_by_index(0)
}

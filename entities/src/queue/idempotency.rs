//! `idempotency_keys`: requests that were answered, with their answer, for a day.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseTransaction};

use crate::database::Sql;

/// How long an answer is remembered.
pub const REMEMBERED_FOR: TimeDelta = TimeDelta::hours(24);

/// An answered request.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub struct Model {
    /// What was asked for: `publish`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub scope: String,
    /// The caller's key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub idempotency_key: String,
    /// Hash of the request: the same key with another request is an error.
    pub request_hash: String,
    /// JSON.
    pub answer: String,
    /// When it is forgotten.
    pub expires_at: DateTime<Utc>,
}

impl ActiveModelBehavior for ActiveModel {}

/// What is known of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it was noted with the given answer.
    New,
    /// It was answered before, with this.
    Answered(String),
    /// The key was used for another request.
    OtherRequest,
}

/// Notes `answer` for the request, or finds the one it got before. Two callers at once wait for each other.
///
/// # Errors
/// Whatever the database answers.
pub async fn remember(
    tx: &DatabaseTransaction,
    scope: &str,
    key: &str,
    request: &str,
    answer: &str,
    now: DateTime<Utc>,
) -> Result<Known, DbErr> {
    let hash = blake3::hash(request.as_bytes()).to_hex().to_string();
    let statement = Sql::new(tx.get_database_backend())
        .text("INSERT INTO idempotency_keys (scope, idempotency_key, request_hash, answer, expires_at) VALUES (")
        .bind(scope)
        .text(", ")
        .bind(key)
        .text(", ")
        .bind(hash.clone())
        .text(", ")
        .bind(answer)
        .text(", ")
        .bind(now + REMEMBERED_FOR)
        .text(
            ") ON CONFLICT (scope, idempotency_key) DO UPDATE SET request_hash = excluded.request_hash, answer = excluded.answer, \
             expires_at = excluded.expires_at WHERE idempotency_keys.expires_at <= ",
        )
        .bind(now)
        .build();
    if tx.execute_raw(statement).await?.rows_affected() == 1 {
        return Ok(Known::New);
    }
    match Entity::find_by_id((scope.to_owned(), key.to_owned())).one(tx).await? {
        Some(row) if row.request_hash == hash => Ok(Known::Answered(row.answer)),
        Some(_) => Ok(Known::OtherRequest),
        None => Err(DbErr::RecordNotFound(format!("idempotency key {key}"))),
    }
}

//! `api_tokens`: who may use the HTTP API, and how far.
//!
//! A token is random and long, so a fast hash of it is enough: there is no word to guess. The token itself is stored nowhere.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbBackend, FromQueryResult, QueryOrder,
    QuerySelect,
};

use crate::clock::Clock;
use crate::database::Sql;
use crate::ids::ApiTokenId;

/// What every token begins with, so that people and secret scanners know one when they see it.
pub const PREFIX: &str = "ackord_";

/// A use is written down only when the last one that was is this old.
pub const USE_IS_WRITTEN_AFTER: TimeDelta = TimeDelta::minutes(10);

/// A token, without what makes it work.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_tokens")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ApiTokenId,
    /// Its name: what the audit calls whoever uses it. Unique for ever.
    #[sea_orm(unique)]
    pub name: String,
    /// See [`hash`].
    #[sea_orm(unique)]
    pub hash: String,
    /// How far it goes.
    pub role: ApiRole,
    /// Whose token it is: private syntheses belong to a subject.
    pub subject: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when on it is worth nothing.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was used, to [`USE_IS_WRITTEN_AFTER`].
    pub last_used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl ActiveModelBehavior for ActiveModel {}

/// How far a token goes. Each role may do what the ones before it may.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    EnumIter,
    DeriveActiveEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Role))]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum ApiRole {
    /// Reads. No payloads, no bodies, no errors with their causes, nothing private of others.
    #[sea_orm(string_value = "viewer")]
    Viewer,
    /// Publishes jobs, asks for syntheses, imports.
    #[sea_orm(string_value = "publisher")]
    Publisher,
    /// Sees everything; cancels, retries, replays, discards, pauses.
    #[sea_orm(string_value = "operator")]
    Operator,
    /// Also makes and revokes tokens.
    #[sea_orm(string_value = "admin")]
    Admin,
}

impl std::fmt::Display for ApiRole {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.to_value())
    }
}

impl Model {
    /// Whether it counts at `now`.
    #[must_use]
    pub fn is_valid(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| end > now)
    }
}

/// What a token is found by.
#[must_use]
pub fn hash(token: &str) -> String {
    blake3::hash(token.as_bytes()).to_hex().to_string()
}

/// A token about to be written.
#[derive(Clone, Debug)]
pub struct New<'a> {
    /// Its id.
    pub id: ApiTokenId,
    /// See [`Model::name`].
    pub name: &'a str,
    /// See [`hash`].
    pub hash: &'a str,
    /// See [`Model::role`].
    pub role: ApiRole,
    /// See [`Model::subject`].
    pub subject: Option<&'a str>,
    /// See [`Model::created_by`].
    pub created_by: &'a str,
    /// See [`Model::expires_at`].
    pub expires_at: Option<DateTime<Utc>>,
}

/// Writes a token, unless one has its name, also a revoked one: the audit must never mean two by one name. Answers whether it did.
///
/// # Errors
/// Whatever the database answers.
pub async fn insert(tx: &DatabaseTransaction, new: &New<'_>, now: DateTime<Utc>) -> Result<bool, DbErr> {
    let row = ActiveModel {
        id: Set(new.id),
        name: Set(new.name.to_owned()),
        hash: Set(new.hash.to_owned()),
        role: Set(new.role),
        subject: Set(new.subject.map(str::to_owned)),
        created_by: Set(new.created_by.to_owned()),
        created_at: Set(now),
        expires_at: Set(new.expires_at),
        last_used_at: Set(None),
        revoked_at: Set(None),
    };
    let on_conflict = sea_orm::sea_query::OnConflict::column(Column::Name).do_nothing().to_owned();
    match Entity::insert(row).on_conflict(on_conflict).exec_without_returning(tx).await {
        Ok(written) => Ok(written == 1),
        Err(DbErr::RecordNotInserted) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The token with that [`hash`], whether it still counts or not, and the time: one round trip, since every request asks for both.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_hash(
    connection: &impl ConnectionTrait,
    clock: &Clock,
    hash: &str,
) -> Result<Option<(Model, DateTime<Utc>)>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("SELECT *")
        .on_postgres(", clock_timestamp() AS now")
        .text(" FROM api_tokens WHERE hash = ")
        .bind(hash)
        .build();
    let Some(row) = connection.query_one_raw(statement).await? else { return Ok(None) };
    let now = match connection.get_database_backend() {
        DbBackend::Postgres => clock.shifted(row.try_get("", "now")?),
        _ => clock.now(connection).await?,
    };
    Ok(Some((Model::from_query_result(&row, "")?, now)))
}

/// Whether there has ever been a token here. Once there was one, nobody is let in without.
///
/// # Errors
/// Whatever the database answers.
pub async fn any(connection: &impl ConnectionTrait) -> Result<bool, DbErr> {
    Ok(Entity::find().limit(1).one(connection).await?.is_some())
}

/// All tokens, newest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn all(connection: &impl ConnectionTrait) -> Result<Vec<Model>, DbErr> {
    Entity::find().order_by_desc(Column::Id).all(connection).await
}

/// A page of tokens, newest first: those older than `before`.
///
/// # Errors
/// Whatever the database answers.
pub async fn list(
    connection: &impl ConnectionTrait,
    before: Option<ApiTokenId>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let mut select = Entity::find().order_by_desc(Column::Id).limit(limit);
    if let Some(before) = before {
        select = select.filter(Column::Id.lt(before));
    }
    select.all(connection).await
}

/// The token of that id.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_id(connection: &impl ConnectionTrait, id: ApiTokenId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(connection).await
}

/// The token of that name.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_name(connection: &impl ConnectionTrait, name: &str) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::Name.eq(name)).one(connection).await
}

/// Revokes a token. Answers whether it was not revoked before.
///
/// # Errors
/// Whatever the database answers.
pub async fn revoke(tx: &DatabaseTransaction, id: ApiTokenId, now: DateTime<Utc>) -> Result<bool, DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("UPDATE api_tokens SET revoked_at = ")
        .bind(now)
        .text(" WHERE id = ")
        .bind(id)
        .text(" AND revoked_at IS NULL")
        .build();
    Ok(tx.execute_raw(statement).await?.rows_affected() == 1)
}

/// Writes down that a token was used, where the last use that was written is old enough.
///
/// # Errors
/// Whatever the database answers.
pub async fn note_use(
    connection: &impl ConnectionTrait,
    token: &Model,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let before = now - USE_IS_WRITTEN_AFTER;
    if token.last_used_at.is_some_and(|last| last > before) {
        return Ok(());
    }
    let statement = Sql::new(connection.get_database_backend())
        .text("UPDATE api_tokens SET last_used_at = ")
        .bind(now)
        .text(" WHERE id = ")
        .bind(token.id)
        .text(" AND (last_used_at IS NULL OR last_used_at <= ")
        .bind(before)
        .text(")")
        .build();
    connection.execute_raw(statement).await.map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::testing::TestDatabase;

    fn new<'a>(name: &'a str, hash: &'a str) -> New<'a> {
        New {
            id: ApiTokenId::new(),
            name,
            hash,
            role: ApiRole::Operator,
            subject: Some("anna"),
            created_by: "tester",
            expires_at: None,
        }
    }

    #[tokio::test]
    async fn a_token_is_found_by_its_hash_and_counts_until_it_is_revoked_or_expires() {
        for test in TestDatabase::each().await {
            let database = test.database();
            let now = database.clock().now(database.read()).await.unwrap();
            assert!(!any(database.read()).await.unwrap());
            let hash = hash("ackord_x");
            let tx = database.begin().await.unwrap();
            assert!(insert(&tx, &new("ci", &hash), now).await.unwrap());
            assert!(
                !insert(&tx, &new("ci", "another"), now).await.unwrap(),
                "a name means one token for ever"
            );
            tx.commit().await.unwrap();
            let other = test.reopen().await;
            let (found, then) = by_hash(other.read(), other.clock(), &hash).await.unwrap().unwrap();
            assert!((then - now).num_seconds().abs() < 60, "{then} is not about {now}");
            assert_eq!((found.name.as_str(), found.role), ("ci", ApiRole::Operator));
            assert!(found.is_valid(now) && any(other.read()).await.unwrap());
            let expires = Model { expires_at: Some(now), ..found.clone() };
            assert!(!expires.is_valid(now) && expires.is_valid(now - TimeDelta::seconds(1)));

            let tx = database.begin().await.unwrap();
            assert!(revoke(&tx, found.id, now).await.unwrap());
            assert!(!revoke(&tx, found.id, now).await.unwrap());
            tx.commit().await.unwrap();
            assert!(!by_name(other.read(), "ci").await.unwrap().unwrap().is_valid(now));
            assert!(any(other.read()).await.unwrap(), "a revoked one still means that tokens are asked for");
        }
    }

    #[tokio::test]
    async fn a_use_is_written_down_rarely() {
        for test in TestDatabase::each().await {
            let database = test.database();
            let now = database.clock().now(database.read()).await.unwrap();
            let tx = database.begin().await.unwrap();
            insert(&tx, &new("ci", "h"), now).await.unwrap();
            tx.commit().await.unwrap();
            let used = async |at| {
                let token = by_name(database.read(), "ci").await.unwrap().unwrap();
                note_use(database.write(), &token, at).await.unwrap();
                by_name(database.read(), "ci").await.unwrap().unwrap().last_used_at
            };
            assert_eq!(used(now).await, Some(now));
            assert_eq!(used(now + TimeDelta::minutes(9)).await, Some(now));
            let later = now + TimeDelta::minutes(11);
            assert_eq!(used(later).await, Some(later));
        }
    }
}

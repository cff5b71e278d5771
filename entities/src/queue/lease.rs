//! `leases`: time-bounded exclusive claims, each with a fencing number.
//!
//! A key's row stays when the lease is freed, so that its term never falls: whoever holds an older term is late.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, QuerySelect};

use crate::database::{RowSet, Sql};
use crate::ids::JobId;

/// A lease.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "leases")]
pub struct Model {
    /// What is claimed: `graph:default`, `run:<job id>`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub lease_key: String,
    /// The job that has it, if one has.
    pub owner: Option<JobId>,
    /// The fencing number of the newest claim.
    pub term: i64,
    /// Until when. Set exactly when there is an owner.
    pub expires_at: Option<DateTime<Utc>>,
}

impl ActiveModelBehavior for ActiveModel {}

/// A lease that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What is claimed.
    pub key: String,
    /// The job that has it.
    pub owner: JobId,
    /// The claim's number.
    pub term: i64,
}

/// Somebody else has the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Who.
    pub owner: JobId,
    /// Until when, unless it is renewed.
    pub expires_at: DateTime<Utc>,
}

/// The key of the lease that every hand-over job holds while it runs.
#[must_use]
pub fn run_key(job: JobId) -> String {
    format!("run:{job}")
}

/// Takes the lease `key` for `owner`, if it is free, expired, or the owner's own already. The row is locked either way.
///
/// # Errors
/// Whatever the database answers.
pub async fn acquire(
    tx: &DatabaseTransaction,
    key: &str,
    owner: JobId,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<Result<Held, Taken>, DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("INSERT INTO leases (lease_key, owner, term, expires_at) VALUES (")
        .bind(key)
        .text(", ")
        .bind(owner)
        .text(", 1, ")
        .bind(expires_at)
        .text(
            ") ON CONFLICT (lease_key) DO UPDATE SET owner = excluded.owner, term = leases.term + 1, \
             expires_at = excluded.expires_at WHERE leases.owner IS NULL OR leases.owner = excluded.owner OR leases.expires_at <= ",
        )
        .bind(now)
        .text(" RETURNING term")
        .build();
    if let Some(row) = tx.query_one_raw(statement).await? {
        return Ok(Ok(Held { key: key.to_owned(), owner, term: row.try_get_by_index(0)? }));
    }
    let holder = Entity::find_by_id(key.to_owned()).one(tx).await?;
    match holder {
        Some(Model { owner: Some(owner), expires_at: Some(expires_at), .. }) => {
            Ok(Err(Taken { owner, expires_at }))
        }
        // The row was refused a moment ago and is locked by this transaction: it cannot be free.
        _ => Err(DbErr::RecordNotFound(format!("lease {key}"))),
    }
}

/// Extends leases that are still held with their term. Answers those that were extended; the others are lost.
///
/// # Errors
/// Whatever the database answers.
pub async fn renew(
    connection: &impl ConnectionTrait,
    held: &[Held],
    expires_at: DateTime<Utc>,
) -> Result<Vec<String>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("UPDATE leases SET expires_at = ")
        .bind(expires_at)
        .text(" FROM ")
        .rows(claims(held))
        .text(" WHERE leases.lease_key = r.held_key AND leases.owner = r.held_by AND leases.term = r.held_term RETURNING leases.lease_key")
        .build();
    connection.query_all_raw(statement).await?.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Locks leases and answers which are still held with their term: what a late worker fails.
///
/// # Errors
/// Whatever the database answers.
pub async fn verify(tx: &DatabaseTransaction, held: &[Held]) -> Result<Vec<String>, DbErr> {
    if held.is_empty() {
        return Ok(Vec::new());
    }
    let statement = Sql::new(tx.get_database_backend())
        .text("SELECT leases.lease_key FROM leases JOIN ")
        .rows(claims(held))
        .text(
            " ON leases.lease_key = r.held_key AND leases.owner = r.held_by AND leases.term = r.held_term ORDER BY leases.lease_key",
        )
        .on_postgres(" FOR UPDATE OF leases")
        .build();
    tx.query_all_raw(statement).await?.iter().map(|row| row.try_get_by_index(0)).collect()
}

fn claims(held: &[Held]) -> RowSet {
    RowSet::new("r")
        .string("held_key", held.iter().map(|one| one.key.clone()))
        .uuid("held_by", held.iter().map(|one| one.owner.0))
        .big("held_term", held.iter().map(|one| one.term))
}

/// Frees every lease of `owners`. Run leases go, the others keep their term. Answers the keys that others may wait for.
///
/// # Errors
/// Whatever the database answers.
pub async fn free(tx: &DatabaseTransaction, owners: &[JobId]) -> Result<Vec<String>, DbErr> {
    if owners.is_empty() {
        return Ok(Vec::new());
    }
    let backend = tx.get_database_backend();
    let runs = RowSet::new("r").string("run_key", owners.iter().map(|owner| run_key(*owner)));
    let statement = Sql::new(backend)
        .text("DELETE FROM leases WHERE lease_key IN (SELECT run_key FROM ")
        .rows(runs)
        .text(")")
        .build();
    tx.execute_raw(statement).await?;
    let statement = Sql::new(backend)
        .text("UPDATE leases SET owner = NULL, expires_at = NULL WHERE ")
        .any_of("owner", owners.iter().map(|owner| owner.0))
        .text(" RETURNING lease_key")
        .build();
    tx.query_all_raw(statement).await?.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Jobs whose run lease expired, oldest first: their worker died or froze.
///
/// # Errors
/// Whatever the database answers.
pub async fn expired_runs(
    connection: &impl ConnectionTrait,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<JobId>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text(
            "SELECT owner FROM leases WHERE owner IS NOT NULL AND lease_key LIKE 'run:%' AND expires_at <= ",
        )
        .bind(now)
        .text(" ORDER BY expires_at LIMIT ")
        .bind(i64::from(limit))
        .build();
    connection.query_all_raw(statement).await?.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Which of `owners` still have an expired run lease. Their leases are locked: none can be renewed behind the answer.
///
/// # Errors
/// Whatever the database answers.
pub async fn lock_expired_runs(
    tx: &DatabaseTransaction,
    owners: &[JobId],
    now: DateTime<Utc>,
) -> Result<Vec<JobId>, DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("SELECT owner FROM leases WHERE lease_key LIKE 'run:%' AND expires_at <= ")
        .bind(now)
        .text(" AND ")
        .any_of("owner", owners.iter().map(|owner| owner.0))
        .text(" ORDER BY lease_key")
        .on_postgres(" FOR UPDATE")
        .build();
    tx.query_all_raw(statement).await?.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Locks the lease of that key until the transaction ends: nobody frees it, and wakes its waiters, in between.
///
/// # Errors
/// Whatever the database answers.
pub async fn lock(tx: &DatabaseTransaction, key: &str) -> Result<Option<Model>, DbErr> {
    let mut select = Entity::find_by_id(key.to_owned());
    if tx.get_database_backend() == DbBackend::Postgres {
        select = select.lock_exclusive();
    }
    select.one(tx).await
}

/// The lease of that key.
///
/// # Errors
/// Whatever the database answers.
pub async fn find(connection: &impl ConnectionTrait, key: &str) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(key.to_owned()).one(connection).await
}

/// Lets every run lease of this file expire at once: with one process per file, whoever held them is dead.
///
/// # Errors
/// Whatever the database answers.
pub async fn expire_all_runs(tx: &DatabaseTransaction, now: DateTime<Utc>) -> Result<u64, DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("UPDATE leases SET expires_at = ")
        .bind(now)
        .text(" WHERE owner IS NOT NULL")
        .build();
    Ok(tx.execute_raw(statement).await?.rows_affected())
}

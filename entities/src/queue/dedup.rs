//! `dedup_keys`: at most one waiting job per kind and key. The claim releases the key before the commit half runs.

use std::collections::BTreeMap;

use sea_orm::entity::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseTransaction};

use crate::database::{RowSet, Sql};
use crate::ids::JobId;
use crate::jobs::OnDuplicate;

/// A key that is held.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dedup_keys")]
pub struct Model {
    /// The kind.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    /// The key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub dedup_key: String,
    /// Who holds it.
    #[sea_orm(unique)]
    pub job_id: JobId,
    /// Whether somebody asked for another run meanwhile.
    pub run_again: bool,
}

impl ActiveModelBehavior for ActiveModel {}

/// Takes `key` for `job`, or finds who holds it; the row is locked either way, so the holder cannot end unnoticed. Answers
/// the job that holds the key now.
///
/// # Errors
/// Whatever the database answers.
pub async fn take(
    tx: &DatabaseTransaction,
    kind: &str,
    key: &str,
    job: JobId,
    on_duplicate: OnDuplicate,
) -> Result<JobId, DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("INSERT INTO dedup_keys (kind, dedup_key, job_id, run_again) VALUES (")
        .bind(kind)
        .text(", ")
        .bind(key)
        .text(", ")
        .bind(job)
        .text(", ")
        .bind(false)
        .text(") ON CONFLICT (kind, dedup_key) DO UPDATE SET run_again = ")
        .text(match on_duplicate {
            OnDuplicate::Drop => "dedup_keys.run_again",
            OnDuplicate::RunAgain => "(dedup_keys.job_id <> excluded.job_id) OR dedup_keys.run_again",
        })
        .text(" RETURNING job_id")
        .build();
    tx.query_one_raw(statement)
        .await?
        .ok_or_else(|| DbErr::RecordNotFound(format!("dedup key {key} of {kind}")))?
        .try_get_by_index(0)
}

/// Takes keys for jobs that are to live again, each key once in the set; a key that somebody else holds stays with him. Answers
/// who holds each key now. The rows are locked either way.
///
/// # Errors
/// Whatever the database answers.
pub async fn take_all(
    tx: &DatabaseTransaction,
    wanted: &BTreeMap<(&str, &str), JobId>,
) -> Result<BTreeMap<(String, String), JobId>, DbErr> {
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    // A map is in order, so two operators lock in the same one.
    let rows = RowSet::new("r")
        .string("kind", wanted.keys().map(|(kind, _)| (*kind).to_owned()))
        .string("dedup_key", wanted.keys().map(|(_, key)| (*key).to_owned()))
        .uuid("job_id", wanted.values().map(|job| job.0));
    let statement = Sql::new(tx.get_database_backend())
        .text("INSERT INTO dedup_keys (kind, dedup_key, job_id, run_again) SELECT kind, dedup_key, job_id, ")
        .either("false", "0")
        .text(" FROM ")
        .rows(rows)
        .text(
            " WHERE true ON CONFLICT (kind, dedup_key) DO UPDATE SET run_again = dedup_keys.run_again \
             RETURNING kind, dedup_key, job_id",
        )
        .build();
    let rows = tx.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| Ok(((row.try_get_by_index(0)?, row.try_get_by_index(1)?), row.try_get_by_index(2)?)))
        .collect()
}

/// A key that was released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// Who held it.
    pub job_id: JobId,
    /// Whether the job has to be published once more when it ends.
    pub run_again: bool,
}

/// Releases the keys of `jobs`.
///
/// # Errors
/// Whatever the database answers.
pub async fn release(tx: &DatabaseTransaction, jobs: &[JobId]) -> Result<Vec<Released>, DbErr> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let statement = Sql::new(tx.get_database_backend())
        .text("DELETE FROM dedup_keys WHERE ")
        .any_of("job_id", jobs.iter().map(|id| id.0))
        .text(" RETURNING job_id, run_again")
        .build();
    tx.query_all_raw(statement)
        .await?
        .iter()
        .map(|row| Ok(Released { job_id: row.try_get_by_index(0)?, run_again: row.try_get_by_index(1)? }))
        .collect()
}

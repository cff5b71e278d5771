//! `suspects`: messages that were in flight when a process died, with how often they were started since.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseTransaction};

use crate::database::Sql;
use crate::ids::JobId;

/// After this many recorded starts a message that still has no end is given up.
pub const MAX_STARTS: i32 = 3;

/// A suspect.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "suspects")]
pub struct Model {
    /// The job.
    #[sea_orm(primary_key, auto_increment = false)]
    pub job_id: JobId,
    /// Starts since it became one.
    pub starts: i32,
    /// The newest.
    pub last_started_at: DateTime<Utc>,
}

impl ActiveModelBehavior for ActiveModel {}

/// Starts recorded for `job`; zero if it is no suspect.
///
/// # Errors
/// Whatever the database answers.
pub async fn starts(connection: &impl ConnectionTrait, job: JobId) -> Result<i32, DbErr> {
    Ok(Entity::find_by_id(job).one(connection).await?.map_or(0, |suspect| suspect.starts))
}

/// Records a start of `job`. Committed before the start, so that a start that kills the process is counted.
///
/// # Errors
/// Whatever the database answers.
pub async fn record_start(tx: &DatabaseTransaction, job: JobId, now: DateTime<Utc>) -> Result<(), DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("INSERT INTO suspects (job_id, starts, last_started_at) VALUES (")
        .bind(job)
        .text(", 1, ")
        .bind(now)
        .text(
            ") ON CONFLICT (job_id) DO UPDATE SET starts = suspects.starts + 1, last_started_at = excluded.last_started_at",
        )
        .build();
    tx.execute_raw(statement).await?;
    Ok(())
}

/// Takes one recorded start of `job` back: it did not begin after all.
///
/// # Errors
/// Whatever the database answers.
pub async fn take_back_start(tx: &DatabaseTransaction, job: JobId) -> Result<(), DbErr> {
    let backend = tx.get_database_backend();
    let fewer =
        Sql::new(backend).text("UPDATE suspects SET starts = starts - 1 WHERE job_id = ").bind(job).build();
    tx.execute_raw(fewer).await?;
    let none =
        Sql::new(backend).text("DELETE FROM suspects WHERE starts <= 0 AND job_id = ").bind(job).build();
    tx.execute_raw(none).await?;
    Ok(())
}

/// Clears the suspicion: the jobs got to an end, or to an orderly failure.
///
/// # Errors
/// Whatever the database answers.
pub async fn clear(tx: &DatabaseTransaction, jobs: &[JobId]) -> Result<(), DbErr> {
    if jobs.is_empty() {
        return Ok(());
    }
    let statement = Sql::new(tx.get_database_backend())
        .text("DELETE FROM suspects WHERE ")
        .any_of("job_id", jobs.iter().map(|id| id.0))
        .build();
    tx.execute_raw(statement).await?;
    Ok(())
}

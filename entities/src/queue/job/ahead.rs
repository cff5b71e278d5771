//! Jobs that are written as succeeded before that is known, by the transaction that is about to make it true.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::{Fence, IsEnded, NewJob, inserting};
use crate::clock::Moment;
use crate::database::{RowSet, Sql};
use crate::ids::JobId;
use crate::queue::state::JobState;

/// What was written as succeeded before it was known.
#[derive(Debug)]
pub struct EndedAhead<T> {
    /// What was written.
    pub jobs: Vec<T>,
    /// The database's time as it wrote them, unless there was nothing to write.
    pub at: Option<DateTime<Utc>>,
}

/// Writes new jobs as [`insert`](super::insert) does, but as if their first attempt had succeeded: for a transaction that is about to make that
/// true. A row that is written once costs the database half of one that is written and changed. Whoever turns out not to succeed at
/// once is taken back with [`reopen`], before the transaction ends.
///
/// # Errors
/// Whatever the database answers.
pub async fn insert_ended(
    tx: &DatabaseTransaction,
    jobs: &[NewJob],
    moment: Moment,
) -> Result<EndedAhead<JobId>, DbErr> {
    let rows = tx.query_all_raw(inserting(tx, jobs, moment, IsEnded::Ahead)).await?;
    let at = rows.first().map(|row| row.try_get_by_index(1)).transpose()?;
    let jobs = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
    Ok(EndedAhead { jobs, at })
}

/// Locks new jobs of one kind whose seq is the given one, and writes at once that their first attempt has succeeded: for a
/// transaction that is about to make that true, as with [`insert_ended`]. Answers what they were before. A job that is not as plain as
/// that (another kind or seq, tried or deferred before, called off, with a dedup key) is left alone.
///
/// # Errors
/// Whatever the database answers.
pub async fn end_ahead(
    tx: &DatabaseTransaction,
    kind: &str,
    jobs: &[(JobId, i32)],
    moment: Moment,
) -> Result<EndedAhead<Fence>, DbErr> {
    let rows = RowSet::new("r")
        .uuid("job_id", jobs.iter().map(|(id, _)| id.0))
        .int("current_seq", jobs.iter().map(|(_, seq)| *seq));
    // IS TRUE keeps planners from the index of what is unfinished: with statistics from a quiet hour they expect little there, and
    // would read a whole backlog for each group.
    let statement = Sql::new(tx.get_database_backend())
        .text("UPDATE jobs SET state = 'succeeded', attempt = 1, finished_at = ")
        .moment(moment)
        .text(" FROM ")
        .rows(rows)
        .text(" WHERE id = r.job_id AND seq = r.current_seq AND (kind = ")
        .bind(kind)
        .text(
            ") IS TRUE AND (state = 'pending') IS TRUE AND attempt = 0 AND deferrals = 0 AND max_attempts > 0 AND dedup_key IS NULL \
             AND cancel_requested_at IS NULL RETURNING id, seq, origin, max_attempts, created_at, finished_at",
        )
        .build();
    let ended = tx.query_all_raw(statement).await?;
    let at = ended.first().map(|row| row.try_get_by_index(5)).transpose()?;
    let fences = ended.iter().map(|row| {
        Ok(Fence {
            id: row.try_get_by_index(0)?,
            kind: kind.to_owned(),
            seq: row.try_get_by_index(1)?,
            state: JobState::Pending,
            origin: row.try_get_by_index(2)?,
            attempt: 0,
            max_attempts: row.try_get_by_index(3)?,
            deferrals: 0,
            cancel_requested: false,
            dedup_key: None,
            created_at: row.try_get_by_index(4)?,
        })
    });
    Ok(EndedAhead { jobs: fences.collect::<Result<_, DbErr>>()?, at })
}

/// Makes jobs of [`insert_ended`] and [`end_ahead`] what they would have been without.
///
/// # Errors
/// Whatever the database answers.
pub async fn reopen(tx: &DatabaseTransaction, jobs: &[JobId]) -> Result<(), DbErr> {
    if jobs.is_empty() {
        return Ok(());
    }
    let statement = Sql::new(tx.get_database_backend())
        .text("UPDATE jobs SET state = 'pending', attempt = 0, finished_at = NULL WHERE ")
        .any_of("id", jobs.iter().map(|id| id.0))
        .build();
    tx.execute_raw(statement).await.map(drop)
}

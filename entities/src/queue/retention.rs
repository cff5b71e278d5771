//! Removing what is finished and old. What is unfinished stays, whatever its age.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use crate::database::Sql;
use crate::ids::JobId;

/// Up to `limit` jobs of `kind` that ended before `before`, behind `after` in the order of their ids. A job with an open dead
/// letter stays: an operator may still replay it. Reads only, so nobody waits for the search.
///
/// # Errors
/// Whatever the database answers.
pub async fn finished(
    connection: &impl ConnectionTrait,
    kind: &str,
    before: DateTime<Utc>,
    after: Option<JobId>,
    limit: u32,
) -> Result<Vec<JobId>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("SELECT id FROM jobs WHERE kind = ")
        .bind(kind)
        .text(" AND finished_at IS NOT NULL AND finished_at < ")
        .bind(before)
        // A job ends after it was made, so its id (which sorts by the time of its making) narrows the search.
        .text(" AND id < ")
        .bind(first_id_at(before))
        .text(" AND id > ")
        .bind(after.unwrap_or(JobId(uuid::Uuid::nil())))
        .text(
            " AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE dead_letters.job_id = jobs.id AND dead_letters.state = 'open') \
             ORDER BY id LIMIT ",
        )
        .bind(i64::from(limit))
        .build();
    connection.query_all_raw(statement).await?.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Removes `jobs` with everything that belongs to them, except those that came back to life since they were found.
///
/// # Errors
/// Whatever the database answers.
pub async fn remove(tx: &DatabaseTransaction, jobs: &[JobId]) -> Result<usize, DbErr> {
    let backend = tx.get_database_backend();
    let statement = Sql::new(backend)
        .text("SELECT id FROM jobs WHERE ")
        .any_of("id", jobs.iter().map(|id| id.0))
        .text(" AND finished_at IS NOT NULL ORDER BY id")
        .on_postgres(" FOR UPDATE")
        .build();
    let rows = tx.query_all_raw(statement).await?;
    let jobs: Vec<JobId> = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
    let belongings = ["attempts", "outbox", "message_ids", "dedup_keys", "suspects", "dead_letters"];
    for (table, column) in belongings.into_iter().map(|table| (table, "job_id")).chain([("jobs", "id")]) {
        let statement = Sql::new(backend)
            .text(&format!("DELETE FROM {table} WHERE "))
            .any_of(column, jobs.iter().map(|id| id.0))
            .build();
        tx.execute_raw(statement).await?;
    }
    Ok(jobs.len())
}

/// Replay runs that are removed in one transaction.
const RUNS_AT_ONCE: u32 = 5;

/// Removes up to `limit` rows each of what belongs to no job: expired idempotency keys, resolved letters without a job, audit
/// entries; and a few replay runs with all that belongs to them. Answers how many went.
///
/// # Errors
/// Whatever the database answers.
pub async fn remove_loose(
    tx: &DatabaseTransaction,
    now: DateTime<Utc>,
    before: DateTime<Utc>,
    limit: u32,
) -> Result<u64, DbErr> {
    let backend = tx.get_database_backend();
    let limit = i64::from(limit);
    let statements = [
        Sql::new(backend)
            .text("DELETE FROM idempotency_keys WHERE (scope, idempotency_key) IN (SELECT scope, idempotency_key FROM idempotency_keys WHERE expires_at <= ")
            .bind(now)
            .text(" LIMIT ")
            .bind(limit)
            .text(")"),
        Sql::new(backend)
            .text("DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters WHERE job_id IS NULL AND state <> 'open' AND resolved_at < ")
            .bind(before)
            .text(" ORDER BY id LIMIT ")
            .bind(limit)
            .text(")"),
        Sql::new(backend)
            .text("DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ")
            .bind(before)
            .text(" ORDER BY id LIMIT ")
            .bind(limit)
            .text(")"),
    ];
    let mut removed = 0;
    for statement in statements {
        removed += tx.execute_raw(statement.build()).await?.rows_affected();
    }
    // A run brings its letters with it, so a few at a time are enough.
    removed += super::replay_run::remove_old(tx, before, RUNS_AT_ONCE).await?;
    Ok(removed)
}

/// The smallest version 7 id of the millisecond after `time`: every id made up to then is smaller.
fn first_id_at(time: DateTime<Utc>) -> JobId {
    let millis = u64::try_from(time.timestamp_millis()).unwrap_or(0).saturating_add(1);
    let mut bytes = [0_u8; 16];
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    JobId(uuid::Uuid::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::machine_now;

    #[test]
    fn an_id_made_now_lies_before_the_bound_of_now_and_behind_that_of_an_hour_ago() {
        let id = JobId::new();
        assert!(id < first_id_at(machine_now() + chrono::TimeDelta::milliseconds(5)));
        assert!(id > first_id_at(machine_now() - chrono::TimeDelta::hours(1)));
    }
}

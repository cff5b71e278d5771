//! Removing what is finished and old. What is unfinished stays, whatever its age.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use crate::database::Sql;
use crate::ids::JobId;

/// Removes up to `limit` jobs of `kind` that ended before `before`, with their attempts, message ids and resolved letters.
/// A job with an open dead letter stays: an operator may still replay it. Answers how many went.
///
/// # Errors
/// Whatever the database answers.
pub async fn remove_finished(
    tx: &DatabaseTransaction,
    kind: &str,
    before: DateTime<Utc>,
    limit: u32,
) -> Result<usize, DbErr> {
    let backend = tx.get_database_backend();
    let statement = Sql::new(backend)
        // A job ends after it was made, so its id (which sorts by the time of its making) narrows the search.
        .text("SELECT id FROM jobs WHERE kind = ")
        .bind(kind)
        .text(" AND finished_at IS NOT NULL AND finished_at < ")
        .bind(before)
        .text(" AND id < ")
        .bind(first_id_at(before).0)
        .text(" AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE dead_letters.job_id = jobs.id AND dead_letters.state = 'open') ORDER BY id LIMIT ")
        .bind(i64::from(limit))
        .build();
    let jobs: Vec<JobId> = tx
        .query_all_raw(statement)
        .await?
        .iter()
        .map(|row| row.try_get_by_index(0))
        .collect::<Result<_, _>>()?;
    if jobs.is_empty() {
        return Ok(0);
    }
    for (table, column) in
        [("attempts", "job_id"), ("message_ids", "job_id"), ("dead_letters", "job_id"), ("jobs", "id")]
    {
        let statement = Sql::new(backend)
            .text(&format!("DELETE FROM {table} WHERE "))
            .any_of(column, jobs.iter().map(|id| id.0))
            .build();
        tx.execute_raw(statement).await?;
    }
    Ok(jobs.len())
}

/// Removes up to `limit` rows each of what belongs to no job: expired idempotency keys, resolved letters without a job, audit
/// entries, and leases that nobody has held for that long. Answers how many went.
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

//! Figures for people and alarms: how much waits, and for how long.
//!
//! Each is one query that reads an index and stops at a limit, so that it costs the same however much waits. They are asked
//! every few seconds by each process that serves metrics.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr};

use super::dead_letter::Reason;
use crate::database::Sql;

/// Due messages of a kind are counted up to here: 10,000 entries of an index take a few milliseconds.
pub const MOST_DUE: u32 = 10_000;
/// Open dead letters are counted up to here: their reason stands in the row, so 100,000 take some tens of milliseconds.
pub const MOST_LETTERS: u32 = 100_000;
/// The oldest unfinished jobs of a kind that are looked at for one that waits; those before it are scheduled for later.
const MOST_JOBS: u32 = 1_000;

/// Since when the oldest waiting job of `kind` waits, if one does: pending, and not scheduled for later. A short job whose slow
/// half runs counts as waiting, since its row is written with its end. Reads the index `jobs_unfinished`.
///
/// It is the time at which its message became due while that is in the outbox, else that of the newest attempt, else that of
/// the publishing: for a job that was scheduled and is with the broker by now, that is earlier than it became due.
///
/// # Errors
/// Whatever the database answers.
pub async fn oldest_waiting(
    connection: &impl ConnectionTrait,
    kind: &str,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("SELECT job.created_at, job.started_at, outbox.due_at FROM (SELECT id, created_at, started_at FROM jobs WHERE kind = ")
        .bind(kind.to_owned())
        .text(" AND state IN ('pending', 'running') AND state = 'pending' ORDER BY id LIMIT ")
        .bind(i64::from(MOST_JOBS))
        .text(") AS job LEFT JOIN outbox ON outbox.job_id = job.id WHERE outbox.job_id IS NULL OR outbox.due_at <= ")
        .bind(now)
        .text(" ORDER BY job.id LIMIT 1")
        .build();
    let Some(row) = connection.query_one_raw(statement).await? else { return Ok(None) };
    let created: DateTime<Utc> = row.try_get_by_index(0)?;
    let started: Option<DateTime<Utc>> = row.try_get_by_index(1)?;
    let due: Option<DateTime<Utc>> = row.try_get_by_index(2)?;
    Ok(Some(due.unwrap_or_else(|| started.map_or(created, |started| started.max(created)))))
}

/// Open dead letters of one kind with one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenLetters {
    /// The kind, where the messages named one.
    pub kind: Option<String>,
    /// Why they were given up.
    pub reason: Reason,
    /// How many; all of them together up to [`MOST_LETTERS`].
    pub letters: i64,
}

/// Open dead letters by kind and reason. Reads the index `dead_letters_open` and the rows behind it.
///
/// # Errors
/// Whatever the database answers.
pub async fn open_letters(connection: &impl ConnectionTrait) -> Result<Vec<OpenLetters>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("SELECT kind, reason, count(*) FROM (SELECT kind, reason FROM dead_letters WHERE state = 'open' LIMIT ")
        .bind(i64::from(MOST_LETTERS))
        .text(") AS letter GROUP BY kind, reason ORDER BY kind, reason")
        .build();
    let rows = connection.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| {
            Ok(OpenLetters {
                kind: row.try_get_by_index(0)?,
                reason: row.try_get_by_index(1)?,
                letters: row.try_get_by_index(2)?,
            })
        })
        .collect()
}

/// How many leases are held. Reads the index `leases_by_owner`.
///
/// # Errors
/// Whatever the database answers.
pub async fn leases_held(connection: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("SELECT count(*) FROM leases WHERE owner IS NOT NULL")
        .build();
    connection.query_one_raw(statement).await?.map_or(Ok(0), |row| row.try_get_by_index(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use chrono::TimeDelta;

    use super::*;
    use crate::clock::machine_now;
    use crate::ids::JobId;
    use crate::queue::job::{self, NewJob, Origin};
    use crate::queue::outbox::{self, Cause, NewMessage};
    use crate::testing::TestDatabase;

    fn new(id: JobId, kind: &'static str) -> NewJob {
        NewJob {
            id,
            kind,
            version: 1,
            origin: Origin::Enqueue,
            max_attempts: 3,
            payload: "{}".to_owned(),
            subject: None,
            dedup_key: None,
            parent_id: None,
            traceparent: None,
        }
    }

    fn message(id: JobId, kind: &str, due_at: DateTime<Utc>) -> NewMessage {
        NewMessage {
            job_id: id,
            kind: kind.to_owned(),
            seq: 1,
            cause: Cause::Publish,
            reason: None,
            waits_for: None,
            due_at,
        }
    }

    #[tokio::test]
    async fn a_job_waits_since_it_was_due_and_one_for_later_does_not_wait() {
        for test in TestDatabase::each().await {
            let database = test.database();
            let now = machine_now();
            let (later, due, sent) = (JobId::new(), JobId::new(), JobId::new());
            let tx = database.begin().await.unwrap();
            let jobs = [new(later, "tea"), new(due, "tea"), new(sent, "milk")];
            job::insert(&tx, &jobs, now - TimeDelta::hours(2)).await.unwrap();
            let messages = [
                message(later, "tea", now + TimeDelta::hours(1)),
                message(due, "tea", now - TimeDelta::minutes(5)),
            ];
            outbox::put(&tx, &messages, now).await.unwrap();
            tx.commit().await.unwrap();
            let read = database.read();
            assert_eq!(oldest_waiting(read, "tea", now).await.unwrap(), Some(now - TimeDelta::minutes(5)));
            assert_eq!(oldest_waiting(read, "milk", now).await.unwrap(), Some(now - TimeDelta::hours(2)));
            assert_eq!(oldest_waiting(read, "water", now).await.unwrap(), None);
            let waits = outbox::backlog(read, now, MOST_DUE).await.unwrap();
            assert_eq!((waits.messages, waits.oldest), (1, Some(now - TimeDelta::minutes(5))));
            let all = outbox::backlog(read, now + TimeDelta::hours(2), MOST_DUE).await.unwrap();
            assert_eq!(all.messages, 2);
            assert_eq!(leases_held(read).await.unwrap(), 0);
            assert_eq!(open_letters(read).await.unwrap(), []);
        }
    }
}

//! Removing what is finished and old. What is unfinished stays, whatever its age.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use crate::database::Sql;
use crate::ids::JobId;

/// A part of the table, and what is old in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Jobs that may go, in the order of their ids.
    pub old: Vec<JobId>,
    /// The last job that was looked at, of whatever kind. `None`: there is nothing behind the point where the search began.
    pub last: Option<JobId>,
}

/// Looks at `rows` jobs of any kind behind `after`, in the order of their ids, for those of `kind` that ended before `before`. A job
/// with an open dead letter stays: an operator may still replay it. Reads only, so nobody waits for the search; and no more than
/// so many rows, so that it takes no longer where most of them are of other kinds.
///
/// # Errors
/// Whatever the database answers.
pub async fn finished(
    connection: &impl ConnectionTrait,
    kind: &str,
    before: DateTime<Utc>,
    after: Option<JobId>,
    rows: u32,
) -> Result<Slice, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        // A job ends after it was made, so its id (which sorts by the time of its making) bounds the search.
        .text("WITH slice AS (SELECT id, kind, finished_at FROM jobs WHERE id < ")
        .bind(first_id_at(before))
        .text(" AND id > ")
        .bind(after.unwrap_or(JobId(uuid::Uuid::nil())))
        .text(" ORDER BY id LIMIT ")
        .bind(i64::from(rows))
        .text(") SELECT id, 1 FROM slice WHERE kind = ")
        .bind(kind)
        .text(" AND finished_at < ")
        .bind(before)
        .text(
            " AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE dead_letters.job_id = slice.id AND dead_letters.state = 'open') \
             UNION ALL SELECT id, 0 FROM (SELECT id FROM slice ORDER BY id DESC LIMIT 1) AS last",
        )
        .build();
    let mut slice = Slice::default();
    for row in connection.query_all_raw(statement).await? {
        let id = row.try_get_by_index(0)?;
        if row.try_get_by_index::<i32>(1)? == 1 {
            slice.old.push(id);
        } else {
            slice.last = Some(id);
        }
    }
    slice.old.sort_unstable();
    Ok(slice)
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
    let belongings = [
        "attempts",
        "model_calls",
        "sync_cycles",
        "outbox",
        "message_ids",
        "dedup_keys",
        "suspects",
        "dead_letters",
        "schedule_ticks",
    ];
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

/// Removes up to `limit` rows each of what belongs to no job: expired idempotency keys, resolved letters whose job is not there
/// (any more, or never was), ids of foreign messages that became no job, audit entries; and a few replay runs with all that belongs
/// to them. Answers how many went.
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
            .text("DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters WHERE state <> 'open' AND resolved_at < ")
            .bind(before)
            .text(" AND id < ")
            .bind(first_id_at(before))
            .text(
                " AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = dead_letters.job_id) ORDER BY id LIMIT ",
            )
            .bind(limit)
            .text(")"),
        Sql::new(backend)
            .text("DELETE FROM message_ids WHERE job_id IN (SELECT job_id FROM message_ids WHERE job_id < ")
            .bind(first_id_at(before))
            .text(
                " AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = message_ids.job_id) \
                 AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE dead_letters.job_id = message_ids.job_id) ORDER BY job_id LIMIT ",
            )
            .bind(limit)
            .text(")"),
        Sql::new(backend)
            .text("DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ")
            .bind(before)
            // Ids sort by the time of their making: what is young is not looked at.
            .text(" AND id < ")
            .bind(first_id_at(before))
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
    #![allow(clippy::unwrap_used, reason = "tests")]

    use chrono::TimeDelta;

    use super::*;
    use crate::clock::{Moment, machine_now};
    use crate::envelope::Message;
    use crate::queue::dead_letter::{self, NewLetter, Reason};
    use crate::queue::job::{self, ErrorText, NewJob, Origin};
    use crate::queue::message_id;
    use crate::testing::TestDatabase;

    #[test]
    fn an_id_made_now_lies_before_the_bound_of_now_and_behind_that_of_an_hour_ago() {
        let id = JobId::new();
        assert!(id < first_id_at(machine_now() + TimeDelta::milliseconds(5)));
        assert!(id > first_id_at(machine_now() - TimeDelta::hours(1)));
    }

    fn new(kind: &'static str) -> NewJob {
        NewJob {
            id: JobId::new(),
            kind,
            version: 1,
            origin: Origin::Direct,
            max_attempts: 1,
            payload: "{}".to_owned(),
            subject: None,
            dedup_key: None,
            parent_id: None,
            traceparent: None,
        }
    }

    fn letter(job_id: JobId) -> NewLetter {
        NewLetter {
            job_id: Some(job_id),
            message: Message { message_id: Some(job_id.to_string()), ..Message::default() },
            queue: None,
            reason: Reason::NotAccepted,
            error: ErrorText { code: "no".to_owned(), operator: "no".to_owned(), public: "no".to_owned() },
            attempts: 0,
            first_failed_at: None,
        }
    }

    #[tokio::test]
    async fn a_slice_has_the_old_jobs_of_its_kind_and_ends_behind_those_of_others() {
        for test in TestDatabase::each().await {
            let database = test.database();
            let now = machine_now();
            let jobs: Vec<NewJob> = ["tea", "milk", "tea", "milk", "tea"].into_iter().map(new).collect();
            let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
            let tx = database.begin().await.unwrap();
            job::insert_ended(&tx, &jobs[..4], Moment::At(now)).await.unwrap();
            job::insert(&tx, &jobs[4..], now).await.unwrap();
            tx.commit().await.unwrap();
            let look = async |before, after, rows| {
                finished(database.read(), "tea", before, after, rows).await.unwrap()
            };
            let later = now + TimeDelta::seconds(1);
            let first = look(later, None, 2).await;
            assert_eq!(first, Slice { old: vec![ids[0]], last: Some(ids[1]) });
            let second = look(later, first.last, 2).await;
            assert_eq!(second, Slice { old: vec![ids[2]], last: Some(ids[3]) });
            let unfinished = look(later, second.last, 2).await;
            assert_eq!(unfinished, Slice { old: vec![], last: Some(ids[4]) });
            assert_eq!(look(later, unfinished.last, 2).await, Slice::default());
            assert_eq!(look(now - TimeDelta::hours(1), None, 2).await, Slice::default(), "all are young");
        }
    }

    #[tokio::test]
    async fn letters_and_message_ids_of_jobs_that_never_were_go_when_nobody_needs_them() {
        for test in TestDatabase::each().await {
            let database = test.database();
            let now = machine_now();
            let known = new("tea");
            let tx = database.begin().await.unwrap();
            job::insert_ended(&tx, std::slice::from_ref(&known), Moment::At(now)).await.unwrap();
            let open = message_id::resolve(&tx, "tea", "open", now).await.unwrap();
            let discarded = message_id::resolve(&tx, "tea", "discarded", now).await.unwrap();
            for id in [known.id, open, discarded] {
                assert!(dead_letter::insert(&tx, letter(id), now).await.unwrap());
            }
            let letters: Vec<_> = dead_letter::of_job(&tx, discarded).await.unwrap();
            let of_known: Vec<_> = dead_letter::of_job(&tx, known.id).await.unwrap();
            dead_letter::discard(&tx, &[letters[0].id, of_known[0].id], "somebody", now).await.unwrap();
            let removed = remove_loose(&tx, now, now - TimeDelta::hours(1), 10).await.unwrap();
            assert_eq!(removed, 0, "all are young");
            let later = now + TimeDelta::hours(1);
            assert_eq!(
                remove_loose(&tx, later, later, 10).await.unwrap(),
                2,
                "the letter and its message id"
            );
            assert_eq!(remove_loose(&tx, later, later, 10).await.unwrap(), 0);
            assert!(dead_letter::of_job(&tx, discarded).await.unwrap().is_empty());
            assert_eq!(dead_letter::of_job(&tx, known.id).await.unwrap().len(), 1, "goes with its job");
            assert_eq!(message_id::resolve(&tx, "tea", "open", later).await.unwrap(), open);
            assert_ne!(message_id::resolve(&tx, "tea", "discarded", later).await.unwrap(), discarded);
            tx.rollback().await.unwrap();
        }
    }
}

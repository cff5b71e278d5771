//! `outbox`: the messages that wait to be sent, at most one for each job. The body is not copied: it is the job's payload.

mod due;
mod unanswered;

use std::cell::Cell;

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseTransaction};

use crate::database::{RowSet, Sql};
use crate::ids::JobId;

pub use due::{Backlog, Claimed, Due, Window, backlog, claim_due, longest_due, next_due};
pub use unanswered::note_unanswered;

/// A waiting message.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    /// The job whose message it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub job_id: JobId,
    /// The job's kind: where the message goes.
    pub kind: String,
    /// The seq that the message will carry.
    pub seq: i32,
    /// Why it was written.
    pub cause: Cause,
    /// Why it waits, for people.
    pub reason: Option<String>,
    /// The lease key whose freeing makes it due.
    pub waits_for: Option<String>,
    /// Not before.
    pub due_at: DateTime<Utc>,
    /// How often the broker refused it.
    pub sends: i32,
    /// What the broker said last.
    pub last_error: Option<String>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

impl ActiveModelBehavior for ActiveModel {}

/// Why a message was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The job is new.
    #[sea_orm(string_value = "publish")]
    Publish,
    /// An attempt failed.
    #[sea_orm(string_value = "retry")]
    Retry,
    /// It came too early.
    #[sea_orm(string_value = "deferral")]
    Deferral,
    /// An operator replayed its dead letter.
    #[sea_orm(string_value = "replay")]
    Replay,
    /// Its worker died or froze.
    #[sea_orm(string_value = "lease_expired")]
    LeaseExpired,
    /// Its worker was told to stop.
    #[sea_orm(string_value = "handed_back")]
    HandedBack,
    /// The broker lost its message.
    #[sea_orm(string_value = "reconcile")]
    Reconcile,
}

/// A message about to be written.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The job.
    pub job_id: JobId,
    /// Its kind.
    pub kind: String,
    /// The seq that the message carries.
    pub seq: i32,
    /// Why.
    pub cause: Cause,
    /// Why it waits, for people.
    pub reason: Option<String>,
    /// The lease key whose freeing makes it due.
    pub waits_for: Option<String>,
    /// Not before.
    pub due_at: DateTime<Utc>,
}

tokio::task_local! {
    /// Whether the work of [`noticing`] made messages due.
    static MADE_DUE: Cell<bool>;
}

/// Does `work` and says whether it may have made messages due, so that the relay is woken only where there is something to send.
/// Work that it hands to other tasks is not seen.
pub async fn noticing<T>(work: impl Future<Output = T>) -> (T, bool) {
    MADE_DUE
        .scope(Cell::new(false), async {
            let answer = work.await;
            (answer, MADE_DUE.with(Cell::get))
        })
        .await
}

fn made_due() {
    // Nobody asked: whoever publishes by himself rings by himself.
    let _ = MADE_DUE.try_with(|made| made.set(true));
}

/// Writes messages. A message of the same job that still waits is replaced: the newer seq is the current one.
///
/// # Errors
/// Whatever the database answers.
pub async fn put(tx: &DatabaseTransaction, messages: &[NewMessage], now: DateTime<Utc>) -> Result<(), DbErr> {
    if messages.is_empty() {
        return Ok(());
    }
    made_due();
    let rows = RowSet::new("r")
        .uuid("job_id", messages.iter().map(|one| one.job_id.0))
        .string("kind", messages.iter().map(|one| one.kind.clone()))
        .int("seq", messages.iter().map(|one| one.seq))
        .string("cause", messages.iter().map(|one| one.cause.to_value()))
        .string("reason", messages.iter().map(|one| one.reason.clone()))
        .string("waits_for", messages.iter().map(|one| one.waits_for.clone()))
        .time("due_at", messages.iter().map(|one| one.due_at));
    let statement = Sql::new(tx.get_database_backend())
        .text(
            "INSERT INTO outbox (job_id, kind, seq, cause, reason, waits_for, due_at, sends, created_at) \
             SELECT job_id, kind, seq, cause, reason, waits_for, due_at, 0, ",
        )
        .bind(now)
        .on_postgres("::timestamptz")
        .text(" FROM ")
        .rows(rows)
        .text(
            " WHERE true ON CONFLICT (job_id) DO UPDATE SET seq = excluded.seq, cause = excluded.cause, \
             reason = excluded.reason, waits_for = excluded.waits_for, due_at = excluded.due_at, sends = 0, last_error = NULL, \
             created_at = excluded.created_at WHERE outbox.seq <= excluded.seq",
        )
        .build();
    tx.execute_raw(statement).await?;
    Ok(())
}

/// Removes messages that the broker confirmed. A message that was replaced by a newer one meanwhile stays.
///
/// # Errors
/// Whatever the database answers.
pub async fn remove_sent(tx: &DatabaseTransaction, sent: &[(JobId, i32)]) -> Result<u64, DbErr> {
    if sent.is_empty() {
        return Ok(0);
    }
    let rows = RowSet::new("r")
        .uuid("id", sent.iter().map(|(id, _)| id.0))
        .int("seq", sent.iter().map(|(_, seq)| *seq));
    let statement = Sql::new(tx.get_database_backend())
        .text("DELETE FROM outbox WHERE (job_id, seq) IN (SELECT id, seq FROM ")
        .rows(rows)
        .text(")")
        .build();
    Ok(tx.execute_raw(statement).await?.rows_affected())
}

/// Notes that the broker refused messages, and when each is due again.
///
/// # Errors
/// Whatever the database answers.
pub async fn note_refused(
    tx: &DatabaseTransaction,
    refused: &[(JobId, String, DateTime<Utc>)],
) -> Result<(), DbErr> {
    if refused.is_empty() {
        return Ok(());
    }
    let rows = RowSet::new("r")
        .uuid("id", refused.iter().map(|(id, ..)| id.0))
        .string("error", refused.iter().map(|(_, error, _)| error.clone()))
        .time("due_at", refused.iter().map(|(.., due)| *due));
    let statement = Sql::new(tx.get_database_backend())
        .text("UPDATE outbox SET sends = sends + 1, last_error = r.error, due_at = r.due_at FROM ")
        .rows(rows)
        .text(" WHERE outbox.job_id = r.id")
        .build();
    tx.execute_raw(statement).await?;
    Ok(())
}

/// Makes a job's waiting message due at once. Answers whether there was one.
///
/// # Errors
/// Whatever the database answers.
pub async fn make_due(tx: &DatabaseTransaction, job: JobId, now: DateTime<Utc>) -> Result<bool, DbErr> {
    made_due();
    let statement = Sql::new(tx.get_database_backend())
        .text("UPDATE outbox SET due_at = ")
        .bind(now)
        .text(" WHERE job_id = ")
        .bind(job)
        .text(" AND due_at > ")
        .bind(now)
        .build();
    Ok(tx.execute_raw(statement).await?.rows_affected() == 1)
}

/// Makes the oldest message due that waits for each of `lease_keys`.
///
/// # Errors
/// Whatever the database answers.
pub async fn wake_waiters(
    tx: &DatabaseTransaction,
    lease_keys: &[String],
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    if lease_keys.is_empty() {
        return Ok(0);
    }
    made_due();
    let rows = RowSet::new("r").string("lease_key", lease_keys.iter().cloned());
    let statement = Sql::new(tx.get_database_backend())
        .text("UPDATE outbox SET waits_for = NULL, due_at = ")
        .bind(now)
        .text(
            " WHERE job_id IN (SELECT (SELECT waiter.job_id FROM outbox AS waiter WHERE waiter.waits_for = r.lease_key \
             ORDER BY waiter.job_id LIMIT 1) FROM ",
        )
        .rows(rows)
        .text(")")
        .build();
    Ok(tx.execute_raw(statement).await?.rows_affected())
}

/// Writes the messages of unfinished jobs again that have neither a waiting message nor a worker: what a broker without a
/// memory has to be told after a start. With `kind`, only that kind. The seq stays, so a message that was not lost after all
/// is merely a second delivery.
///
/// # Errors
/// Whatever the database answers.
pub async fn reconcile(
    tx: &DatabaseTransaction,
    kind: Option<&str>,
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text(
            "INSERT INTO outbox (job_id, kind, seq, cause, due_at, sends, created_at) \
             SELECT jobs.id, jobs.kind, jobs.seq, 'reconcile', ",
        )
        .bind(now)
        .on_postgres("::timestamptz")
        .text(", 0, ")
        .bind(now)
        .on_postgres("::timestamptz")
        .text(" FROM jobs WHERE jobs.state IN ('pending', 'running') AND jobs.state <> 'running' AND jobs.kind = COALESCE(")
        .bind(kind.map(str::to_owned))
        .on_postgres("::text")
        // An update of nothing: unlike `DO NOTHING` it waits for a relay that has the row. Should that one remove it, since the
        // broker confirmed the message before it lost it, the row is written after all.
        .text(", jobs.kind) ON CONFLICT (job_id) DO UPDATE SET seq = outbox.seq WHERE false")
        .build();
    Ok(tx.execute_raw(statement).await?.rows_affected())
}

/// The waiting messages of `jobs`.
///
/// # Errors
/// Whatever the database answers.
pub async fn of_jobs(connection: &impl ConnectionTrait, jobs: &[JobId]) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::JobId.is_in(jobs.iter().copied())).all(connection).await
}

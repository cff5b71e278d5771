//! `jobs`: one row for each job, from its publishing to the end of its retention.

mod ahead;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, QueryOrder, QuerySelect, Select, Statement};

use super::state::JobState;
use crate::clock::Moment;
use crate::database::{RowSet, Sql};
use crate::ids::JobId;

pub use ahead::{EndedAhead, end_ahead, insert_ended, reopen};

/// A job.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    /// Version 7, also the `message_id` of its messages.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// Version of the payload's shape.
    pub version: i32,
    /// Where it stands.
    pub state: JobState,
    /// The fence: which of its messages is the current one. Never falls.
    pub seq: i32,
    /// How it came.
    pub origin: Origin,
    /// Attempts that were counted so far.
    pub attempt: i32,
    /// Attempts allowed; a replay raises it.
    pub max_attempts: i32,
    /// Deferrals so far.
    pub deferrals: i32,
    /// JSON.
    pub payload: String,
    /// What it is about.
    pub subject: Option<String>,
    /// Its dedup key, whether it holds it or not.
    pub dedup_key: Option<String>,
    /// The job whose commit published it.
    pub parent_id: Option<JobId>,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// Code of the newest error.
    pub error_code: Option<String>,
    /// The newest error, for operators: the whole chain.
    pub error: Option<String>,
    /// The newest error, for everybody.
    pub public_error: Option<String>,
    /// JSON: what its success refers to.
    pub result: Option<String>,
    /// When somebody called it off.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// When it was published.
    pub created_at: DateTime<Utc>,
    /// When its newest attempt started, as far as that was recorded.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended. Set exactly when the state is an end.
    pub finished_at: Option<DateTime<Utc>>,
}

impl ActiveModelBehavior for ActiveModel {}

/// How a job came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = JobOrigin))]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Through `enqueue`.
    #[sea_orm(string_value = "enqueue")]
    Enqueue,
    /// Straight over the broker: the row was made by the first claim.
    #[sea_orm(string_value = "direct")]
    Direct,
}

/// A job about to be written.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// Its kind.
    pub kind: &'static str,
    /// Version of the payload.
    pub version: u16,
    /// How it came.
    pub origin: Origin,
    /// Attempts allowed.
    pub max_attempts: u32,
    /// JSON.
    pub payload: String,
    /// What it is about.
    pub subject: Option<String>,
    /// Its dedup key.
    pub dedup_key: Option<String>,
    /// The job whose commit publishes it.
    pub parent_id: Option<JobId>,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

/// Writes new jobs as `pending` with seq 1. A job whose id is there already is left alone; the answer has the ids that were
/// written.
///
/// # Errors
/// Whatever the database answers.
pub async fn insert(
    tx: &DatabaseTransaction,
    jobs: &[NewJob],
    now: DateTime<Utc>,
) -> Result<Vec<JobId>, DbErr> {
    let statement = inserting(tx, jobs, Moment::At(now), IsEnded::No);
    tx.query_all_raw(statement).await?.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// How a new job is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IsEnded {
    No,
    Ahead,
}

fn inserting(tx: &DatabaseTransaction, jobs: &[NewJob], moment: Moment, is_ended: IsEnded) -> Statement {
    let rows = RowSet::new("r")
        .uuid("id", jobs.iter().map(|job| job.id.0))
        .string("kind", jobs.iter().map(|job| job.kind.to_owned()))
        .int("version", jobs.iter().map(|job| i32::from(job.version)))
        .string("origin", jobs.iter().map(|job| job.origin.to_value()))
        .int("max_attempts", jobs.iter().map(|job| saturating(job.max_attempts)))
        .string("payload", jobs.iter().map(|job| job.payload.clone()))
        .string("subject", jobs.iter().map(|job| job.subject.clone()))
        .string("dedup_key", jobs.iter().map(|job| job.dedup_key.clone()))
        .uuid("parent_id", jobs.iter().map(|job| job.parent_id.map(Uuid::from)))
        .string("traceparent", jobs.iter().map(|job| job.traceparent.clone()));
    let (state, attempt) = match is_ended {
        IsEnded::No => ("'pending'", "0"),
        IsEnded::Ahead => ("'succeeded'", "1"),
    };
    let statement = Sql::new(tx.get_database_backend())
        .text(
            "INSERT INTO jobs (id, kind, version, state, seq, origin, attempt, max_attempts, deferrals, payload, subject, \
             dedup_key, parent_id, traceparent, created_at, finished_at) SELECT id, kind, version, ",
        )
        .text(state)
        .text(", 1, origin, ")
        .text(attempt)
        .text(", max_attempts, 0, payload, subject, dedup_key, parent_id, traceparent, ")
        .moment(moment)
        .text(", ");
    let statement = match is_ended {
        IsEnded::No => statement.text("NULL").on_postgres("::timestamptz"),
        IsEnded::Ahead => statement.moment(moment),
    };
    statement
        .text(" FROM ")
        .rows(rows)
        .text(" WHERE true ON CONFLICT (id) DO NOTHING RETURNING id, created_at")
        .build()
}

fn ids(rows: Vec<QueryResult>) -> Result<Vec<JobId>, DbErr> {
    rows.into_iter().map(|row| row.try_get("", "id")).collect()
}

/// Postgres and SQLite count in signed integers.
fn saturating(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// What a delivery is compared with: the part of a job's row that the fence reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The job.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// The current message.
    pub seq: i32,
    /// Where it stands.
    pub state: JobState,
    /// How it came.
    pub origin: Origin,
    /// Attempts counted so far.
    pub attempt: i32,
    /// Attempts allowed.
    pub max_attempts: i32,
    /// Deferrals so far.
    pub deferrals: i32,
    /// Whether somebody called it off.
    pub cancel_requested: bool,
    /// Its dedup key.
    pub dedup_key: Option<String>,
    /// When it was published.
    pub created_at: DateTime<Utc>,
}

impl Fence {
    /// What [`insert`] has written for `job` just now.
    #[must_use]
    pub fn of_new(job: &NewJob, now: DateTime<Utc>) -> Self {
        Self {
            id: job.id,
            kind: job.kind.to_owned(),
            seq: 1,
            state: JobState::Pending,
            origin: job.origin,
            attempt: 0,
            max_attempts: saturating(job.max_attempts),
            deferrals: 0,
            cancel_requested: false,
            dedup_key: job.dedup_key.clone(),
            created_at: now,
        }
    }
}

const FENCE_COLUMNS: &str = "SELECT id, seq, state, origin, attempt, max_attempts, deferrals, cancel_requested_at, dedup_key, created_at, kind FROM jobs WHERE ";

/// Reads the fences of `ids` without locking: what is stale is dropped before any work is done.
///
/// # Errors
/// Whatever the database answers.
pub async fn fences(connection: &impl ConnectionTrait, ids: &[JobId]) -> Result<Vec<Fence>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text(FENCE_COLUMNS)
        .any_of("id", ids.iter().map(|id| id.0))
        .build();
    connection.query_all_raw(statement).await?.iter().map(fence).collect()
}

/// Locks the rows of `ids`, in the order of their ids (so that two workers never lock in opposite orders), until the
/// transaction ends.
///
/// # Errors
/// Whatever the database answers.
pub async fn lock(tx: &DatabaseTransaction, ids: &[JobId]) -> Result<Vec<Fence>, DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text(FENCE_COLUMNS)
        .any_of("id", ids.iter().map(|id| id.0))
        .text(" ORDER BY id")
        .on_postgres(" FOR UPDATE")
        .build();
    tx.query_all_raw(statement).await?.iter().map(fence).collect()
}

fn fence(row: &QueryResult) -> Result<Fence, DbErr> {
    Ok(Fence {
        id: row.try_get_by_index(0)?,
        seq: row.try_get_by_index(1)?,
        state: row.try_get_by_index(2)?,
        origin: row.try_get_by_index(3)?,
        attempt: row.try_get_by_index(4)?,
        max_attempts: row.try_get_by_index(5)?,
        deferrals: row.try_get_by_index(6)?,
        cancel_requested: row.try_get_by_index::<Option<DateTime<Utc>>>(7)?.is_some(),
        dedup_key: row.try_get_by_index(8)?,
        created_at: row.try_get_by_index(9)?,
        kind: row.try_get_by_index(10)?,
    })
}

/// An error as it is stored: for machines, for operators, for everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorText {
    /// Short, stable, for fingerprints and metrics: `no_facts`, `timed_out`.
    pub code: String,
    /// The whole chain. May name servers, paths and statements; for operators only.
    pub operator: String,
    /// Without server, path, statement or secret.
    pub public: String,
}

/// A transition of a job that the current transaction has locked.
#[derive(Clone, Debug)]
pub struct Transition {
    /// The job.
    pub id: JobId,
    /// The seq that the row must have, or nothing happens.
    pub seq: i32,
    /// The seq that it gets: the same, or higher when a new message is written beside it.
    pub next_seq: i32,
    /// The new state.
    pub state: JobState,
    /// Attempts counted from now on.
    pub attempt: i32,
    /// Deferrals from now on.
    pub deferrals: i32,
    /// When the attempt started; keeps what is stored if `None`.
    pub started_at: Option<DateTime<Utc>>,
    /// The newest error; a success clears it, `None` otherwise keeps it.
    pub error: Option<ErrorText>,
    /// What a success refers to, as JSON.
    pub result: Option<String>,
}

/// Moves unfinished jobs on. The answer is how many rows were moved: fewer than given means that somebody else was faster,
/// and the caller must roll back.
///
/// # Errors
/// Whatever the database answers.
pub async fn transition(
    tx: &DatabaseTransaction,
    transitions: &[Transition],
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    if transitions.is_empty() {
        return Ok(0);
    }
    let error = |pick: fn(&ErrorText) -> &String| {
        transitions
            .iter()
            .map(move |one| one.error.as_ref().map(|text| pick(text).clone()))
            .collect::<Vec<_>>()
    };
    let rows = RowSet::new("r")
        .uuid("id", transitions.iter().map(|one| one.id.0))
        .int("seq", transitions.iter().map(|one| one.seq))
        .int("next_seq", transitions.iter().map(|one| one.next_seq))
        .string("state", transitions.iter().map(|one| one.state.to_value()))
        .int("attempt", transitions.iter().map(|one| one.attempt))
        .int("deferrals", transitions.iter().map(|one| one.deferrals))
        .time("started_at", transitions.iter().map(|one| one.started_at))
        .time("finished_at", transitions.iter().map(|one| one.state.is_end().then_some(now)))
        .string("error_code", error(|text| &text.code))
        .string("error", error(|text| &text.operator))
        .string("public_error", error(|text| &text.public))
        .string("result", transitions.iter().map(|one| one.result.clone()));
    let statement = Sql::new(tx.get_database_backend())
        .text(
            "UPDATE jobs SET seq = r.next_seq, state = r.state, attempt = r.attempt, deferrals = r.deferrals, \
             started_at = COALESCE(r.started_at, jobs.started_at), finished_at = r.finished_at, \
             error_code = CASE WHEN r.state = 'succeeded' THEN NULL ELSE COALESCE(r.error_code, jobs.error_code) END, \
             error = CASE WHEN r.state = 'succeeded' THEN NULL ELSE COALESCE(r.error, jobs.error) END, \
             public_error = CASE WHEN r.state = 'succeeded' THEN NULL ELSE COALESCE(r.public_error, jobs.public_error) END, \
             result = r.result FROM ",
        )
        .rows(rows)
        .text(" WHERE jobs.id = r.id AND jobs.seq = r.seq AND (jobs.state IN ('pending', 'running')) IS TRUE")
        .build();
    Ok(tx.execute_raw(statement).await?.rows_affected())
}

/// Marks unfinished jobs as called off. Answers whether the job was there and unfinished; asking twice changes nothing.
///
/// # Errors
/// Whatever the database answers.
pub async fn request_cancel(tx: &DatabaseTransaction, id: JobId, now: DateTime<Utc>) -> Result<bool, DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("UPDATE jobs SET cancel_requested_at = COALESCE(cancel_requested_at, ")
        .bind(now)
        .text(") WHERE id = ")
        .bind(id)
        .text(" AND state IN ('pending', 'running')")
        .build();
    Ok(tx.execute_raw(statement).await?.rows_affected() == 1)
}

/// Which of `ids` somebody called off.
///
/// # Errors
/// Whatever the database answers.
pub async fn called_off(connection: &impl ConnectionTrait, ids: &[JobId]) -> Result<Vec<JobId>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("SELECT id FROM jobs WHERE ")
        .any_of("id", ids.iter().map(|id| id.0))
        .text(" AND cancel_requested_at IS NOT NULL")
        .build();
    self::ids(connection.query_all_raw(statement).await?)
}

/// Another life for a dead job.
#[derive(Clone, Debug)]
pub struct Revival {
    /// The job.
    pub id: JobId,
    /// Attempts it gets.
    pub attempts: u32,
    /// The dedup key that was taken for it. It may not be the one it had: its kind may have learnt another one since.
    pub dedup_key: Option<String>,
    /// What takes the place of its payload.
    pub edit: Option<Edit>,
}

/// A payload that takes the place of a job's old one, with what follows from it.
#[derive(Clone, Debug)]
pub struct Edit {
    /// JSON.
    pub payload: String,
    /// Version of its shape.
    pub version: u16,
    /// What the job is about now.
    pub subject: Option<String>,
}

/// Brings dead jobs back to life: `pending`, with the next seq and as many attempts more as each revival says. Answers the new
/// seqs; a job that is not dead is left alone and has none.
///
/// # Errors
/// Whatever the database answers.
pub async fn revive(tx: &DatabaseTransaction, revivals: &[Revival]) -> Result<BTreeMap<JobId, i32>, DbErr> {
    if revivals.is_empty() {
        return Ok(BTreeMap::new());
    }
    let edit = |one: &Revival| one.edit.clone();
    let rows = RowSet::new("r")
        .uuid("job_id", revivals.iter().map(|one| one.id.0))
        .int("more", revivals.iter().map(|one| saturating(one.attempts)))
        .string("new_payload", revivals.iter().map(|one| edit(one).map(|edit| edit.payload)))
        .int("new_version", revivals.iter().map(|one| edit(one).map(|edit| i32::from(edit.version))))
        .string("new_subject", revivals.iter().map(|one| edit(one).and_then(|edit| edit.subject)))
        .string("new_key", revivals.iter().map(|one| one.dedup_key.clone()));
    let statement = Sql::new(tx.get_database_backend())
        .text(
            "UPDATE jobs SET state = 'pending', seq = seq + 1, deferrals = 0, finished_at = NULL, cancel_requested_at = NULL, \
             max_attempts = attempt + r.more, \
             payload = COALESCE(r.new_payload, payload), version = COALESCE(r.new_version, version), \
             subject = CASE WHEN r.new_payload IS NULL THEN subject ELSE r.new_subject END, \
             dedup_key = r.new_key FROM ",
        )
        .rows(rows)
        .text(" WHERE id = r.job_id AND state = 'dead' RETURNING id, seq")
        .build();
    let rows = tx.query_all_raw(statement).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

/// Raises the seqs of jobs that the current transaction has made.
///
/// # Errors
/// Whatever the database answers.
pub async fn raise_seqs(tx: &DatabaseTransaction, seqs: &[(JobId, i32)]) -> Result<(), DbErr> {
    if seqs.is_empty() {
        return Ok(());
    }
    let rows = RowSet::new("r")
        .uuid("job_id", seqs.iter().map(|(id, _)| id.0))
        .int("new_seq", seqs.iter().map(|(_, seq)| *seq));
    let statement = Sql::new(tx.get_database_backend())
        .text("UPDATE jobs SET seq = r.new_seq FROM ")
        .rows(rows)
        .text(" WHERE id = r.job_id AND seq < r.new_seq")
        .build();
    tx.execute_raw(statement).await?;
    Ok(())
}

/// The job of that id.
///
/// # Errors
/// Whatever the database answers.
pub async fn find(connection: &impl ConnectionTrait, id: JobId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(connection).await
}

/// Which jobs to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only this kind.
    pub kind: Option<String>,
    /// Only these states; empty means all.
    pub states: Vec<JobState>,
    /// Only this subject.
    pub subject: Option<String>,
    /// Only jobs published by this one.
    pub parent: Option<JobId>,
    /// Only jobs published at this time or later. Of those that were published straight over the broker, and waited there for longer than
    /// [`CLOCKS_DIFFER`], their ids tell when.
    pub since: Option<DateTime<Utc>>,
    /// Only jobs older than this one: the last id of the page before.
    pub before: Option<JobId>,
}

/// By so much the clocks of publishers and of the database may differ, and so long a transaction that publishes may take.
pub const CLOCKS_DIFFER: TimeDelta = TimeDelta::hours(1);

/// No id that is made at `time` or later sorts before this one.
fn first_id(time: DateTime<Utc>) -> JobId {
    let millis = u64::try_from(time.timestamp_millis()).unwrap_or_default().min((1 << 48) - 1);
    JobId(Uuid::from_u128(u128::from(millis) << 80))
}

/// A page of jobs, newest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn list(
    connection: &impl ConnectionTrait,
    filter: &Filter,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    listed(filter, connection.get_database_backend()).limit(limit).all(connection).await
}

/// The states that an index has by itself, as its definition says it.
const INDEXED: [(&[JobState], &str); 2] = [
    (&[JobState::Pending, JobState::Running], "state IN ('pending', 'running')"),
    (&[JobState::Failed, JobState::Dead, JobState::Cancelled], "state IN ('failed', 'dead', 'cancelled')"),
];

pub(super) fn listed(filter: &Filter, backend: DbBackend) -> Select<Entity> {
    let mut select = Entity::find().order_by_desc(Column::Id);
    if let Some(kind) = &filter.kind {
        select = select.filter(Column::Kind.eq(kind));
    }
    if !filter.states.is_empty() {
        let states: Vec<String> =
            filter.states.iter().map(|state| format!("'{}'", state.to_value())).collect();
        select = select.filter(Expr::cust(format!("state IN ({})", states.join(", "))));
        let indexed = INDEXED.iter().find(|(all, _)| filter.states.iter().all(|state| all.contains(state)));
        // SQLite uses such an index only where its own words stand in the statement.
        if let (DbBackend::Sqlite, Some((_, words))) = (backend, indexed) {
            select = select.filter(Expr::cust(*words));
        }
    }
    if let Some(subject) = &filter.subject {
        select = select.filter(Column::Subject.eq(subject));
    }
    if let Some(parent) = filter.parent {
        select = select.filter(Column::ParentId.eq(parent));
    }
    if let Some(since) = filter.since {
        // The id tells the time too, by the publisher's clock: so much of the table need not be looked at.
        select = select
            .filter(Column::CreatedAt.gte(since))
            .filter(Column::Id.gte(first_id(since - CLOCKS_DIFFER)));
    }
    if let Some(before) = filter.before {
        select = select.filter(Column::Id.lt(before));
    }
    select
}

/// Jobs of each kind and stored state.
///
/// # Errors
/// Whatever the database answers.
pub async fn count_unfinished(
    connection: &impl ConnectionTrait,
) -> Result<Vec<(String, JobState, i64)>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("SELECT kind, state, COUNT(*) AS n FROM jobs WHERE state IN ('pending', 'running') GROUP BY kind, state ORDER BY kind, state")
        .build();
    let rows = connection.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| Ok((row.try_get("", "kind")?, row.try_get("", "state")?, row.try_get("", "n")?)))
        .collect()
}

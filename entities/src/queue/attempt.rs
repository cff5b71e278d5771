//! `attempts`: what happened to the tries at a job that did not simply succeed, and to all tries at a hand-over kind.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryOrder};

use super::job::ErrorText;
use crate::database::{RowSet, Sql};
use crate::ids::JobId;

/// One try. A deferral is no attempt: it has a row only where a hand-over kind had started.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempts")]
pub struct Model {
    /// The job.
    #[sea_orm(primary_key, auto_increment = false)]
    pub job_id: JobId,
    /// Numbered from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub attempt: i32,
    /// The seq under which it ran.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i32,
    /// Who ran it.
    pub worker: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The error's code.
    pub error_code: Option<String>,
    /// The error for operators.
    pub error: Option<String>,
    /// The error for everybody.
    pub public_error: Option<String>,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it ended. Empty exactly while it runs.
    pub ended_at: Option<DateTime<Utc>>,
}

impl ActiveModelBehavior for ActiveModel {}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = AttemptOutcome))]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not yet: a hand-over kind at work.
    #[sea_orm(string_value = "running")]
    Running,
    /// Its effects are committed.
    #[sea_orm(string_value = "succeeded")]
    Succeeded,
    /// A recorded domain failure.
    #[sea_orm(string_value = "failed")]
    Failed,
    /// An error: transient or permanent.
    #[sea_orm(string_value = "errored")]
    Errored,
    /// Longer than the kind's time limit.
    #[sea_orm(string_value = "timed_out")]
    TimedOut,
    /// The handler panicked.
    #[sea_orm(string_value = "panicked")]
    Panicked,
    /// The lease expired: the worker died or froze.
    #[sea_orm(string_value = "lost")]
    Lost,
    /// Somebody called the job off.
    #[sea_orm(string_value = "cancelled")]
    Cancelled,
    /// The job comes back later; not counted.
    #[sea_orm(string_value = "deferred")]
    Deferred,
    /// A drain gave the job back; not counted.
    #[sea_orm(string_value = "handed_back")]
    HandedBack,
}

/// An attempt about to be written, running or ended.
#[derive(Clone, Debug)]
pub struct Record {
    /// The job.
    pub job_id: JobId,
    /// Numbered from 1.
    pub attempt: i32,
    /// The seq under which it ran.
    pub seq: i32,
    /// Who ran it.
    pub worker: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub error: Option<ErrorText>,
    /// When it started.
    pub started_at: DateTime<Utc>,
}

/// Writes attempts; one that was written as running is given its end.
///
/// # Errors
/// Whatever the database answers.
pub async fn record(tx: &DatabaseTransaction, records: &[Record], now: DateTime<Utc>) -> Result<(), DbErr> {
    if records.is_empty() {
        return Ok(());
    }
    let error = |pick: fn(&ErrorText) -> &String| {
        records.iter().map(move |one| one.error.as_ref().map(|text| pick(text).clone())).collect::<Vec<_>>()
    };
    let rows = RowSet::new("r")
        .uuid("job_id", records.iter().map(|one| one.job_id.0))
        .int("attempt", records.iter().map(|one| one.attempt))
        .int("seq", records.iter().map(|one| one.seq))
        .string("worker", records.iter().map(|one| one.worker.clone()))
        .string("outcome", records.iter().map(|one| one.outcome.to_value()))
        .string("error_code", error(|text| &text.code))
        .string("error", error(|text| &text.operator))
        .string("public_error", error(|text| &text.public))
        .time("started_at", records.iter().map(|one| one.started_at))
        .time("ended_at", records.iter().map(|one| (one.outcome != Outcome::Running).then_some(now)));
    let statement = Sql::new(tx.get_database_backend())
        .text(
            "INSERT INTO attempts (job_id, attempt, seq, worker, outcome, error_code, error, public_error, started_at, ended_at) \
             SELECT job_id, attempt, seq, worker, outcome, error_code, error, public_error, started_at, ended_at FROM ",
        )
        .rows(rows)
        .text(
            " WHERE true ON CONFLICT (job_id, attempt, seq) DO UPDATE SET outcome = excluded.outcome, \
             error_code = excluded.error_code, error = excluded.error, public_error = excluded.public_error, \
             ended_at = excluded.ended_at",
        )
        .build();
    tx.execute_raw(statement).await?;
    Ok(())
}

/// Ends attempts that are still written as running although their job moved on: the worker is gone.
///
/// # Errors
/// Whatever the database answers.
pub async fn end_running(
    tx: &DatabaseTransaction,
    jobs: &[JobId],
    outcome: Outcome,
    error: &ErrorText,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("UPDATE attempts SET outcome = ")
        .bind(outcome.to_value())
        .text(", error_code = ")
        .bind(error.code.clone())
        .text(", error = ")
        .bind(error.operator.clone())
        .text(", public_error = ")
        .bind(error.public.clone())
        .text(", ended_at = ")
        .bind(now)
        .text(" WHERE outcome = 'running' AND ")
        .any_of("job_id", jobs.iter().map(|id| id.0))
        .build();
    tx.execute_raw(statement).await?;
    Ok(())
}

/// Those of `jobs` that lost at least `times` tries together with their worker.
///
/// # Errors
/// Whatever the database answers.
pub async fn often_lost(
    connection: &impl ConnectionTrait,
    jobs: &[JobId],
    times: u32,
) -> Result<HashSet<JobId>, DbErr> {
    if jobs.is_empty() {
        return Ok(HashSet::new());
    }
    let statement = Sql::new(connection.get_database_backend())
        .text("SELECT job_id FROM attempts WHERE outcome = 'lost' AND ")
        .any_of("job_id", jobs.iter().map(|id| id.0))
        .text(" GROUP BY job_id HAVING count(*) >= ")
        .bind(i64::from(times))
        .build();
    let rows = connection.query_all_raw(statement).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// The attempts of a job, oldest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn of_job(connection: &impl ConnectionTrait, job: JobId) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::JobId.eq(job))
        .order_by_asc(Column::Attempt)
        .order_by_asc(Column::Seq)
        .all(connection)
        .await
}

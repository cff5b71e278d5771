//! `model_calls`: every call to a model that an attempt at a job made, with what it used and cost.
//!
//! A row is written before its call and given its end after it, each in a statement of its own: what was paid for is known
//! whatever becomes of the attempt, and a call whose end nobody saw is known to have been made.

use chrono::{DateTime, Utc};
use sea_orm::QueryOrder;
use sea_orm::entity::prelude::*;

use crate::database::Sql;
use crate::ids::JobId;

/// One call.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "model_calls")]
pub struct Model {
    /// The job.
    #[sea_orm(primary_key, auto_increment = false)]
    pub job_id: JobId,
    /// The attempt at it, from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub attempt: i32,
    /// Which call of the attempt, from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i32,
    /// What for.
    pub purpose: Purpose,
    /// The model as it was asked for.
    pub model: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Tokens that were sent, the cached ones among them.
    pub prompt_tokens: i64,
    /// Tokens that were answered.
    pub completion_tokens: i64,
    /// Those of the sent tokens that the server had in its cache, where it says so.
    pub cached_tokens: Option<i64>,
    /// Whether the numbers are estimated from the length of the texts, because the server did not report them.
    pub estimated: bool,
    /// What it cost, in millionths of the currency unit of the prices. Empty where no price is configured.
    pub cost_micros: Option<i64>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took, in milliseconds. Empty exactly while it runs, and when its process died meanwhile.
    pub duration_ms: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ModelCallPurpose))]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To write a text.
    #[sea_orm(string_value = "write")]
    Write,
    /// To divide a topic.
    #[sea_orm(string_value = "plan")]
    Plan,
    /// To make one text of several.
    #[sea_orm(string_value = "combine")]
    Combine,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ModelCallOutcome))]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not yet, or nobody was there to see it.
    #[sea_orm(string_value = "running")]
    Running,
    /// The answer is whole.
    #[sea_orm(string_value = "answered")]
    Answered,
    /// The model refused, or its answer was withheld.
    #[sea_orm(string_value = "refused")]
    Refused,
    /// The answer broke off.
    #[sea_orm(string_value = "cut_off")]
    CutOff,
    /// There was no answer, or an error.
    #[sea_orm(string_value = "failed")]
    Failed,
    /// The job was called off or its worker stopped.
    #[sea_orm(string_value = "cancelled")]
    Cancelled,
}

/// A call that is about to be made.
#[derive(Clone, Debug)]
pub struct Begun<'a> {
    /// The job.
    pub job_id: JobId,
    /// The attempt at it.
    pub attempt: i32,
    /// What for.
    pub purpose: Purpose,
    /// The model.
    pub model: &'a str,
    /// Tokens that will be sent, by their length.
    pub prompt_tokens: i64,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How; not [`Outcome::Running`].
    pub outcome: Outcome,
    /// See [`Model::prompt_tokens`].
    pub prompt_tokens: i64,
    /// See [`Model::completion_tokens`].
    pub completion_tokens: i64,
    /// See [`Model::cached_tokens`].
    pub cached_tokens: Option<i64>,
    /// See [`Model::estimated`].
    pub estimated: bool,
    /// See [`Model::cost_micros`].
    pub cost_micros: Option<i64>,
    /// See [`Model::duration_ms`].
    pub duration_ms: i64,
}

/// Writes a call that is about to be made, and returns its number.
///
/// # Errors
/// Whatever the database answers.
pub async fn begin(
    connection: &impl ConnectionTrait,
    call: &Begun<'_>,
    now: DateTime<Utc>,
) -> Result<i32, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text(
            "INSERT INTO model_calls (job_id, attempt, number, purpose, model, outcome, prompt_tokens, completion_tokens, estimated, \
             started_at) SELECT ",
        )
        .bind(call.job_id)
        .text(", ")
        .bind(call.attempt)
        .text(", coalesce(max(number), 0) + 1, ")
        .bind(call.purpose.to_value())
        .text(", ")
        .bind(call.model)
        .text(", 'running', ")
        .bind(call.prompt_tokens)
        .either(", 0, true, ", ", 0, 1, ")
        .bind(now)
        .text(" FROM model_calls WHERE job_id = ")
        .bind(call.job_id)
        .text(" AND attempt = ")
        .bind(call.attempt)
        .text(" RETURNING number")
        .build();
    let row = connection.query_one_raw(statement).await?;
    row.ok_or(DbErr::RecordNotInserted)?.try_get_by_index(0)
}

/// Gives a call its end.
///
/// # Errors
/// Whatever the database answers.
pub async fn end(
    connection: &impl ConnectionTrait,
    job: JobId,
    attempt: i32,
    number: i32,
    ended: &Ended,
) -> Result<(), DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("UPDATE model_calls SET outcome = ")
        .bind(ended.outcome.to_value())
        .text(", prompt_tokens = ")
        .bind(ended.prompt_tokens)
        .text(", completion_tokens = ")
        .bind(ended.completion_tokens)
        .text(", cached_tokens = ")
        .bind(ended.cached_tokens)
        .text(", estimated = ")
        .bind(ended.estimated)
        .text(", cost_micros = ")
        .bind(ended.cost_micros)
        .text(", duration_ms = ")
        .bind(ended.duration_ms)
        .text(" WHERE job_id = ")
        .bind(job)
        .text(" AND attempt = ")
        .bind(attempt)
        .text(" AND number = ")
        .bind(number)
        .build();
    connection.execute_raw(statement).await.map(drop)
}

/// The tokens that the attempt used so far, sent and answered.
///
/// # Errors
/// Whatever the database answers.
pub async fn tokens_of(connection: &impl ConnectionTrait, job: JobId, attempt: i32) -> Result<i64, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("SELECT CAST(coalesce(sum(prompt_tokens + completion_tokens), 0) AS bigint) FROM model_calls WHERE job_id = ")
        .bind(job)
        .text(" AND attempt = ")
        .bind(attempt)
        .build();
    let row = connection.query_one_raw(statement).await?;
    row.map_or(Ok(0), |row| row.try_get_by_index(0))
}

/// The calls that a job made, in their order.
///
/// # Errors
/// Whatever the database answers.
pub async fn of_job(connection: &impl ConnectionTrait, job: JobId) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(COLUMN.job_id.eq(job))
        .order_by_asc(COLUMN.attempt)
        .order_by_asc(COLUMN.number)
        .all(connection)
        .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::clock::machine_now;
    use crate::testing::TestDatabase;

    fn begun(job_id: JobId, attempt: i32) -> Begun<'static> {
        Begun { job_id, attempt, purpose: Purpose::Write, model: "test", prompt_tokens: 7 }
    }

    fn ended(outcome: Outcome) -> Ended {
        Ended {
            outcome,
            prompt_tokens: 100,
            completion_tokens: 20,
            cached_tokens: Some(60),
            estimated: false,
            cost_micros: Some(1_234),
            duration_ms: 15,
        }
    }

    #[tokio::test]
    async fn calls_are_numbered_within_their_attempt_and_keep_what_they_cost() {
        for test in TestDatabase::each().await {
            let database = test.database();
            let (job, other, now) = (JobId::new(), JobId::new(), machine_now());
            for (call, wanted) in
                [(begun(job, 1), 1), (begun(job, 1), 2), (begun(job, 2), 1), (begun(other, 1), 1)]
            {
                assert_eq!(begin(database.write(), &call, now).await.unwrap(), wanted);
            }
            end(database.write(), job, 1, 1, &ended(Outcome::Answered)).await.unwrap();
            assert_eq!(tokens_of(database.read(), job, 1).await.unwrap(), 127, "the second by its length");
            assert_eq!(tokens_of(database.read(), job, 2).await.unwrap(), 7);
            assert_eq!(tokens_of(database.read(), job, 3).await.unwrap(), 0);
            let calls = of_job(database.read(), job).await.unwrap();
            let shape: Vec<_> =
                calls.iter().map(|call| (call.attempt, call.number, call.outcome, call.estimated)).collect();
            assert_eq!(
                shape,
                [
                    (1, 1, Outcome::Answered, false),
                    (1, 2, Outcome::Running, true),
                    (2, 1, Outcome::Running, true)
                ]
            );
            assert_eq!((calls[0].cost_micros, calls[0].cached_tokens), (Some(1_234), Some(60)));
        }
    }

    #[tokio::test]
    async fn a_call_that_runs_has_no_length_and_one_that_ended_has() {
        for test in TestDatabase::each().await {
            let database = test.database();
            let job = JobId::new();
            begin(database.write(), &begun(job, 1), machine_now()).await.unwrap();
            assert!(end(database.write(), job, 1, 1, &ended(Outcome::Running)).await.is_err());
            let negative = Ended { completion_tokens: -1, ..ended(Outcome::Answered) };
            assert!(end(database.write(), job, 1, 1, &negative).await.is_err());
            end(database.write(), job, 1, 1, &ended(Outcome::CutOff)).await.unwrap();
        }
    }
}

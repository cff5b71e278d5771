//! Every attempt to write a synthesis, with its error or its record: a later one overwrites nothing.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel as _, QueryOrder};

use super::synthesis::Failure;
use crate::database::Sql;
use crate::ids::{JobId, SynthesisId};

/// One attempt. A job that is tried again goes on with the attempt it began.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "write_synthesis_attempts")]
pub struct Model {
    /// The synthesis.
    #[sea_orm(primary_key, auto_increment = false)]
    pub synthesis_id: SynthesisId,
    /// From 1, without gaps.
    #[sea_orm(primary_key, auto_increment = false)]
    pub attempt: i32,
    /// The job that makes it.
    pub job_id: JobId,
    /// How it stands.
    pub state: State,
    /// Why it failed, for programs.
    pub error_code: Option<String>,
    /// The same for operators.
    pub error_message: Option<String>,
    /// The same for everybody.
    pub error_public: Option<String>,
    /// What it looked at in the graph, as JSON, where it came to looking.
    pub exploration: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

impl ActiveModelBehavior for ActiveModel {}

/// How an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum State {
    /// It goes on.
    #[sea_orm(string_value = "running")]
    Running,
    /// It wrote a version.
    #[sea_orm(string_value = "completed")]
    Completed,
    /// It failed.
    #[sea_orm(string_value = "error")]
    Error,
}

/// Writes a running attempt.
///
/// # Errors
/// Whatever the database answers, a number that is taken included.
pub async fn begin(
    connection: &impl ConnectionTrait,
    synthesis_id: SynthesisId,
    attempt: i32,
    job_id: JobId,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let row = Model {
        synthesis_id,
        attempt,
        job_id,
        state: State::Running,
        error_code: None,
        error_message: None,
        error_public: None,
        exploration: None,
        started_at: now,
        ended_at: None,
    };
    Entity::insert(row.into_active_model()).exec_without_returning(connection).await.map(drop)
}

/// Ends the job's running attempt, well or with `failure`. Nothing happens if it has none.
///
/// # Errors
/// Whatever the database answers.
pub async fn end(
    connection: &impl ConnectionTrait,
    synthesis: SynthesisId,
    job: JobId,
    failure: Option<&Failure>,
    exploration: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let state = if failure.is_some() { State::Error } else { State::Completed };
    let statement = Sql::new(connection.get_database_backend())
        .text("UPDATE write_synthesis_attempts SET state = ")
        .bind(state.to_value())
        .text(", error_code = ")
        .bind(failure.map(|failure| failure.code.as_str()))
        .text(", error_message = ")
        .bind(failure.map(|failure| failure.operator.as_str()))
        .text(", error_public = ")
        .bind(failure.map(|failure| failure.public.as_str()))
        .text(", exploration = ")
        .bind(exploration)
        .text(", ended_at = ")
        .bind(now)
        .text(" WHERE synthesis_id = ")
        .bind(synthesis)
        .text(" AND job_id = ")
        .bind(job)
        .text(" AND state = 'running'")
        .build();
    connection.execute_raw(statement).await.map(drop)
}

/// All attempts at the synthesis, oldest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn all_of(connection: &impl ConnectionTrait, synthesis: SynthesisId) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(COLUMN.synthesis_id.eq(synthesis))
        .order_by_asc(COLUMN.attempt)
        .all(connection)
        .await
}

/// The newest attempt that `job` made, whatever the synthesis.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_job(connection: &impl ConnectionTrait, job: JobId) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(COLUMN.job_id.eq(job)).order_by_desc(COLUMN.started_at).one(connection).await
}

//! `replay_letters`: the frozen set of a replay run, and what became of each letter in it.

use sea_orm::entity::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryOrder, QuerySelect};

use super::state::JobState;
use crate::database::{RowSet, Sql};
use crate::ids::{DeadLetterId, JobId, ReplayRunId};

/// A letter of a run.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "replay_letters")]
pub struct Model {
    /// The run.
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: ReplayRunId,
    /// The letter.
    #[sea_orm(primary_key, auto_increment = false)]
    pub letter_id: DeadLetterId,
    /// What became of it.
    pub state: RunLetterState,
    /// The step in which it went out.
    pub step: Option<i32>,
    /// The job that got another life.
    pub job_id: Option<JobId>,
    /// Why it did not go out, for machines.
    pub code: Option<String>,
    /// Why it did not go out, for people.
    pub note: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}

/// What became of a letter of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum RunLetterState {
    /// Its turn has not come.
    #[sea_orm(string_value = "waiting")]
    Waiting,
    /// Its job got another life.
    #[sea_orm(string_value = "replayed")]
    Replayed,
    /// It cannot be replayed as it is; the letter is still open.
    #[sea_orm(string_value = "refused")]
    Refused,
    /// Somebody else dealt with it meanwhile.
    #[sea_orm(string_value = "skipped")]
    Skipped,
}

/// Freezes the set of a run: those of `letters` that are open and in no other running run. Answers how many.
///
/// # Errors
/// Whatever the database answers.
pub async fn freeze(
    tx: &DatabaseTransaction,
    run: ReplayRunId,
    letters: &[DeadLetterId],
) -> Result<u64, DbErr> {
    /// Ids in one statement: on SQLite they are one JSON text.
    const PART: usize = 20_000;
    let mut frozen = 0;
    for part in letters.chunks(PART) {
        let statement = Sql::new(tx.get_database_backend())
            .text("INSERT INTO replay_letters (run_id, letter_id, state) SELECT ")
            .bind(run)
            .on_postgres("::uuid")
            .text(", id, 'waiting' FROM dead_letters WHERE state = 'open' AND ")
            .any_of("id", part.iter().map(|id| id.0))
            .text(
                " AND NOT EXISTS (SELECT 1 FROM replay_letters AS other JOIN replay_runs ON replay_runs.id = other.run_id \
                 WHERE other.letter_id = dead_letters.id AND other.state = 'waiting' AND replay_runs.state = 'running')",
            )
            .build();
        frozen += tx.execute_raw(statement).await?.rows_affected();
    }
    Ok(frozen)
}

/// The running runs in which one of `letters` waits.
///
/// # Errors
/// Whatever the database answers.
pub async fn running_runs_of(
    connection: &impl ConnectionTrait,
    letters: &[DeadLetterId],
) -> Result<Vec<ReplayRunId>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text(
            "SELECT DISTINCT run_id FROM replay_letters JOIN replay_runs ON replay_runs.id = run_id \
             WHERE replay_runs.state = 'running' AND replay_letters.state = 'waiting' AND ",
        )
        .any_of("letter_id", letters.iter().map(|id| id.0))
        .text(" ORDER BY run_id")
        .build();
    connection.query_all_raw(statement).await?.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Before a stopped run goes on: the letters that wait in another running run meanwhile are left to that one.
///
/// # Errors
/// Whatever the database answers.
pub async fn leave_to_others(tx: &DatabaseTransaction, run: ReplayRunId) -> Result<u64, DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("UPDATE replay_letters SET state = 'skipped', code = 'in_another_run', note = 'another run has it' WHERE run_id = ")
        .bind(run)
        .text(
            " AND state = 'waiting' AND letter_id IN (SELECT other.letter_id FROM replay_letters AS other \
             JOIN replay_runs ON replay_runs.id = other.run_id WHERE other.state = 'waiting' AND replay_runs.state = 'running' \
             AND other.run_id <> ",
        )
        .bind(run)
        .text(")")
        .build();
    Ok(tx.execute_raw(statement).await?.rows_affected())
}

/// The next letters of a run, oldest first, with the length of each body: up to `limit`.
///
/// # Errors
/// Whatever the database answers.
pub async fn next(
    connection: &impl ConnectionTrait,
    run: ReplayRunId,
    limit: u32,
) -> Result<Vec<(DeadLetterId, u64)>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text(
            "SELECT letter_id, CAST(COALESCE(length(dead_letters.body), 0) AS bigint) FROM replay_letters \
             LEFT JOIN dead_letters ON dead_letters.id = letter_id WHERE run_id = ",
        )
        .bind(run)
        .text(" AND replay_letters.state = 'waiting' ORDER BY letter_id LIMIT ")
        .bind(i64::from(limit))
        .build();
    connection
        .query_all_raw(statement)
        .await?
        .iter()
        .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index::<i64>(1)?.unsigned_abs())))
        .collect()
}

/// How many letters of a run wait for their turn; counts no further than `limit`.
///
/// # Errors
/// Whatever the database answers.
pub async fn waiting(connection: &impl ConnectionTrait, run: ReplayRunId, limit: i64) -> Result<i64, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("SELECT COUNT(*) FROM (SELECT 1 FROM replay_letters WHERE run_id = ")
        .bind(run)
        .text(" AND state = 'waiting' LIMIT ")
        .bind(limit)
        .text(") AS counted")
        .build();
    let row = connection.query_one_raw(statement).await?;
    row.map_or(Ok(0), |row| row.try_get_by_index(0))
}

/// What became of a letter, about to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its job got another life.
    Replayed(JobId),
    /// It cannot be replayed as it is.
    Refused {
        /// For machines.
        code: &'static str,
        /// For people.
        note: String,
    },
    /// Somebody else dealt with it.
    Skipped {
        /// For machines.
        code: &'static str,
        /// For people.
        note: String,
    },
}

impl Fate {
    fn state(&self) -> RunLetterState {
        match self {
            Self::Replayed(_) => RunLetterState::Replayed,
            Self::Refused { .. } => RunLetterState::Refused,
            Self::Skipped { .. } => RunLetterState::Skipped,
        }
    }

    fn words(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Replayed(_) => None,
            Self::Refused { code, note } | Self::Skipped { code, note } => Some((code, note)),
        }
    }

    fn job(&self) -> Option<JobId> {
        match self {
            Self::Replayed(job) => Some(*job),
            Self::Refused { .. } | Self::Skipped { .. } => None,
        }
    }
}

/// Notes what became of letters in `step`. Answers how many were still waiting; fewer than given means that somebody else was
/// faster, and the caller must roll back.
///
/// # Errors
/// Whatever the database answers.
pub async fn settle(
    tx: &DatabaseTransaction,
    run: ReplayRunId,
    step: i32,
    fates: &[(DeadLetterId, Fate)],
) -> Result<u64, DbErr> {
    if fates.is_empty() {
        return Ok(0);
    }
    let rows = RowSet::new("r")
        .uuid("letter", fates.iter().map(|(letter, _)| letter.0))
        .string("new_state", fates.iter().map(|(_, fate)| fate.state().to_value()))
        .int("new_step", fates.iter().map(|(_, fate)| fate.job().map(|_| step)))
        .uuid("new_job", fates.iter().map(|(_, fate)| fate.job().map(Uuid::from)))
        .string("new_code", fates.iter().map(|(_, fate)| fate.words().map(|words| words.0.to_owned())))
        .string("new_note", fates.iter().map(|(_, fate)| fate.words().map(|words| words.1.to_owned())));
    let statement = Sql::new(tx.get_database_backend())
        .text(
            "UPDATE replay_letters SET state = r.new_state, step = r.new_step, job_id = r.new_job, code = r.new_code, \
             note = r.new_note FROM ",
        )
        .rows(rows)
        .text(" WHERE run_id = ")
        .bind(run)
        .text(" AND letter_id = r.letter AND state = 'waiting'")
        .build();
    Ok(tx.execute_raw(statement).await?.rows_affected())
}

/// Letters of a run in each state.
///
/// # Errors
/// Whatever the database answers.
pub async fn count(
    connection: &impl ConnectionTrait,
    run: ReplayRunId,
) -> Result<Vec<(RunLetterState, i64)>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("SELECT state, COUNT(*) FROM replay_letters WHERE run_id = ")
        .bind(run)
        .text(" GROUP BY state ORDER BY state")
        .build();
    let rows = connection.query_all_raw(statement).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

/// What became of the jobs that went out in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// The step, from 0.
    pub step: i32,
    /// Jobs that went out in it.
    pub replayed: i64,
    /// Those that have not ended.
    pub unfinished: i64,
    /// Those that succeeded.
    pub succeeded: i64,
    /// Those that ended as dead or failed.
    pub failed_again: i64,
    /// Those that were called off.
    pub cancelled: i64,
    /// Those whose row is gone: they ended long ago.
    pub removed: i64,
}

/// What became of the jobs of a run, step by step; with `only`, of that step.
///
/// # Errors
/// Whatever the database answers.
pub async fn steps(
    connection: &impl ConnectionTrait,
    run: ReplayRunId,
    only: Option<i32>,
) -> Result<Vec<Step>, DbErr> {
    let mut statement = Sql::new(connection.get_database_backend())
        .text(
            "SELECT step, jobs.state, COUNT(*) FROM replay_letters LEFT JOIN jobs ON jobs.id = replay_letters.job_id \
             WHERE replay_letters.state = 'replayed' AND run_id = ",
        )
        .bind(run);
    if let Some(step) = only {
        statement = statement.text(" AND step = ").bind(step);
    }
    let statement = statement.text(" GROUP BY step, jobs.state ORDER BY step").build();
    let mut steps: Vec<Step> = Vec::new();
    for row in connection.query_all_raw(statement).await? {
        let (number, state): (i32, Option<JobState>) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let jobs: i64 = row.try_get_by_index(2)?;
        if steps.last().is_none_or(|last| last.step != number) {
            steps.push(Step { step: number, ..Step::default() });
        }
        let Some(step) = steps.last_mut() else { continue };
        step.replayed += jobs;
        *match state {
            Some(JobState::Pending | JobState::Running) => &mut step.unfinished,
            Some(JobState::Succeeded) => &mut step.succeeded,
            Some(JobState::Dead | JobState::Failed) => &mut step.failed_again,
            Some(JobState::Cancelled) => &mut step.cancelled,
            None => &mut step.removed,
        } += jobs;
    }
    Ok(steps)
}

/// The error of one job of the step that failed again: what a person wants to see first.
///
/// # Errors
/// Whatever the database answers.
pub async fn a_failure(
    connection: &impl ConnectionTrait,
    run: ReplayRunId,
    step: i32,
) -> Result<Option<(JobId, String)>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text(
            "SELECT jobs.id, COALESCE(jobs.error, jobs.error_code, jobs.state) FROM replay_letters \
             JOIN jobs ON jobs.id = replay_letters.job_id WHERE replay_letters.state = 'replayed' AND run_id = ",
        )
        .bind(run)
        .text(" AND step = ")
        .bind(step)
        .text(" AND jobs.state IN ('dead', 'failed') ORDER BY jobs.id LIMIT 1")
        .build();
    let row = connection.query_one_raw(statement).await?;
    row.map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).transpose()
}

/// Letters of a run that did not go out, oldest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn left_behind(
    connection: &impl ConnectionTrait,
    run: ReplayRunId,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::RunId.eq(run))
        .filter(Column::State.is_in([RunLetterState::Refused, RunLetterState::Skipped]))
        .order_by_asc(Column::LetterId)
        .limit(limit)
        .all(connection)
        .await
}

//! `replay_runs`: many dead letters on their way back, one row for each time that an operator asked for it.
//!
//! A run is `running` until every letter of its frozen set ([`replay_letter`](super::replay_letter)) was dealt with (`finished`)
//! or it is stopped. A stopped run can go on.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbBackend, QueryOrder, QuerySelect};

use crate::database::Sql;
use crate::ids::{JobId, ReplayRunId};

/// A run.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "replay_runs")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ReplayRunId,
    /// The job that works on it at the moment, or did so last.
    pub job_id: JobId,
    /// Where it stands.
    pub state: RunState,
    /// JSON: what was asked for.
    pub selection: String,
    /// Equal for equal selections with equal patches.
    pub selection_key: String,
    /// JSON Patch that is applied to each payload.
    pub patch: Option<String>,
    /// Percentage of a step that may fail again.
    pub tolerance: i32,
    /// Letters in its frozen set.
    pub total: i32,
    /// The current step, from 0. Never falls.
    pub step: i32,
    /// How large the current step is: 10 to the power of it, up to a limit. Starts again from 0 when a stopped run goes on.
    pub rung: i32,
    /// When the current step changed last: when it began, or a part of it went out.
    pub step_at: DateTime<Utc>,
    /// Why it was stopped, for machines.
    pub stop_code: Option<String>,
    /// Why it was stopped, for people.
    pub stop_cause: Option<String>,
    /// Why it was asked for, in the operator's words.
    pub reason: Option<String>,
    /// Who asked for it.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When it finished or was stopped.
    pub ended_at: Option<DateTime<Utc>>,
}

impl ActiveModelBehavior for ActiveModel {}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ReplayRunState))]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Letters go out, or it waits for those that did.
    #[sea_orm(string_value = "running")]
    Running,
    /// The first ones failed again, an operator stopped it, or its job was given up. The other letters are as they were.
    #[sea_orm(string_value = "stopped")]
    Stopped,
    /// Every letter was dealt with.
    #[sea_orm(string_value = "finished")]
    Finished,
}

impl std::fmt::Display for RunState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.to_value())
    }
}

/// What makes two requests the same one: what was selected, and the patch.
#[must_use]
pub fn selection_key(selection: &str, patch: Option<&str>) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(selection.as_bytes());
    hasher.update(&[0]);
    hasher.update(patch.unwrap_or_default().as_bytes());
    hasher.finalize().to_hex().to_string()
}

/// A run about to be written.
#[derive(Clone, Debug)]
pub struct NewRun<'a> {
    /// Its id.
    pub id: ReplayRunId,
    /// The job that begins it.
    pub job_id: JobId,
    /// JSON: what was asked for.
    pub selection: &'a str,
    /// Equal for equal selections with equal patches.
    pub selection_key: &'a str,
    /// JSON Patch that is applied to each payload.
    pub patch: Option<&'a str>,
    /// Percentage of a step that may fail again.
    pub tolerance: u8,
    /// Letters in its frozen set.
    pub total: i32,
    /// Why it is asked for.
    pub reason: Option<&'a str>,
    /// Who asks for it.
    pub created_by: &'a str,
}

/// Lets one transaction at a time start or resume runs, so that two operators see each other's. Everybody else goes on.
///
/// # Errors
/// Whatever the database answers.
pub async fn lock_starts(tx: &DatabaseTransaction) -> Result<(), DbErr> {
    // SQLite has one writer anyway. On Postgres this mode conflicts with itself and with writers of this table, which are few.
    if tx.get_database_backend() == DbBackend::Postgres {
        tx.execute_unprepared("LOCK TABLE replay_runs IN SHARE ROW EXCLUSIVE MODE").await?;
    }
    Ok(())
}

/// Writes a new run.
///
/// # Errors
/// Whatever the database answers.
pub async fn insert(tx: &DatabaseTransaction, run: NewRun<'_>, now: DateTime<Utc>) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(run.id),
        job_id: Set(run.job_id),
        state: Set(RunState::Running),
        selection: Set(run.selection.to_owned()),
        selection_key: Set(run.selection_key.to_owned()),
        patch: Set(run.patch.map(str::to_owned)),
        tolerance: Set(i32::from(run.tolerance)),
        total: Set(run.total),
        step: Set(0),
        rung: Set(0),
        step_at: Set(now),
        stop_code: Set(None),
        stop_cause: Set(None),
        reason: Set(run.reason.map(str::to_owned)),
        created_by: Set(run.created_by.to_owned()),
        created_at: Set(now),
        ended_at: Set(None),
    };
    Entity::insert(row).exec_without_returning(tx).await?;
    Ok(())
}

/// The run of that id.
///
/// # Errors
/// Whatever the database answers.
pub async fn find(connection: &impl ConnectionTrait, id: ReplayRunId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(connection).await
}

/// Locks a run until the transaction ends.
///
/// # Errors
/// Whatever the database answers.
pub async fn lock(tx: &DatabaseTransaction, id: ReplayRunId) -> Result<Option<Model>, DbErr> {
    let mut select = Entity::find_by_id(id);
    if tx.get_database_backend() == DbBackend::Postgres {
        select = select.lock_exclusive();
    }
    select.one(tx).await
}

/// The running run with that selection.
///
/// # Errors
/// Whatever the database answers.
pub async fn running_with(
    connection: &impl ConnectionTrait,
    selection_key: &str,
) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .filter(Column::SelectionKey.eq(selection_key))
        .filter(Column::State.eq(RunState::Running))
        .one(connection)
        .await
}

/// A page of runs, newest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn list(
    connection: &impl ConnectionTrait,
    state: Option<RunState>,
    before: Option<ReplayRunId>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let mut select = Entity::find().order_by_desc(Column::Id).limit(limit);
    if let Some(state) = state {
        select = select.filter(Column::State.eq(state));
    }
    if let Some(before) = before {
        select = select.filter(Column::Id.lt(before));
    }
    select.all(connection).await
}

/// How a run moves on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move<'a> {
    /// Goes on with `step`, of size 10 to the power of `rung`.
    Step {
        /// The step.
        step: i32,
        /// Its size.
        rung: i32,
        /// The job that goes on with it.
        job: JobId,
    },
    /// Is stopped.
    Stop {
        /// Why, for machines.
        code: &'a str,
        /// Why, for people.
        cause: &'a str,
    },
    /// Every letter was dealt with.
    Finish,
    /// A stopped run goes on, with one letter first.
    Resume {
        /// The job that goes on with it.
        job: JobId,
    },
}

/// Moves a run that the current transaction has locked.
///
/// # Errors
/// Whatever the database answers.
pub async fn change(
    tx: &DatabaseTransaction,
    run: &Model,
    change: Move<'_>,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let statement = Sql::new(tx.get_database_backend()).text("UPDATE replay_runs SET ");
    let statement = match change {
        Move::Step { step, rung, job } => statement
            .text("step = ")
            .bind(step)
            .text(", rung = ")
            .bind(rung)
            .text(", job_id = ")
            .bind(job)
            .text(", step_at = ")
            .bind(now),
        Move::Stop { code, cause } => statement
            .text("state = 'stopped', stop_code = ")
            .bind(code)
            .text(", stop_cause = ")
            .bind(crate::database::without_nul(cause.to_owned()))
            .text(", ended_at = ")
            .bind(now),
        Move::Finish => statement.text("state = 'finished', ended_at = ").bind(now),
        Move::Resume { job } => statement
            .text(
                "state = 'running', stop_code = NULL, stop_cause = NULL, ended_at = NULL, rung = 0, step = step + 1, job_id = ",
            )
            .bind(job)
            .text(", step_at = ")
            .bind(now),
    };
    let statement = statement.text(" WHERE id = ").bind(run.id).build();
    if tx.execute_raw(statement).await?.rows_affected() != 1 {
        return Err(DbErr::RecordNotUpdated);
    }
    Ok(())
}

/// Removes up to `limit` runs that finished before `before`, with what is known about their letters. A stopped run stays as long as
/// one of the letters that it has not dealt with is open: somebody may still let it go on.
///
/// # Errors
/// Whatever the database answers.
pub async fn remove_old(tx: &DatabaseTransaction, before: DateTime<Utc>, limit: u32) -> Result<u64, DbErr> {
    let backend = tx.get_database_backend();
    let old = Sql::new(backend)
        .text("SELECT id FROM replay_runs WHERE ended_at < ")
        .bind(before)
        .text(
            " AND NOT EXISTS (SELECT 1 FROM replay_letters JOIN dead_letters ON dead_letters.id = replay_letters.letter_id \
             WHERE replay_letters.run_id = replay_runs.id AND replay_letters.state = 'waiting' AND dead_letters.state = 'open') \
             ORDER BY id LIMIT ",
        )
        .bind(i64::from(limit))
        .on_postgres(" FOR UPDATE")
        .build();
    let rows = tx.query_all_raw(old).await?;
    let runs: Vec<ReplayRunId> = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<_, _>>()?;
    for (table, column) in [("replay_letters", "run_id"), ("replay_runs", "id")] {
        let statement = Sql::new(backend)
            .text(&format!("DELETE FROM {table} WHERE "))
            .any_of(column, runs.iter().map(|run| run.0))
            .build();
        tx.execute_raw(statement).await?;
    }
    Ok(runs.len() as u64)
}

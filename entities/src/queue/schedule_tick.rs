//! `schedule_ticks`: what became of each tick of a schedule, and which job it made.
//!
//! The key is the schedule and the planned time, so that a tick is dealt with once, whoever does it and whatever the clock says
//! afterwards.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseTransaction, FromQueryResult, QueryOrder, QuerySelect,
};

use super::schedule::{self, ScheduleName};
use crate::database::{Sql, without_nul};
use crate::ids::{JobId, ScheduleId};

/// A row stands for so many ticks that were passed over, or more: they are not counted further.
pub const MOST_COUNTED: u32 = 10_000;

/// A tick that was dealt with.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "schedule_ticks")]
pub struct Model {
    /// The schedule.
    #[sea_orm(primary_key, auto_increment = false)]
    pub schedule_id: ScheduleId,
    /// When it was planned; of one fired by hand, when that was done.
    #[sea_orm(primary_key, auto_increment = false)]
    pub planned_at: DateTime<Utc>,
    /// Name of the schedule.
    pub schedule: ScheduleName,
    /// What fired it.
    pub fired_by: FiredBy,
    /// What became of it.
    pub outcome: TickOutcome,
    /// The job that it made.
    pub job_id: Option<JobId>,
    /// The job that was in its way.
    pub holder_id: Option<JobId>,
    /// It stands for all ticks that were passed over with it: the oldest of them.
    pub passed_from: Option<DateTime<Utc>>,
    /// How many: up to [`MOST_COUNTED`], which stands for that many or more.
    pub passed_over: Option<i32>,
    /// For people: why it was not fired.
    pub note: Option<String>,
    /// When it was dealt with.
    pub recorded_at: DateTime<Utc>,
}

impl ActiveModelBehavior for ActiveModel {}

/// What fires a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum FiredBy {
    /// The clock.
    #[sea_orm(string_value = "tick")]
    Tick,
    /// An operator.
    #[sea_orm(string_value = "hand")]
    Hand,
}

/// What became of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum TickOutcome {
    /// It made a job.
    #[sea_orm(string_value = "fired")]
    Fired,
    /// The job that the schedule fired before had not ended.
    #[sea_orm(string_value = "overlap")]
    Overlap,
    /// Another job has the dedup key that its job would have had.
    #[sea_orm(string_value = "duplicate")]
    Duplicate,
    /// Nobody was there to fire it in time, and catching up left it out.
    #[sea_orm(string_value = "missed")]
    Missed,
    /// The schedule was changed, disabled or removed when it was due and not fired yet.
    #[sea_orm(string_value = "changed")]
    Changed,
    /// No program that was there knew the kind.
    #[sea_orm(string_value = "unknown_kind")]
    UnknownKind,
    /// The payload does not fit its kind any more.
    #[sea_orm(string_value = "invalid_payload")]
    InvalidPayload,
}

impl std::fmt::Display for TickOutcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.to_value())
    }
}

/// What becomes of a tick, about to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It made this job.
    Fired(JobId),
    /// This job had not ended.
    Overlap(JobId),
    /// This job has the dedup key.
    Duplicate(JobId),
    /// It was missed, with all since `from`: so many.
    Missed {
        /// The oldest.
        from: DateTime<Utc>,
        /// How many, up to [`MOST_COUNTED`].
        count: u32,
    },
    /// It was due when the schedule was changed, with all since `from`.
    Changed {
        /// The oldest.
        from: DateTime<Utc>,
        /// How many, up to [`MOST_COUNTED`].
        count: u32,
    },
    /// The kind is not known: which there are.
    UnknownKind(String),
    /// The payload does not fit: why.
    InvalidPayload(String),
}

impl Fate {
    /// Its code.
    #[must_use]
    pub fn outcome(&self) -> TickOutcome {
        match self {
            Self::Fired(_) => TickOutcome::Fired,
            Self::Overlap(_) => TickOutcome::Overlap,
            Self::Duplicate(_) => TickOutcome::Duplicate,
            Self::Missed { .. } => TickOutcome::Missed,
            Self::Changed { .. } => TickOutcome::Changed,
            Self::UnknownKind(_) => TickOutcome::UnknownKind,
            Self::InvalidPayload(_) => TickOutcome::InvalidPayload,
        }
    }

    /// The job that it made.
    #[must_use]
    pub fn job(&self) -> Option<JobId> {
        if let Self::Fired(job) = self { Some(*job) } else { None }
    }

    fn holder(&self) -> Option<JobId> {
        if let Self::Overlap(job) | Self::Duplicate(job) = self { Some(*job) } else { None }
    }

    fn passed(&self) -> Option<(DateTime<Utc>, u32)> {
        if let Self::Missed { from, count } | Self::Changed { from, count } = self {
            Some((*from, *count))
        } else {
            None
        }
    }

    fn note(&self) -> Option<String> {
        if let Self::UnknownKind(note) | Self::InvalidPayload(note) = self {
            Some(without_nul(note.clone()))
        } else {
            None
        }
    }
}

/// Writes what becomes of a tick, unless that was written before. Answers whether it was.
///
/// # Errors
/// Whatever the database answers.
pub async fn insert(
    tx: &DatabaseTransaction,
    schedule: &schedule::Model,
    planned_at: DateTime<Utc>,
    fired_by: FiredBy,
    fate: &Fate,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let passed = fate.passed();
    let row = ActiveModel {
        schedule_id: Set(schedule.id),
        planned_at: Set(planned_at),
        schedule: Set(schedule.name.clone()),
        fired_by: Set(fired_by),
        outcome: Set(fate.outcome()),
        job_id: Set(fate.job()),
        holder_id: Set(fate.holder()),
        passed_from: Set(passed.map(|(from, _)| from)),
        passed_over: Set(passed.map(|(_, count)| i32::try_from(count).unwrap_or(i32::MAX))),
        note: Set(fate.note()),
        recorded_at: Set(now),
    };
    let key = OnConflict::columns([Column::ScheduleId, Column::PlannedAt]).do_nothing().to_owned();
    match Entity::insert(row).on_conflict(key).exec_without_returning(tx).await {
        Ok(written) => Ok(written == 1),
        Err(DbErr::RecordNotInserted) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The same for what is not one planned moment: at `time`, or as soon behind it as there is room.
///
/// # Errors
/// Whatever the database answers.
pub async fn insert_behind(
    tx: &DatabaseTransaction,
    schedule: &schedule::Model,
    time: DateTime<Utc>,
    fired_by: FiredBy,
    fate: &Fate,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let mut time = time;
    while !insert(tx, schedule, time, fired_by, fate, now).await? {
        time += TimeDelta::microseconds(1);
    }
    Ok(())
}

/// Which of `planned` were dealt with before.
///
/// # Errors
/// Whatever the database answers.
pub async fn known(
    connection: &impl ConnectionTrait,
    schedule: ScheduleId,
    planned: &[DateTime<Utc>],
) -> Result<BTreeSet<DateTime<Utc>>, DbErr> {
    let (Some(first), Some(last)) = (planned.first(), planned.last()) else { return Ok(BTreeSet::new()) };
    let known: Vec<DateTime<Utc>> = Entity::find()
        .select_only()
        .column(Column::PlannedAt)
        .filter(Column::ScheduleId.eq(schedule))
        .filter(Column::PlannedAt.between(*first, *last))
        .into_tuple()
        .all(connection)
        .await?;
    Ok(known.into_iter().collect())
}

/// The ticks of a schedule that were dealt with, newest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn of_schedule(
    connection: &impl ConnectionTrait,
    schedule: ScheduleId,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::ScheduleId.eq(schedule))
        .order_by_desc(Column::PlannedAt)
        .limit(limit)
        .all(connection)
        .await
}

/// The newest tick of each of `schedules` that was dealt with.
///
/// # Errors
/// Whatever the database answers.
pub async fn newest(
    connection: &impl ConnectionTrait,
    schedules: &[ScheduleId],
) -> Result<Vec<Model>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text(
            "SELECT schedule_ticks.* FROM schedules JOIN schedule_ticks ON schedule_ticks.schedule_id = schedules.id \
             AND schedule_ticks.planned_at = (SELECT planned_at FROM schedule_ticks AS newest \
             WHERE newest.schedule_id = schedules.id ORDER BY planned_at DESC LIMIT 1) WHERE ",
        )
        .any_of("schedules.id", schedules.iter().map(|id| id.0))
        .build();
    let rows = connection.query_all_raw(statement).await?;
    rows.iter().map(|row| Model::from_query_result(row, "")).collect()
}

/// The tick that made a job.
///
/// # Errors
/// Whatever the database answers.
pub async fn of_job(connection: &impl ConnectionTrait, job: JobId) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::JobId.eq(job)).one(connection).await
}

/// Removes up to `limit` ticks that made no job and were dealt with before `before`. Those that made one go with it.
///
/// # Errors
/// Whatever the database answers.
pub async fn remove_old(tx: &DatabaseTransaction, before: DateTime<Utc>, limit: u32) -> Result<u64, DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text(
            "DELETE FROM schedule_ticks WHERE (schedule_id, planned_at) IN (SELECT schedule_id, planned_at FROM schedule_ticks \
             WHERE job_id IS NULL AND recorded_at < ",
        )
        .bind(before)
        .text(" ORDER BY recorded_at LIMIT ")
        .bind(i64::from(limit))
        .text(")")
        .build();
    Ok(tx.execute_raw(statement).await?.rows_affected())
}

//! `schedules`: what is published by the clock.
//!
//! A row knows its next tick. Whoever finds it due, of any number of schedulers, locks the row, deals with what is due, and moves the
//! next tick on, in one transaction; what became of each tick stands in [`schedule_tick`](super::schedule_tick), once for ever. Which
//! moments an expression names is no affair of this crate.

mod catch_up;
mod name;

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait, LockBehavior, LockType, OnConflict};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbBackend, QueryOrder, QuerySelect};

use crate::database::Sql;
use crate::ids::{JobId, ScheduleId};

pub use catch_up::{CatchUp, Most, NotACatchUp};
pub use name::{NotAName, ScheduleName};

/// A schedule.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "schedules")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ScheduleId,
    /// Its name.
    #[sea_orm(unique)]
    pub name: ScheduleName,
    /// The kind of its jobs.
    pub kind: String,
    /// JSON: the payload of its jobs.
    pub payload: String,
    /// Version of the payload's shape.
    pub payload_version: i32,
    /// The cron expression.
    pub expression: String,
    /// IANA name of the time zone in which the expression is meant.
    pub zone: String,
    /// What becomes of ticks that nobody fired in time.
    pub catch_up: CatchUp,
    /// What becomes of a tick while the job of an earlier one has not ended.
    pub overlap: Overlap,
    /// Whether it ticks.
    pub enabled: bool,
    /// The next tick. None while it is disabled, or when its expression names no moment to come.
    pub next_tick: Option<DateTime<Utc>>,
    /// The job that it fired last, by the clock or by hand.
    pub last_job_id: Option<JobId>,
    /// Of the row: raised by each change, not by ticks.
    pub version: i32,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// By whom.
    pub created_by: String,
    /// When it was changed last.
    pub changed_at: DateTime<Utc>,
    /// By whom.
    pub changed_by: String,
}

impl ActiveModelBehavior for ActiveModel {}

/// What becomes of a tick while the job that the schedule fired last has not ended.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize, serde::Deserialize,
)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It is skipped.
    #[sea_orm(string_value = "skip")]
    Skip,
    /// It is fired all the same.
    #[sea_orm(string_value = "allow")]
    Allow,
}

impl std::fmt::Display for Overlap {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.to_value())
    }
}

/// What a schedule is, as somebody wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// See [`Model::kind`].
    pub kind: String,
    /// See [`Model::payload`].
    pub payload: String,
    /// See [`Model::payload_version`].
    pub payload_version: u16,
    /// See [`Model::expression`].
    pub expression: String,
    /// See [`Model::zone`].
    pub zone: String,
    /// See [`Model::catch_up`].
    pub catch_up: CatchUp,
    /// See [`Model::overlap`].
    pub overlap: Overlap,
    /// See [`Model::enabled`].
    pub enabled: bool,
}

impl Model {
    /// What it is.
    #[must_use]
    pub fn definition(&self) -> Definition {
        Definition {
            kind: self.kind.clone(),
            payload: self.payload.clone(),
            payload_version: self.payload_version(),
            expression: self.expression.clone(),
            zone: self.zone.clone(),
            catch_up: self.catch_up,
            overlap: self.overlap,
            enabled: self.enabled,
        }
    }

    /// Version of the payload's shape.
    #[must_use]
    pub fn payload_version(&self) -> u16 {
        u16::try_from(self.payload_version).unwrap_or(u16::MAX)
    }
}

/// Writes a schedule, unless there is one of its name. Answers whether it did.
///
/// # Errors
/// Whatever the database answers.
pub async fn insert(
    tx: &DatabaseTransaction,
    name: &ScheduleName,
    definition: &Definition,
    next_tick: Option<DateTime<Utc>>,
    actor: &str,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let row = ActiveModel {
        id: Set(ScheduleId::new()),
        name: Set(name.clone()),
        last_job_id: Set(None),
        version: Set(1),
        created_at: Set(now),
        created_by: Set(actor.to_owned()),
        ..changed(definition, next_tick, actor, now)
    };
    let on_conflict = OnConflict::column(Column::Name).do_nothing().to_owned();
    match Entity::insert(row).on_conflict(on_conflict).exec_without_returning(tx).await {
        Ok(written) => Ok(written == 1),
        Err(DbErr::RecordNotInserted) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Changes a schedule that the current transaction has locked.
///
/// # Errors
/// Whatever the database answers.
pub async fn change(
    tx: &DatabaseTransaction,
    schedule: &Model,
    definition: &Definition,
    next_tick: Option<DateTime<Utc>>,
    actor: &str,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(schedule.id),
        version: Set(schedule.version + 1),
        ..changed(definition, next_tick, actor, now)
    };
    Entity::update(row).exec(tx).await.map(drop)
}

fn changed(
    definition: &Definition,
    next_tick: Option<DateTime<Utc>>,
    actor: &str,
    now: DateTime<Utc>,
) -> ActiveModel {
    ActiveModel {
        kind: Set(definition.kind.clone()),
        payload: Set(definition.payload.clone()),
        payload_version: Set(definition.payload_version.into()),
        expression: Set(definition.expression.clone()),
        zone: Set(definition.zone.clone()),
        catch_up: Set(definition.catch_up),
        overlap: Set(definition.overlap),
        enabled: Set(definition.enabled),
        next_tick: Set(next_tick),
        changed_at: Set(now),
        changed_by: Set(actor.to_owned()),
        ..<ActiveModel as Default>::default()
    }
}

/// Moves the next tick of a schedule that the current transaction has locked, and notes the job that it fired.
///
/// # Errors
/// Whatever the database answers.
pub async fn advance(
    tx: &DatabaseTransaction,
    id: ScheduleId,
    next_tick: Option<DateTime<Utc>>,
    last_job: Option<JobId>,
) -> Result<(), DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("UPDATE schedules SET next_tick = ")
        .bind(next_tick)
        .on_postgres("::timestamptz")
        .text(", last_job_id = ")
        .bind(last_job.map(Uuid::from))
        .on_postgres("::uuid")
        .text(" WHERE id = ")
        .bind(id)
        .build();
    if tx.execute_raw(statement).await?.rows_affected() != 1 {
        return Err(DbErr::RecordNotUpdated);
    }
    Ok(())
}

/// Removes a schedule. What became of its ticks stays known as long as retention keeps it.
///
/// # Errors
/// Whatever the database answers.
pub async fn remove(tx: &DatabaseTransaction, id: ScheduleId) -> Result<bool, DbErr> {
    Ok(Entity::delete_by_id(id).exec(tx).await?.rows_affected == 1)
}

/// The schedule of that name.
///
/// # Errors
/// Whatever the database answers.
pub async fn find(connection: &impl ConnectionTrait, name: &ScheduleName) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::Name.eq(name.clone())).one(connection).await
}

/// Locks the schedule of that name until the transaction ends: it neither ticks nor changes in between.
///
/// # Errors
/// Whatever the database answers.
pub async fn lock(tx: &DatabaseTransaction, name: &ScheduleName) -> Result<Option<Model>, DbErr> {
    let mut select = Entity::find().filter(Column::Name.eq(name.clone()));
    if tx.get_database_backend() == DbBackend::Postgres {
        select = select.lock_exclusive();
    }
    select.one(tx).await
}

/// A page of schedules by name: those behind `after`.
///
/// # Errors
/// Whatever the database answers.
pub async fn list(
    connection: &impl ConnectionTrait,
    after: Option<&ScheduleName>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    // Kebab-case sorts by its bytes, whatever the server's language.
    let name = Expr::cust(match connection.get_database_backend() {
        DbBackend::Postgres => r#"name COLLATE "C""#,
        _ => "name",
    });
    let mut select = Entity::find().order_by_asc(name.clone()).limit(limit);
    if let Some(after) = after {
        select = select.filter(name.gt(after.as_str()));
    }
    select.all(connection).await
}

/// The next ticks, earliest first: a page of those behind `after`.
///
/// # Errors
/// Whatever the database answers.
pub async fn agenda(
    connection: &impl ConnectionTrait,
    after: Option<(DateTime<Utc>, ScheduleId)>,
    limit: u32,
) -> Result<Vec<(DateTime<Utc>, ScheduleId)>, DbErr> {
    let mut statement = Sql::new(connection.get_database_backend())
        .text("SELECT next_tick, id FROM schedules WHERE next_tick IS NOT NULL");
    if let Some((time, id)) = after {
        statement = statement.text(" AND (next_tick, id) > (").bind(time).text(", ").bind(id).text(")");
    }
    let statement = statement.text(" ORDER BY next_tick, id LIMIT ").bind(i64::from(limit)).build();
    let rows = connection.query_all_raw(statement).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

/// Locks a schedule until the transaction ends, if it is still due at `now` and no other scheduler has it.
///
/// # Errors
/// Whatever the database answers.
pub async fn claim(
    tx: &DatabaseTransaction,
    id: ScheduleId,
    now: DateTime<Utc>,
) -> Result<Option<Model>, DbErr> {
    let mut select = Entity::find_by_id(id).filter(Column::NextTick.lte(now));
    // SQLite has one writer, which has the whole file.
    if tx.get_database_backend() == DbBackend::Postgres {
        select = select.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
    select.one(tx).await
}

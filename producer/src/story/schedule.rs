//! Schedules and their ticks as they are shown.

use ackord_entities::database::Database;
use ackord_entities::ids::{JobId, ScheduleId};
use ackord_entities::queue::schedule::{CatchUp, Model, Overlap, ScheduleName};
use ackord_entities::queue::schedule_tick::{self, FiredBy, MOST_COUNTED, TickOutcome};
use chrono::{DateTime, Utc};
use sea_orm::DbErr;
use serde::Serialize;
use serde_json::Value;

use super::Audience;
use super::job::json_or_text;
use super::words::moment;
use crate::schedules::Plan;

/// Ticks to come that are shown of a schedule.
const TO_COME: usize = 5;
/// Ticks that were dealt with that are shown of a schedule.
const DEALT_WITH: u64 = 20;

/// A schedule.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Schedule))]
pub struct ScheduleView {
    /// Its name, in kebab-case.
    #[cfg_attr(feature = "openapi", schema(value_type = String, max_length = 100, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub name: ScheduleName,
    /// The kind of its jobs.
    pub kind: String,
    /// The payload of its jobs. Shown to operators.
    pub payload: Option<Value>,
    /// Version of the payload's shape.
    pub payload_version: i32,
    /// The cron expression.
    pub expression: String,
    /// IANA name of the time zone in which it is meant.
    pub zone: String,
    /// What becomes of ticks that nobody fired in time: `none`, `last`, `all:N`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^(none|last|all:([1-9][0-9]?|100))$"))]
    pub catch_up: CatchUp,
    /// What becomes of a tick while the job before it has not ended.
    pub overlap: Overlap,
    /// Whether it ticks.
    pub enabled: bool,
    /// The next tick. None while it is disabled, or when its expression names no moment to come.
    pub next_tick: Option<DateTime<Utc>>,
    /// Whether the clock was set back since its last tick: it goes on when the clock has come to its next tick, though its expression
    /// names earlier moments. Those were dealt with; disabling and enabling it lets it begin anew.
    pub waits_for_clock: bool,
    /// The job that it fired last, by the clock or by hand.
    pub last_job_id: Option<JobId>,
    /// Its newest tick that was dealt with.
    pub last_tick: Option<TickView>,
    /// Of what is said here: raised by each change, not by ticks.
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

/// A tick that was dealt with.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ScheduleTick))]
pub struct TickView {
    /// When it was planned; of one fired by hand, when that was done.
    pub planned_at: DateTime<Utc>,
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
    /// How many of them.
    pub passed_over: Option<i32>,
    /// Whether there were perhaps more: they are counted up to 10000.
    pub passed_over_more: bool,
    /// Why it was not fired. Shown to operators.
    pub note: Option<String>,
    /// When it was dealt with.
    pub recorded_at: DateTime<Utc>,
}

/// A tick to come.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NextTick {
    /// When.
    pub at: DateTime<Utc>,
    /// As the clocks of the schedule's zone show it, with their offset.
    #[cfg_attr(feature = "openapi", schema(example = "2026-03-29T03:30:00+02:00"))]
    pub local: String,
}

/// A schedule with its ticks.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = WholeSchedule))]
pub struct WholeSchedule {
    /// The schedule.
    pub schedule: ScheduleView,
    /// Its next ticks, five at most. None while it is disabled.
    pub next_ticks: Vec<NextTick>,
    /// Its ticks that were dealt with, newest first, twenty at most.
    pub ticks: Vec<TickView>,
    /// When this was read.
    pub at: DateTime<Utc>,
}

/// What made a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduledBy {
    /// The schedule, which may be gone since.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: ScheduleName,
    /// When its tick was planned; of one fired by hand, when that was done.
    pub planned_at: DateTime<Utc>,
    /// What fired it.
    pub fired_by: FiredBy,
}

impl ScheduledBy {
    pub(super) fn new(tick: schedule_tick::Model) -> Self {
        Self { name: tick.schedule, planned_at: tick.planned_at, fired_by: tick.fired_by }
    }

    /// `schedule nightly, for its tick of 2026-11-20 02:30:00Z`.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self.fired_by {
            FiredBy::Tick => format!("schedule {}, for its tick of {}", self.name, moment(self.planned_at)),
            FiredBy::Hand => format!("schedule {}, which was fired by hand", self.name),
        }
    }
}

impl TickView {
    /// A tick, for this audience.
    #[must_use]
    pub fn new(tick: schedule_tick::Model, audience: Audience) -> Self {
        let most = i32::try_from(MOST_COUNTED).unwrap_or(i32::MAX);
        Self {
            planned_at: tick.planned_at,
            fired_by: tick.fired_by,
            outcome: tick.outcome,
            job_id: tick.job_id,
            holder_id: tick.holder_id,
            passed_from: tick.passed_from,
            passed_over: tick.passed_over,
            passed_over_more: tick.passed_over.is_some_and(|count| count >= most),
            note: tick.note.filter(|_| audience == Audience::Operators),
            recorded_at: tick.recorded_at,
        }
    }
}

impl ScheduleView {
    fn new(
        schedule: Model,
        last_tick: Option<schedule_tick::Model>,
        audience: Audience,
        now: DateTime<Utc>,
    ) -> Self {
        let plan = Plan::new(&schedule.expression, &schedule.zone).ok();
        let from_now = plan.and_then(|plan| plan.next_after(now));
        Self {
            waits_for_clock: schedule.next_tick.zip(from_now).is_some_and(|(next, soonest)| next > soonest),
            payload: (audience == Audience::Operators).then(|| json_or_text(&schedule.payload)),
            last_tick: last_tick.map(|tick| TickView::new(tick, audience)),
            name: schedule.name,
            kind: schedule.kind,
            payload_version: schedule.payload_version,
            expression: schedule.expression,
            zone: schedule.zone,
            catch_up: schedule.catch_up,
            overlap: schedule.overlap,
            enabled: schedule.enabled,
            next_tick: schedule.next_tick,
            last_job_id: schedule.last_job_id,
            version: schedule.version,
            created_at: schedule.created_at,
            created_by: schedule.created_by,
            changed_at: schedule.changed_at,
            changed_by: schedule.changed_by,
        }
    }

    /// Schedules with the newest tick of each, in the given order.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn of_all(
        database: &Database,
        schedules: Vec<Model>,
        audience: Audience,
        now: DateTime<Utc>,
    ) -> Result<Vec<Self>, DbErr> {
        let ids: Vec<ScheduleId> = schedules.iter().map(|schedule| schedule.id).collect();
        let mut newest = schedule_tick::newest(database.read(), &ids).await?;
        let views = schedules.into_iter().map(|schedule| {
            let at = newest.iter().position(|tick| tick.schedule_id == schedule.id);
            Self::new(schedule, at.map(|at| newest.swap_remove(at)), audience, now)
        });
        Ok(views.collect())
    }
}

impl WholeSchedule {
    /// A schedule with its ticks.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn read(database: &Database, schedule: Model, audience: Audience) -> Result<Self, DbErr> {
        let now = database.clock().now(database.read()).await?;
        let ticks = schedule_tick::of_schedule(database.read(), schedule.id, DEALT_WITH).await?;
        Ok(Self {
            next_ticks: to_come(&schedule),
            schedule: ScheduleView::new(schedule, ticks.first().cloned(), audience, now),
            ticks: ticks.into_iter().map(|tick| TickView::new(tick, audience)).collect(),
            at: now,
        })
    }
}

/// The next ticks of a schedule, the one that is due among them.
fn to_come(schedule: &Model) -> Vec<NextTick> {
    let Some(first) = schedule.next_tick else { return Vec::new() };
    let Ok(plan) = Plan::new(&schedule.expression, &schedule.zone) else { return Vec::new() };
    let later = plan.preview(first, TO_COME - 1);
    std::iter::once(first).chain(later).map(|at| NextTick { at, local: plan.local(at) }).collect()
}

/// The next `number` ticks of a plan behind `after`.
#[must_use]
pub fn next_ticks(plan: &Plan, after: DateTime<Utc>, number: usize) -> Vec<NextTick> {
    let ticks = plan.preview(after, number);
    ticks.into_iter().map(|at| NextTick { at, local: plan.local(at) }).collect()
}

//! Schedules on real databases, with the clock where a test wants it.

#![allow(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests")]

mod catching_up;
mod clock;
mod dst;
mod firing;
mod operators;
mod planning;
mod troubles;

use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::{Catalogue, Invalid, Job, KindSpec};
use ackord_entities::queue::job::{self, Filter, Transition};
use ackord_entities::queue::schedule::{self, CatchUp, Model, Overlap, ScheduleName};
use ackord_entities::queue::schedule_tick;
use ackord_entities::queue::state::JobState;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{Scheduler, SchedulerOptions};
use crate::Doorbell;
use crate::operate::{Operator, ScheduleSet, ScheduleWish, set_schedule};

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Tea {
    #[serde(default)]
    cups: u32,
}

impl Job for Tea {
    const KIND: &'static str = "tea";

    fn validate(&self) -> Result<(), Invalid> {
        if self.cups < 10 { Ok(()) } else { Err(Invalid::new("cups", "is too much: give at most 9")) }
    }
}

/// One waits at a time.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Milk {}

impl Job for Milk {
    const KIND: &'static str = "milk";

    fn dedup_key(&self) -> Option<String> {
        Some("the bottle".to_owned())
    }
}

fn kinds() -> Catalogue {
    Catalogue::new([KindSpec::of::<Tea>(), KindSpec::of::<Milk>()])
}

fn name(text: &str) -> ScheduleName {
    text.parse().unwrap()
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn operator() -> Operator {
    Operator { name: "ada".to_owned(), reason: Some("a test".to_owned()) }
}

/// Sets the clock.
async fn at(database: &Database, moment: &str) {
    let (now, moment) = (database.clock().now(database.read()).await.unwrap(), time(moment));
    if moment > now {
        database.clock().advance((moment - now).to_std().unwrap());
    } else {
        database.clock().set_back((now - moment).to_std().unwrap());
    }
}

/// Tea at these moments, in UTC.
fn tea(expression: &str) -> ScheduleWish<'_> {
    ScheduleWish { kind: Some("tea"), expression: Some(expression), ..ScheduleWish::default() }
}

async fn try_set(
    database: &Database,
    schedule: &str,
    wish: ScheduleWish<'_>,
) -> Result<ScheduleSet, crate::operate::ScheduleError> {
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    let set = set_schedule(&tx, &kinds(), &name(schedule), &wish, &operator(), now).await?;
    tx.commit().await.unwrap();
    Ok(set)
}

async fn set(database: &Database, schedule: &str, wish: ScheduleWish<'_>) -> Model {
    try_set(database, schedule, wish).await.unwrap().schedule
}

fn scheduler(database: &Database) -> Scheduler {
    scheduler_of(database, kinds())
}

fn scheduler_of(database: &Database, kinds: Catalogue) -> Scheduler {
    Scheduler::new(database.clone(), kinds, Doorbell::default(), SchedulerOptions::default())
}

/// One look of a scheduler that knows nothing yet.
async fn look(database: &Database) -> Duration {
    scheduler(database).look(&CancellationToken::new()).await.unwrap()
}

/// Jobs, the oldest first.
async fn jobs(database: &Database) -> Vec<job::Model> {
    let mut jobs = job::list(database.read(), &Filter::default(), 1_000).await.unwrap();
    jobs.reverse();
    jobs
}

/// The ticks of a schedule, the oldest first.
async fn ticks(database: &Database, schedule: &str) -> Vec<schedule_tick::Model> {
    let schedule = there(database, schedule).await;
    let mut ticks = schedule_tick::of_schedule(database.read(), schedule.id, 1_000).await.unwrap();
    ticks.reverse();
    ticks
}

/// Planned time and outcome of each tick, as texts.
async fn told(database: &Database, schedule: &str) -> Vec<String> {
    let line = |tick: schedule_tick::Model| {
        let count = tick.passed_over.map_or_else(String::new, |count| format!(" {count}"));
        format!("{} {}{count}", tick.planned_at.format("%m-%d %H:%M"), tick.outcome)
    };
    ticks(database, schedule).await.into_iter().map(line).collect()
}

async fn there(database: &Database, schedule: &str) -> Model {
    schedule::find(database.read(), &name(schedule)).await.unwrap().unwrap()
}

/// Ends a job, as a worker does.
async fn end(database: &Database, id: JobId) {
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    let done = Transition {
        id,
        seq: 1,
        next_seq: 1,
        state: JobState::Succeeded,
        attempt: 1,
        deferrals: 0,
        started_at: Some(now),
        error: None,
        result: None,
    };
    ackord_entities::queue::dedup::release(&tx, &[id]).await.unwrap();
    assert_eq!(job::transition(&tx, &[done], now).await.unwrap(), 1);
    tx.commit().await.unwrap();
}

/// Catches up with so many.
fn all(most: u8) -> CatchUp {
    CatchUp::All(schedule::Most::new(most).unwrap())
}

fn allowing(wish: ScheduleWish<'_>) -> ScheduleWish<'_> {
    ScheduleWish { overlap: Some(Overlap::Allow), ..wish }
}

//! `ackord schedules enable|disable|fire|remove`.

use ackord_entities::ids::JobId;
use ackord_entities::jobs::catalogue;
use ackord_entities::queue::schedule::ScheduleName;
use ackord_producer::operate::{enable_schedule, fire_schedule, remove_schedule};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{OneArgs, problem};
use crate::exit::Exit;
use crate::session::{Session, ring};
use crate::terminal::moment;

/// What `enable` and `disable` did. The JSON is a stable interface.
#[derive(Serialize)]
struct Enabled {
    name: ScheduleName,
    enabled: bool,
    next_tick: Option<DateTime<Utc>>,
    /// Whether it was otherwise before.
    changed: bool,
}

/// What `fire` did. The JSON is a stable interface.
#[derive(Serialize)]
struct Fired {
    name: ScheduleName,
    /// The job: a new one, or the one that holds the dedup key already.
    job_id: JobId,
    duplicate: bool,
}

/// What `remove` did. The JSON is a stable interface.
#[derive(Serialize)]
struct Removed {
    name: ScheduleName,
    removed: bool,
}

pub(super) async fn enable(session: &Session, one: &OneArgs, enabled: bool) -> anyhow::Result<Exit> {
    let database = session.database().await?;
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    let operator = one.operator.operator();
    let set = enable_schedule(&tx, &catalogue(), &one.schedule, enabled, &operator, now).await;
    let (schedule, changed) = set.map_err(problem)?;
    tx.commit().await?;
    let done = Enabled { name: schedule.name, enabled, next_tick: schedule.next_tick, changed };
    session.terminal.answer(&done, || {
        let before = if changed { "now" } else { "already" };
        let word = if enabled { "enabled" } else { "disabled" };
        let next = done.next_tick.map_or_else(String::new, |tick| format!(", next tick: {}", moment(tick)));
        format!("{} is {before} {word}{next}", done.name)
    })?;
    Ok(Exit::Success)
}

pub(super) async fn fire(session: &Session, one: &OneArgs) -> anyhow::Result<Exit> {
    let database = session.database().await?;
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    let fired = fire_schedule(&tx, &catalogue(), &one.schedule, &one.operator.operator(), now).await;
    let fired = fired.map_err(problem)?;
    tx.commit().await?;
    ring(&database).await;
    let done = Fired { name: one.schedule.clone(), job_id: fired.id, duplicate: fired.duplicate };
    session.terminal.answer(&done, || {
        let more = if done.duplicate {
            "\nthis job holds the dedup key already: nothing new was published"
        } else {
            ""
        };
        format!("{}{more}", done.job_id)
    })?;
    Ok(Exit::Success)
}

pub(super) async fn remove(session: &Session, one: &OneArgs) -> anyhow::Result<Exit> {
    let database = session.database().await?;
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    remove_schedule(&tx, &one.schedule, &one.operator.operator(), now).await.map_err(problem)?;
    tx.commit().await?;
    let done = Removed { name: one.schedule.clone(), removed: true };
    session.terminal.answer(&done, || format!("{} is removed; its jobs go on", done.name))?;
    Ok(Exit::Success)
}

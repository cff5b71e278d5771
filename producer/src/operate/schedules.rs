//! Making, changing, firing and removing schedules.

use ackord_entities::jobs::{Catalogue, Invalid, KindSpec};
use ackord_entities::queue::audit::{self, Deed, SubjectType};
use ackord_entities::queue::schedule::{self, CatchUp, Definition, Model, Overlap, ScheduleName};
use ackord_entities::queue::schedule_tick::{self, Fate, FiredBy};
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};
use serde_json::{Value, json};

use super::Operator;
use crate::enqueue::{EnqueueError, Enqueued};
use crate::schedules::{CheckError, Plan, check, publish};

/// How a schedule is to be. What is `None` stays as it is; of a new one, kind and expression must be given, and the rest is as usual.
#[derive(Clone, Debug, Default)]
pub struct ScheduleWish<'a> {
    /// The kind of its jobs.
    pub kind: Option<&'a str>,
    /// JSON: the payload of its jobs. Usually `{}`.
    pub payload: Option<&'a str>,
    /// The cron expression.
    pub expression: Option<&'a str>,
    /// IANA name of the time zone in which it is meant. Usually UTC.
    pub zone: Option<&'a str>,
    /// What becomes of ticks that nobody fired in time. Usually they are passed over.
    pub catch_up: Option<CatchUp>,
    /// What becomes of a tick while the job before it has not ended. Usually it is skipped.
    pub overlap: Option<Overlap>,
    /// Whether it ticks. Usually it does.
    pub enabled: Option<bool>,
    /// The version that was looked at: anything that was changed since is not overwritten.
    pub version: Option<i32>,
}

/// What setting a schedule did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleSet {
    /// As it is now.
    pub schedule: Model,
    /// Whether it is new.
    pub created: bool,
    /// Whether it was otherwise before.
    pub changed: bool,
}

/// A schedule that was not touched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// It cannot be like that.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// There is none of that name.
    #[error("there is no schedule `{0}`")]
    NotThere(ScheduleName),
    /// It has another version than the one that was looked at.
    #[error("schedule `{name}` was changed since: it has the version {version} now")]
    ChangedSince {
        /// Its name.
        name: ScheduleName,
        /// Its version.
        version: i32,
    },
    /// Its job could not be published.
    #[error(transparent)]
    Publish(#[from] EnqueueError),
    /// The database failed.
    #[error("the schedule could not be written")]
    Database(#[from] DbErr),
}

/// Makes a schedule, or changes the one of that name. A change of when it ticks counts from `now` on, in the same transaction; ticks that
/// were due and not fired yet are then written down as such. Whoever wants what is there changes nothing.
///
/// # Errors
/// What is wanted cannot be; the version is another one; whatever the database answers.
pub async fn set_schedule(
    tx: &DatabaseTransaction,
    catalogue: &Catalogue,
    name: &ScheduleName,
    wish: &ScheduleWish<'_>,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<ScheduleSet, ScheduleError> {
    let Some(before) = schedule::lock(tx, name).await? else {
        return create(tx, catalogue, name, wish, operator, now).await;
    };
    if wish.version.is_some_and(|version| version != before.version) {
        return Err(ScheduleError::ChangedSince { name: name.clone(), version: before.version });
    }
    let definition = wish.on(before.definition(), catalogue)?;
    let next_tick = check(catalogue, &definition, now)?;
    if definition == before.definition() {
        return Ok(ScheduleSet { schedule: before, created: false, changed: false });
    }
    let next_tick = if ticks_alike(&definition, &before) { before.next_tick } else { next_tick };
    change(tx, &before, &definition, next_tick, operator, now).await?;
    let details = told(&definition, definition.payload != before.payload);
    record(tx, "change", name, Some(details), operator, now).await?;
    Ok(ScheduleSet { schedule: there(tx, name).await?, created: false, changed: true })
}

async fn create(
    tx: &DatabaseTransaction,
    catalogue: &Catalogue,
    name: &ScheduleName,
    wish: &ScheduleWish<'_>,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<ScheduleSet, ScheduleError> {
    if wish.version.is_some() {
        return Err(ScheduleError::NotThere(name.clone()));
    }
    for (field, value) in [("kind", wish.kind), ("expression", wish.expression)] {
        if value.is_none() {
            let reason = format!("is missing: `{name}` is new, so it needs a kind and a cron expression");
            return Err(CheckError::from(Invalid::new(field, reason)).into());
        }
    }
    let usual = Definition {
        kind: String::new(),
        payload: "{}".to_owned(),
        payload_version: 1,
        expression: String::new(),
        zone: "UTC".to_owned(),
        catch_up: CatchUp::None,
        overlap: Overlap::Skip,
        enabled: true,
    };
    let payload = Some(wish.payload.unwrap_or("{}"));
    let definition = ScheduleWish { payload, ..wish.clone() }.on(usual, catalogue)?;
    let next_tick = check(catalogue, &definition, now)?;
    if !schedule::insert(tx, name, &definition, next_tick, &operator.name, now).await? {
        // Somebody made one of that name at the same moment.
        return Err(ScheduleError::ChangedSince { name: name.clone(), version: 1 });
    }
    record(tx, "create", name, Some(told(&definition, true)), operator, now).await?;
    Ok(ScheduleSet { schedule: there(tx, name).await?, created: true, changed: true })
}

/// Lets a schedule tick, from `now` on, or not any more. Answers it, and whether it was otherwise before.
///
/// # Errors
/// There is none of that name; one that is to tick cannot be; whatever the database answers.
pub async fn enable_schedule(
    tx: &DatabaseTransaction,
    catalogue: &Catalogue,
    name: &ScheduleName,
    enabled: bool,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<(Model, bool), ScheduleError> {
    let before = locked(tx, name).await?;
    if before.enabled == enabled {
        return Ok((before, false));
    }
    let definition = Definition { enabled, ..before.definition() };
    let next_tick = if enabled { check(catalogue, &definition, now)? } else { None };
    change(tx, &before, &definition, next_tick, operator, now).await?;
    let verb = if enabled { "enable" } else { "disable" };
    record(tx, verb, name, None, operator, now).await?;
    Ok((there(tx, name).await?, true))
}

/// Fires a schedule now, whatever its ticks, its overlap and its being disabled say: a job of its own.
///
/// # Errors
/// There is none of that name; its kind is not known or its payload does not fit it; whatever the database answers.
pub async fn fire_schedule(
    tx: &DatabaseTransaction,
    catalogue: &Catalogue,
    name: &ScheduleName,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<Enqueued, ScheduleError> {
    let schedule = locked(tx, name).await?;
    let spec: &KindSpec = catalogue.require(&schedule.kind).map_err(CheckError::from)?;
    let enqueued = publish(tx, spec, &schedule, now).await?;
    let fate = if enqueued.duplicate { Fate::Duplicate(enqueued.id) } else { Fate::Fired(enqueued.id) };
    schedule_tick::insert_behind(tx, &schedule, now, FiredBy::Hand, &fate, now).await?;
    if let Some(job) = fate.job() {
        schedule::advance(tx, schedule.id, schedule.next_tick, Some(job)).await?;
    }
    let details = json!({ "job_id": enqueued.id, "duplicate": enqueued.duplicate });
    record(tx, "fire", name, Some(details), operator, now).await?;
    Ok(enqueued)
}

/// Removes a schedule. Its jobs go on, and what became of its ticks is known as long as retention keeps it.
///
/// # Errors
/// There is none of that name; whatever the database answers.
pub async fn remove_schedule(
    tx: &DatabaseTransaction,
    name: &ScheduleName,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<(), ScheduleError> {
    let schedule = locked(tx, name).await?;
    leave_due_ticks(tx, &schedule, now).await?;
    schedule::remove(tx, schedule.id).await?;
    let details = told(&schedule.definition(), false);
    record(tx, "delete", name, Some(details), operator, now).await?;
    Ok(())
}

impl ScheduleWish<'_> {
    /// What comes of it for a schedule that is like `before`.
    fn on(&self, before: Definition, catalogue: &Catalogue) -> Result<Definition, CheckError> {
        let kind = self.kind.map_or(before.kind, str::to_owned);
        let newest = catalogue.require(&kind)?.version;
        let (payload, payload_version) = match self.payload {
            Some(payload) => (payload.to_owned(), newest),
            None => (before.payload, before.payload_version),
        };
        Ok(Definition {
            kind,
            payload,
            payload_version,
            expression: self.expression.map_or(before.expression, |expression| expression.trim().to_owned()),
            zone: self.zone.map_or(before.zone, str::to_owned),
            catch_up: self.catch_up.unwrap_or(before.catch_up),
            overlap: self.overlap.unwrap_or(before.overlap),
            enabled: self.enabled.unwrap_or(before.enabled),
        })
    }
}

/// Whether two say the same about when to tick: then what is due stays due.
fn ticks_alike(definition: &Definition, before: &Model) -> bool {
    (&definition.expression, &definition.zone, definition.enabled)
        == (&before.expression, &before.zone, before.enabled)
}

async fn change(
    tx: &DatabaseTransaction,
    before: &Model,
    definition: &Definition,
    next_tick: Option<DateTime<Utc>>,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<(), ScheduleError> {
    if next_tick != before.next_tick {
        leave_due_ticks(tx, before, now).await?;
    }
    Ok(schedule::change(tx, before, definition, next_tick, &operator.name, now).await?)
}

/// Writes down what was due when the schedule was changed: no tick is lost without a word.
async fn leave_due_ticks(
    tx: &DatabaseTransaction,
    schedule: &Model,
    now: DateTime<Utc>,
) -> Result<(), ScheduleError> {
    let Some(first) = schedule.next_tick.filter(|tick| *tick <= now) else { return Ok(()) };
    // What cannot be read any more has at least the tick that is written down.
    let passed =
        Plan::new(&schedule.expression, &schedule.zone).ok().and_then(|plan| plan.passed(first, now));
    let (to, count) = passed.map_or((first, 1), |passed| (passed.to, passed.count));
    let fate = Fate::Changed { from: first, count };
    schedule_tick::insert_behind(tx, schedule, to, FiredBy::Tick, &fate, now).await?;
    Ok(())
}

async fn locked(tx: &DatabaseTransaction, name: &ScheduleName) -> Result<Model, ScheduleError> {
    schedule::lock(tx, name).await?.ok_or_else(|| ScheduleError::NotThere(name.clone()))
}

async fn there(tx: &DatabaseTransaction, name: &ScheduleName) -> Result<Model, ScheduleError> {
    schedule::find(tx, name).await?.ok_or_else(|| ScheduleError::NotThere(name.clone()))
}

/// What the audit is told: everything but the payload, which may be anything.
fn told(definition: &Definition, payload_changed: bool) -> Value {
    json!({
        "kind": definition.kind,
        "expression": definition.expression,
        "zone": definition.zone,
        "catch_up": definition.catch_up,
        "overlap": definition.overlap,
        "enabled": definition.enabled,
        "payload_changed": payload_changed,
    })
}

async fn record(
    tx: &DatabaseTransaction,
    verb: &str,
    name: &ScheduleName,
    details: Option<Value>,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let deed = operator.deed(verb, SubjectType::Schedule, name.to_string());
    audit::record(tx, Deed { details: details.map(|details| details.to_string()), ..deed }, now).await
}

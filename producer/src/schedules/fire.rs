//! What is done with a schedule that is due, within the transaction that has locked it.

use ackord_entities::ids::JobId;
use ackord_entities::jobs::{Catalogue, Invalid, KindSpec, PayloadError};
use ackord_entities::queue::job;
use ackord_entities::queue::schedule::{self, Model, Overlap};
use ackord_entities::queue::schedule_tick::{self, Fate, FiredBy};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::Plan;
use crate::enqueue::{EnqueueError, Enqueued, Publish, enqueue_stored};

/// A tick that is later than this is missed, where nothing is caught up with: a restart takes some seconds.
pub const GRACE: TimeDelta = TimeDelta::minutes(1);

/// While programs are replaced, one that does not know a kind or a payload leaves its ticks to one that does, for so long.
const PATIENCE: TimeDelta = TimeDelta::seconds(10);

/// A tick that was dealt with.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) planned_at: DateTime<Utc>,
    pub(super) fate: Fate,
    pub(super) late_by: TimeDelta,
}

/// A schedule that could not be dealt with. Its transaction must be rolled back.
#[derive(Debug, thiserror::Error)]
pub(super) enum FireError {
    /// Its expression or its zone cannot be read by this program, though another one could write it.
    #[error("it cannot be read: {0}")]
    Plan(#[from] Invalid),
    /// A job could not be published.
    #[error(transparent)]
    Publish(#[from] EnqueueError),
    /// The database failed.
    #[error("its ticks could not be written")]
    Database(#[from] DbErr),
}

impl FireError {
    /// The database's error behind it.
    pub(super) fn database(&self) -> Option<&DbErr> {
        match self {
            Self::Database(error) | Self::Publish(EnqueueError::Database(error)) => Some(error),
            Self::Plan(_) | Self::Publish(_) => None,
        }
    }
}

/// Deals with all ticks of a schedule up to `now`: each is fired or passed over, which is written down, and the next tick moves on. Answers
/// nothing where it is left to a program that knows its kind.
pub(super) async fn fire(
    tx: &DatabaseTransaction,
    catalogue: &Catalogue,
    schedule: &Model,
    now: DateTime<Utc>,
) -> Result<Vec<Done>, FireError> {
    let Some(first) = schedule.next_tick else { return Ok(Vec::new()) };
    let spec = known(catalogue, schedule);
    if spec.is_err() && now - first < PATIENCE {
        return Ok(Vec::new());
    }
    let due = Plan::new(&schedule.expression, &schedule.zone)?.due(first, now, schedule.catch_up, GRACE);
    let mut done = Vec::new();
    let mut last_job = schedule.last_job_id;
    if let Some(missed) = due.missed {
        let fate = Fate::Missed { from: missed.from, count: missed.count };
        schedule_tick::insert_behind(tx, schedule, missed.to, FiredBy::Tick, &fate, now).await?;
        done.push(Done { planned_at: missed.to, fate, late_by: now - missed.to });
    }
    // The clock may have been set back since, and the schedule have begun anew.
    let dealt_with = schedule_tick::known(tx, schedule.id, &due.ticks).await?;
    for tick in due.ticks.into_iter().filter(|tick| !dealt_with.contains(tick)) {
        let fate = match &spec {
            Ok(spec) => fate(tx, spec, schedule, last_job, now).await?,
            Err(misfit) => misfit.clone(),
        };
        last_job = fate.job().or(last_job);
        if !schedule_tick::insert(tx, schedule, tick, FiredBy::Tick, &fate, now).await? {
            // Somebody who does not ask for the schedule's row: his job stands, and ours is rolled back.
            return Err(DbErr::RecordNotInserted.into());
        }
        done.push(Done { planned_at: tick, fate, late_by: now - tick });
    }
    schedule::advance(tx, schedule.id, due.next, last_job).await?;
    Ok(done)
}

/// The kind of a schedule, if this program knows it and the payload fits.
fn known<'c>(catalogue: &'c Catalogue, schedule: &Model) -> Result<&'c KindSpec, Fate> {
    let spec = catalogue.require(&schedule.kind).map_err(|error| Fate::UnknownKind(error.to_string()))?;
    spec.check(schedule.payload_version(), schedule.payload.as_bytes())
        .map_err(|error: PayloadError| Fate::InvalidPayload(error.to_string()))?;
    Ok(spec)
}

/// What becomes of a tick of a schedule whose kind is known.
async fn fate(
    tx: &DatabaseTransaction,
    spec: &KindSpec,
    schedule: &Model,
    last_job: Option<JobId>,
    now: DateTime<Utc>,
) -> Result<Fate, FireError> {
    if let (Overlap::Skip, Some(last)) = (schedule.overlap, last_job)
        && is_unfinished(tx, last).await?
    {
        return Ok(Fate::Overlap(last));
    }
    let enqueued = publish(tx, spec, schedule, now).await?;
    Ok(if enqueued.duplicate { Fate::Duplicate(enqueued.id) } else { Fate::Fired(enqueued.id) })
}

async fn is_unfinished(connection: &impl ConnectionTrait, id: JobId) -> Result<bool, DbErr> {
    Ok(job::find(connection, id).await?.is_some_and(|job| !job.state.is_end()))
}

/// Publishes a job of a schedule.
pub(crate) async fn publish(
    tx: &DatabaseTransaction,
    spec: &KindSpec,
    schedule: &Model,
    now: DateTime<Utc>,
) -> Result<Enqueued, EnqueueError> {
    let version = schedule.payload_version();
    Box::pin(enqueue_stored(tx, spec, version, &schedule.payload, &Publish::at(now))).await
}

//! `enqueue`: the one way to publish. The job and its message are written in the caller's transaction, with his own data:
//! either all of it is committed or none.

use std::time::Duration;

use ackord_entities::clock::later;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::{Job, KindSpec, PayloadError, encode};
use ackord_entities::queue::job::{NewJob, Origin};
use ackord_entities::queue::outbox::{Cause, NewMessage};
use ackord_entities::queue::{dedup, job, outbox};
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};
use tracing::{Instrument, Span};

use crate::trace;

/// When a job is published, when it is due, and who publishes it.
#[derive(Clone, Debug)]
pub struct Publish {
    now: DateTime<Utc>,
    due_at: DateTime<Utc>,
    parent: Option<JobId>,
    traceparent: Option<String>,
    id: Option<JobId>,
}

impl Publish {
    /// Published at `now` (of the database's clock) and due at once.
    #[must_use]
    pub fn at(now: DateTime<Utc>) -> Self {
        Self { now, due_at: now, parent: None, traceparent: None, id: None }
    }

    /// The moment of publishing.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Due not before `due_at`.
    #[must_use]
    pub fn due_at(mut self, due_at: DateTime<Utc>) -> Self {
        self.due_at = due_at;
        self
    }

    /// Due after `delay`.
    #[must_use]
    pub fn due_in(mut self, delay: Duration) -> Self {
        self.due_at = later(self.now, delay);
        self
    }

    /// Published by the commit of job `parent`.
    #[must_use]
    pub fn child_of(mut self, parent: JobId) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Part of the trace `traceparent` (W3C trace context). Without one, the current span's trace is continued.
    #[must_use]
    pub fn traced(mut self, traceparent: Option<String>) -> Self {
        self.traceparent = traceparent;
        self
    }

    /// With an id that the caller has chosen. Publishing the same id again changes nothing. For single jobs only:
    /// [`enqueue_all`] gives every job an id of its own.
    #[must_use]
    pub fn with_id(mut self, id: JobId) -> Self {
        self.id = Some(id);
        self
    }
}

/// What became of a published job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Enqueued {
    /// The job: a new one, or the one that was there before.
    pub id: JobId,
    /// Whether it was there before: its dedup key or its id was taken.
    pub duplicate: bool,
}

/// A job that was not published; the transaction is unharmed unless the database failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnqueueError {
    /// The payload breaks the contract.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The database failed.
    #[error("the job could not be written")]
    Database(#[from] DbErr),
}

/// Publishes `job` within `tx`. Ring the doorbell after the commit.
///
/// # Errors
/// [`EnqueueError::Payload`] before anything is written.
pub async fn enqueue<J: Job>(
    tx: &DatabaseTransaction,
    job: &J,
    publish: &Publish,
) -> Result<Enqueued, EnqueueError> {
    let (span, publish) = traced(J::KIND, 1, publish);
    let new = prepare(job, &publish)?;
    Ok(write_one(tx, &KindSpec::of::<J>(), new, &publish).instrument(span).await?)
}

/// Publishes many jobs of one kind within `tx`, in two statements however many they are (one more each for those with a dedup
/// key). The answers stand in the order of the jobs.
///
/// # Errors
/// [`EnqueueError::Payload`] for the first job that breaks the contract, before anything is written.
pub async fn enqueue_all<J: Job>(
    tx: &DatabaseTransaction,
    jobs: &[J],
    publish: &Publish,
) -> Result<Vec<Enqueued>, EnqueueError> {
    let (span, publish) = traced(J::KIND, jobs.len(), publish);
    let publish = Publish { id: None, ..publish };
    let new: Vec<NewJob> = jobs.iter().map(|job| prepare(job, &publish)).collect::<Result<_, _>>()?;
    if new.iter().any(|job| job.dedup_key.is_some()) {
        let mut answers = Vec::with_capacity(new.len());
        for job in new {
            let spec = KindSpec::of::<J>();
            answers.push(write_one(tx, &spec, job, &publish).instrument(span.clone()).await?);
        }
        return Ok(answers);
    }
    write_all(tx, &new, &publish).instrument(span).await?;
    Ok(new.iter().map(|job| Enqueued { id: job.id, duplicate: false }).collect())
}

/// Publishes a payload whose type is not known here: from the command line, from HTTP. Version 1 payloads of an older shape
/// are upgraded when they are read.
///
/// # Errors
/// [`EnqueueError::Payload`] before anything is written.
pub async fn enqueue_json(
    tx: &DatabaseTransaction,
    spec: &KindSpec,
    payload: &str,
    publish: &Publish,
) -> Result<Enqueued, EnqueueError> {
    enqueue_stored(tx, spec, spec.version, payload, publish).await
}

/// The same for a payload that was written as `version`, perhaps long ago: the job keeps it as it is.
pub(crate) async fn enqueue_stored(
    tx: &DatabaseTransaction,
    spec: &KindSpec,
    version: u16,
    payload: &str,
    publish: &Publish,
) -> Result<Enqueued, EnqueueError> {
    let keys = spec.check(version, payload.as_bytes())?;
    let (span, publish) = traced(spec.kind, 1, publish);
    let new = NewJob {
        id: publish.id.unwrap_or_else(JobId::new),
        kind: spec.kind,
        version,
        origin: Origin::Enqueue,
        max_attempts: spec.max_attempts,
        payload: payload.to_owned(),
        subject: keys.subject,
        dedup_key: keys.dedup_key,
        parent_id: publish.parent,
        traceparent: publish.traceparent.clone(),
    };
    Ok(write_one(tx, spec, new, &publish).instrument(span).await?)
}

/// The span of a publishing, and what its jobs carry of it.
fn traced(kind: &str, jobs: usize, publish: &Publish) -> (Span, Publish) {
    let (span, traceparent) = trace::publish(kind, jobs, publish.traceparent.as_deref());
    (span, Publish { traceparent, ..publish.clone() })
}

fn prepare<J: Job>(job: &J, publish: &Publish) -> Result<NewJob, PayloadError> {
    Ok(NewJob {
        id: publish.id.unwrap_or_else(JobId::new),
        kind: J::KIND,
        version: J::VERSION,
        origin: Origin::Enqueue,
        max_attempts: J::MAX_ATTEMPTS,
        payload: encode(job)?,
        subject: job.key(),
        dedup_key: job.dedup_key(),
        parent_id: publish.parent,
        traceparent: publish.traceparent.clone(),
    })
}

async fn write_one(
    tx: &DatabaseTransaction,
    spec: &KindSpec,
    new: NewJob,
    publish: &Publish,
) -> Result<Enqueued, DbErr> {
    let id = new.id;
    if publish.id.is_some() && job::find(tx, id).await?.is_some() {
        // Before the dedup key: a job that has ended must not take it again.
        return Ok(Enqueued { id, duplicate: true });
    }
    if let Some(key) = &new.dedup_key {
        let holder = dedup::take(tx, spec.kind, key, id, spec.on_duplicate).await?;
        if holder != id {
            return Ok(Enqueued { id: holder, duplicate: true });
        }
    }
    let written = write_all(tx, std::slice::from_ref(&new), publish).await?;
    Ok(Enqueued { id, duplicate: written.is_empty() })
}

/// Writes jobs and the messages of those that were new.
async fn write_all(tx: &DatabaseTransaction, new: &[NewJob], publish: &Publish) -> Result<Vec<JobId>, DbErr> {
    let written = job::insert(tx, new, publish.now).await?;
    let messages: Vec<NewMessage> = match new.first() {
        None => return Ok(written),
        Some(first) => written.iter().map(|id| first_message(*id, first.kind, publish)).collect(),
    };
    outbox::put(tx, &messages, publish.now).await?;
    Ok(written)
}

fn first_message(job_id: JobId, kind: &str, publish: &Publish) -> NewMessage {
    NewMessage {
        job_id,
        kind: kind.to_owned(),
        seq: 1,
        cause: Cause::Publish,
        reason: None,
        waits_for: None,
        due_at: publish.due_at,
    }
}

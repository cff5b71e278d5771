//! Everything that is known about one job.

use ackord_entities::database::Database;
use ackord_entities::ids::{DeadLetterId, JobId};
use ackord_entities::queue::attempt::{self, Outcome};
use ackord_entities::queue::dead_letter::{self, LetterState, Reason as DeathReason};
use ackord_entities::queue::job::{self, Filter};
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{audit, lease, model_call, outbox, pause, schedule_tick};
use chrono::{DateTime, Utc};
use sea_orm::DbErr;
use serde::Serialize;
use serde_json::Value;

use super::Audience;
use super::job::{ErrorView, JobView, json_or_text};
use super::model::ModelUse;
use super::schedule::ScheduledBy;
use super::timeline::{Event, timeline};
use super::why::{Circumstances, Reason, why_not_running};

/// Follow-up jobs that a story tells of at most.
const FOLLOW_UPS: u64 = 100;

/// The whole story of a job.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = JobStory))]
pub struct Story {
    /// Its head.
    pub job: JobView,
    /// Empty when it runs or has ended.
    pub why_not_running: Vec<Reason>,
    /// What happened to it, in the order in which it happened.
    pub timeline: Vec<Event>,
    /// Its tries, as far as they were recorded.
    pub attempts: Vec<AttemptView>,
    /// What they used of a language model, if they asked one. Shown to operators.
    pub model_use: Option<ModelUse>,
    /// The job whose commit published it.
    pub parent: Option<JobView>,
    /// The schedule and the tick that made it.
    pub schedule: Option<ScheduledBy>,
    /// The newest first, one hundred at most.
    pub follow_ups: Vec<JobView>,
    /// What was given up of it.
    pub dead_letters: Vec<LetterBrief>,
    /// The lease under which it runs.
    pub lease: Option<LeaseView>,
    /// Shown to operators.
    pub payload: Option<Value>,
    /// Version of the payload's shape.
    pub payload_version: i32,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// When the story was read.
    pub at: DateTime<Utc>,
}

/// One try.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Attempt))]
pub struct AttemptView {
    /// Numbered from 1.
    pub attempt: i32,
    /// The seq under which it ran.
    pub seq: i32,
    /// Who ran it. Shown to operators.
    pub worker: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub error: Option<ErrorView>,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

/// A dead letter of the job.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LetterBrief {
    /// The letter.
    pub id: DeadLetterId,
    /// What became of it since.
    pub state: LetterState,
    /// Why it was given up.
    pub reason: DeathReason,
    /// The seq of its message.
    pub seq: Option<i32>,
    /// The error behind it.
    pub error: String,
}

/// A lease that the job holds.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Lease))]
pub struct LeaseView {
    /// What it is for.
    pub key: String,
    /// Its fencing number.
    pub term: i64,
    /// Until when, unless it is renewed.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Story {
    /// Reads the story of a job; `None` if there is no such job. `worker` says whether a worker runs on this database, where that can
    /// be seen.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn read(
        database: &Database,
        id: JobId,
        audience: Audience,
        worker: Option<bool>,
    ) -> Result<Option<Self>, DbErr> {
        let read = database.read();
        let Some(row) = job::find(read, id).await? else { return Ok(None) };
        let now = database.clock().now(read).await?;
        let message = outbox::of_jobs(read, &[id]).await?.pop();
        let attempts = attempt::of_job(read, id).await?;
        let calls = model_call::of_job(read, id).await?;
        let letters = dead_letter::of_job(read, id).await?;
        let deeds = audit::of_subject(read, &id.to_string()).await?;
        let schedule = schedule_tick::of_job(read, id).await?.map(ScheduledBy::new);
        let runs_under = lease::find(read, &lease::run_key(id)).await?;
        let circumstances = Circumstances {
            job: &row,
            message: message.as_ref(),
            paused: None,
            waits_for: None,
            runs_under: runs_under.as_ref(),
            worker,
            audience,
            now,
        };
        let why_not_running = why(database, circumstances).await?;
        let children = Filter { parent: Some(id), ..Filter::default() };
        let follow_ups = job::list(read, &children, FOLLOW_UPS).await?;
        let parent = match row.parent_id {
            Some(parent) => job::find(read, parent).await?,
            None => None,
        };
        Ok(Some(Self {
            job: JobView::new(&row, message.as_ref(), audience, now),
            why_not_running,
            timeline: timeline(&row, schedule.as_ref(), &attempts, &letters, &deeds, audience),
            attempts: attempts.into_iter().map(|attempt| attempt_view(attempt, audience)).collect(),
            model_use: audience.only_operators(|| ModelUse::of(&calls)).flatten(),
            parent: JobView::of_all(database, parent.as_slice(), audience, now).await?.pop(),
            schedule,
            follow_ups: JobView::of_all(database, &follow_ups, audience, now).await?,
            dead_letters: letters.iter().map(|letter| letter_brief(letter, audience)).collect(),
            lease: runs_under.filter(|lease| lease.owner == Some(id)).map(lease_view),
            payload: audience.only_operators(|| json_or_text(&row.payload)),
            payload_version: row.version,
            traceparent: row.traceparent,
            at: now,
        }))
    }
}

/// Adds what the job waits for, and asks why.
async fn why(database: &Database, about: Circumstances<'_>) -> Result<Vec<Reason>, DbErr> {
    if !matches!(about.job.state, JobState::Pending | JobState::Running) {
        return Ok(Vec::new());
    }
    let paused = pause::all(database.read()).await?;
    let waits_for = match about.message.and_then(|message| message.waits_for.as_deref()) {
        Some(key) => lease::find(database.read(), key).await?,
        None => None,
    };
    Ok(why_not_running(&Circumstances {
        paused: paused.iter().find(|pause| pause.kind == about.job.kind),
        waits_for: waits_for.as_ref(),
        ..about
    }))
}

fn attempt_view(attempt: attempt::Model, audience: Audience) -> AttemptView {
    AttemptView {
        attempt: attempt.attempt,
        seq: attempt.seq,
        error: ErrorView::of(
            audience,
            attempt.error_code.as_ref(),
            attempt.error.as_ref(),
            attempt.public_error.as_ref(),
        ),
        worker: audience.only_operators(|| attempt.worker),
        outcome: attempt.outcome,
        started_at: attempt.started_at,
        ended_at: attempt.ended_at,
    }
}

fn letter_brief(letter: &dead_letter::Model, audience: Audience) -> LetterBrief {
    LetterBrief {
        id: letter.id,
        state: letter.state,
        reason: letter.reason,
        seq: letter.seq,
        error: audience.error(Some(&letter.error), Some(&letter.public_error)).cloned().unwrap_or_default(),
    }
}

fn lease_view(lease: lease::Model) -> LeaseView {
    LeaseView { key: lease.lease_key, term: lease.term, expires_at: lease.expires_at }
}

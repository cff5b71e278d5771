//! A job as it is shown: one row of a list, the head of a story.

use ackord_entities::database::Database;
use ackord_entities::ids::JobId;
use ackord_entities::queue::job::{Model, Origin};
use ackord_entities::queue::outbox;
use ackord_entities::queue::state::ShownState;
use chrono::{DateTime, Utc};
use sea_orm::DbErr;
use serde::Serialize;
use serde_json::Value;

use crate::terminal::{bad, dim, good, waiting};

/// A job without its payload. The JSON is a stable interface.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct JobView {
    pub(crate) id: JobId,
    pub(crate) kind: String,
    /// The shown state: the stored one, told apart by the outbox.
    pub(crate) state: ShownState,
    pub(crate) subject: Option<String>,
    pub(crate) attempt: i32,
    pub(crate) max_attempts: i32,
    pub(crate) deferrals: i32,
    pub(crate) seq: i32,
    pub(crate) origin: Origin,
    pub(crate) dedup_key: Option<String>,
    pub(crate) parent_id: Option<JobId>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    pub(crate) cancel_requested_at: Option<DateTime<Utc>>,
    /// When its waiting message is due.
    pub(crate) due_at: Option<DateTime<Utc>>,
    /// The newest error.
    pub(crate) error: Option<ErrorView>,
    /// What its success refers to.
    pub(crate) result: Option<Value>,
}

/// An error for operators.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ErrorView {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl ErrorView {
    pub(crate) fn of(code: Option<&String>, message: Option<&String>) -> Option<Self> {
        Some(Self { code: code?.clone(), message: message.cloned().unwrap_or_default() })
    }
}

impl JobView {
    /// A job beside its waiting message, if it has one.
    pub(crate) fn new(job: &Model, message: Option<&outbox::Model>, now: DateTime<Utc>) -> Self {
        let state = ShownState::derive(job.state, message.map(|one| (one.cause, one.due_at <= now)));
        Self {
            id: job.id,
            kind: job.kind.clone(),
            state,
            subject: job.subject.clone(),
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            deferrals: job.deferrals,
            seq: job.seq,
            origin: job.origin,
            dedup_key: job.dedup_key.clone(),
            parent_id: job.parent_id,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            cancel_requested_at: job.cancel_requested_at,
            due_at: message.map(|one| one.due_at),
            error: ErrorView::of(job.error_code.as_ref(), job.error.as_ref()),
            result: job.result.as_deref().map(json_or_text),
        }
    }

    /// Jobs beside their waiting messages, in the given order.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub(crate) async fn of_all(
        database: &Database,
        jobs: &[Model],
        now: DateTime<Utc>,
    ) -> Result<Vec<Self>, DbErr> {
        let ids: Vec<JobId> = jobs.iter().filter(|job| !job.state.is_end()).map(|job| job.id).collect();
        let messages =
            if ids.is_empty() { Vec::new() } else { outbox::of_jobs(database.read(), &ids).await? };
        Ok(jobs
            .iter()
            .map(|job| Self::new(job, messages.iter().find(|message| message.job_id == job.id), now))
            .collect())
    }
}

/// What was stored as JSON; a text where it is none after all.
pub(super) fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// A state in its colour.
pub(crate) fn coloured(state: ShownState) -> String {
    match state {
        ShownState::Succeeded => good(state),
        ShownState::Failed | ShownState::Dead => bad(state),
        ShownState::Cancelled => dim(state),
        ShownState::Scheduled | ShownState::Retrying | ShownState::Deferred => waiting(state),
        ShownState::Queued | ShownState::Running => state.to_string(),
    }
}

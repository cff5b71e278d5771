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

use super::Audience;

/// A job without its payload.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Job))]
pub struct JobView {
    /// The job.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// The shown state: the stored one, told apart by the outbox.
    pub state: ShownState,
    /// What it is about.
    pub subject: Option<String>,
    /// Attempts that were counted so far.
    pub attempt: i32,
    /// Attempts allowed.
    pub max_attempts: i32,
    /// Deferrals so far.
    pub deferrals: i32,
    /// Which of its messages is the current one.
    pub seq: i32,
    /// How it came.
    pub origin: Origin,
    /// Its dedup key. Shown to operators.
    pub dedup_key: Option<String>,
    /// The job whose commit published it.
    pub parent_id: Option<JobId>,
    /// When it was published.
    pub created_at: DateTime<Utc>,
    /// When its newest attempt started, as far as that was recorded.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// When somebody called it off.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// When its waiting message is due.
    pub due_at: Option<DateTime<Utc>>,
    /// The newest error.
    pub error: Option<ErrorView>,
    /// What its success refers to.
    pub result: Option<Value>,
}

/// An error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = JobError))]
pub struct ErrorView {
    /// Short and stable, for programs.
    pub code: String,
    /// For people: for operators with all its causes, for everybody else without what is nobody's business.
    pub message: String,
}

impl ErrorView {
    /// The error of that code, with the text for `audience`.
    pub(super) fn of(
        audience: Audience,
        code: Option<&String>,
        operator: Option<&String>,
        public: Option<&String>,
    ) -> Option<Self> {
        let message = audience.error(operator, public).cloned().unwrap_or_default();
        Some(Self { code: code?.clone(), message })
    }
}

impl JobView {
    /// A job beside its waiting message, if it has one.
    #[must_use]
    pub fn new(job: &Model, message: Option<&outbox::Model>, audience: Audience, now: DateTime<Utc>) -> Self {
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
            dedup_key: job.dedup_key.clone().filter(|_| audience == Audience::Operators),
            parent_id: job.parent_id,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            cancel_requested_at: job.cancel_requested_at,
            due_at: message.map(|one| one.due_at),
            error: ErrorView::of(
                audience,
                job.error_code.as_ref(),
                job.error.as_ref(),
                job.public_error.as_ref(),
            ),
            result: job.result.as_deref().map(json_or_text),
        }
    }

    /// Jobs beside their waiting messages, in the given order.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn of_all(
        database: &Database,
        jobs: &[Model],
        audience: Audience,
        now: DateTime<Utc>,
    ) -> Result<Vec<Self>, DbErr> {
        let ids: Vec<JobId> = jobs.iter().filter(|job| !job.state.is_end()).map(|job| job.id).collect();
        let messages =
            if ids.is_empty() { Vec::new() } else { outbox::of_jobs(database.read(), &ids).await? };
        let message = |job: &Model| messages.iter().find(|message| message.job_id == job.id);
        Ok(jobs.iter().map(|job| Self::new(job, message(job), audience, now)).collect())
    }
}

/// What was stored as JSON; a text where it is none after all.
pub(super) fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

//! How far a job or a synthesis is: by polling, and as a stream of events.

use ackord_entities::graph::synthesis::{self, State as SynthesisState};
use ackord_entities::graph::synthesis_link;
use ackord_entities::ids::{JobId, SynthesisId};
use ackord_entities::queue::job;
use ackord_entities::queue::state::ShownState;
use ackord_producer::story::{Audience, ErrorView, JobView};
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::jobs::no_such_job;
use super::syntheses::no_such_synthesis;
use super::synthesis_view::{Standing, SynthesisType, public_error};
use crate::api::Api;
use crate::body::Named;
use crate::caller::{Caller, Viewer};
use crate::problem::Problem;
use crate::watch::{Watched, stream};

/// How far something is, in four words that hold for everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// Nobody works on it yet, or it waits for its next attempt.
    Pending,
    /// Somebody works on it.
    Running,
    /// It is done.
    Completed,
    /// It has ended otherwise: failed, dead or cancelled.
    Failed,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct JobProgress {
    /// The job.
    id: JobId,
    /// In four words.
    status: Status,
    /// In the job's own.
    state: ShownState,
    /// Attempts that were counted so far.
    attempt: i32,
    /// Attempts allowed.
    max_attempts: i32,
    /// The newest error.
    error: Option<ErrorView>,
}

/// How far a job is.
#[utoipa::path(
    get,
    path = "/jobs/{id}/progress",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job")),
    responses((status = 200, description = "How far it is", body = JobProgress)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn of_job(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Named(id): Named<JobId>,
) -> Result<Json<JobProgress>, Problem> {
    let watched = WatchedJob { id, audience: caller.audience() };
    watched.look(&api).await?.map(Json).ok_or_else(|| no_such_job(id))
}

/// An event of the stream of a job.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is the schema of what is written line by line")]
pub(crate) struct JobEvent {
    /// What has happened.
    event: EventName,
    /// Its number in this stream, from 0.
    #[schema(pattern = "^[0-9]+$")]
    id: String,
    /// How far the job is, as JSON.
    #[schema(content_media_type = "application/json")]
    data: String,
}

/// What an event says.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it is the schema of what is written line by line")]
pub(crate) enum EventName {
    /// Something has changed.
    Progress,
    /// Nothing more will happen; the stream ends.
    End,
}

/// The same as a stream of server-sent events: `progress` at every change, `end` with the last one, then the stream ends.
#[utoipa::path(
    get,
    path = "/jobs/{id}/events",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job")),
    responses((status = 200, description = "A stream; the schema is that of one event", body = JobEvent, content_type = "text/event-stream")),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn events_of_job(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Named(id): Named<JobId>,
) -> Result<impl IntoResponse, Problem> {
    stream(api, WatchedJob { id, audience: caller.audience() }).await
}

struct WatchedJob {
    id: JobId,
    audience: Audience,
}

impl Watched for WatchedJob {
    type Progress = JobProgress;

    async fn look(&self, api: &Api) -> Result<Option<JobProgress>, Problem> {
        let read = api.database().read();
        let Some(row) = job::find(read, self.id).await? else { return Ok(None) };
        let now = api.database().clock().now(read).await?;
        let mut views =
            JobView::of_all(api.database(), std::slice::from_ref(&row), self.audience, now).await?;
        Ok(views.pop().map(|view| JobProgress {
            id: view.id,
            status: status_of_job(view.state),
            state: view.state,
            attempt: view.attempt,
            max_attempts: view.max_attempts,
            error: view.error,
        }))
    }

    fn has_ended(progress: &JobProgress) -> bool {
        matches!(progress.status, Status::Completed | Status::Failed)
    }
}

fn status_of_job(state: ShownState) -> Status {
    match state {
        ShownState::Scheduled | ShownState::Retrying | ShownState::Deferred | ShownState::Queued => {
            Status::Pending
        }
        ShownState::Running => Status::Running,
        ShownState::Succeeded => Status::Completed,
        ShownState::Failed | ShownState::Dead | ShownState::Cancelled => Status::Failed,
    }
}

/// How far a synthesis is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct SynthesisProgress {
    /// The synthesis.
    id: SynthesisId,
    /// In four words.
    status: Status,
    /// In the synthesis's own.
    state: Standing,
    /// How often writing it was begun.
    attempts: i32,
    /// The job of the newest attempt, once it has begun.
    job_id: Option<JobId>,
    /// The newest good text, if there is one.
    version: Option<i32>,
    /// Why the last attempt failed.
    error: Option<ErrorView>,
    /// Of a super-synthesis that is planned: how many of its parts have ended.
    parts: Option<PartsProgress>,
}

/// How many parts have ended.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct PartsProgress {
    /// Written, failed or called off.
    ended: usize,
    /// All of them.
    total: usize,
}

/// How far a synthesis is.
#[utoipa::path(
    get,
    path = "/syntheses/{id}/progress",
    tag = "syntheses",
    params(("id" = SynthesisId, Path, description = "The synthesis")),
    responses((status = 200, description = "How far it is", body = SynthesisProgress)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn of_synthesis(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Named(id): Named<SynthesisId>,
) -> Result<Json<SynthesisProgress>, Problem> {
    WatchedSynthesis { id, caller }.look(&api).await?.map(Json).ok_or_else(|| no_such_synthesis(id))
}

/// An event of the stream of a synthesis.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is the schema of what is written line by line")]
pub(crate) struct SynthesisEvent {
    /// What has happened.
    event: EventName,
    /// Its number in this stream, from 0.
    #[schema(pattern = "^[0-9]+$")]
    id: String,
    /// How far the synthesis is, as JSON.
    #[schema(content_media_type = "application/json")]
    data: String,
}

/// The same as a stream of server-sent events: `progress` at every change, `end` with the last one, then the stream ends.
#[utoipa::path(
    get,
    path = "/syntheses/{id}/events",
    tag = "syntheses",
    params(("id" = SynthesisId, Path, description = "The synthesis")),
    responses((status = 200, description = "A stream; the schema is that of one event", body = SynthesisEvent, content_type = "text/event-stream")),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn events_of_synthesis(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Named(id): Named<SynthesisId>,
) -> Result<impl IntoResponse, Problem> {
    stream(api, WatchedSynthesis { id, caller }).await
}

struct WatchedSynthesis {
    id: SynthesisId,
    caller: Caller,
}

impl Watched for WatchedSynthesis {
    type Progress = SynthesisProgress;

    async fn look(&self, api: &Api) -> Result<Option<SynthesisProgress>, Problem> {
        let row = synthesis::by_id(api.database().read(), self.id).await?;
        let row = row.filter(|row| self.caller.may_see(row.visibility, row.creator_id.as_deref()));
        let Some(row) = row else { return Ok(None) };
        let parts = match SynthesisType::of(&row) {
            SynthesisType::Synthesis => Vec::new(),
            SynthesisType::Supersynthesis => synthesis_link::parts_of(api.database().read(), row.id).await?,
        };
        let ended = parts.iter().filter(|part| part.has_ended()).count();
        Ok(Some(SynthesisProgress {
            parts: (!parts.is_empty()).then_some(PartsProgress { ended, total: parts.len() }),
            id: row.id,
            status: status_of_synthesis(row.state),
            state: row.state.into(),
            attempts: row.attempts,
            job_id: row.job_id,
            version: row.current_version,
            error: public_error(&row),
        }))
    }

    fn has_ended(progress: &SynthesisProgress) -> bool {
        matches!(progress.status, Status::Completed | Status::Failed)
    }
}

/// What has a text from some of its parts has a text.
fn status_of_synthesis(state: SynthesisState) -> Status {
    match state {
        SynthesisState::Pending => Status::Pending,
        SynthesisState::Running => Status::Running,
        SynthesisState::Completed | SynthesisState::Partial => Status::Completed,
        SynthesisState::Error => Status::Failed,
    }
}

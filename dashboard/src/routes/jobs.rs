//! `/jobs`.

use ackord_entities::ids::JobId;
use ackord_entities::queue::job::{self, Filter};
use ackord_entities::queue::state::{JobState, ShownState};
use ackord_producer::operate::{self, CancelOutcome, RetryOutcome};
use ackord_producer::story::{JobView, Story};
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::api::Api;
use crate::body::{MaybeJson, Named, Params, moment};
use crate::caller::{Operator, Viewer};
use crate::cursor::{List, Page, limit};
use crate::problem::Problem;

/// The shown states are not stored, so a page of them may take several looks; no request takes more than so many.
const LOOKS: usize = 20;

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobsQuery {
    /// Only this kind.
    kind: Option<String>,
    /// Only these states, joined by commas: `scheduled`, `retrying`, `deferred`, `queued`, `running`, `succeeded`, `failed`, `dead`,
    /// `cancelled`.
    #[param(example = "failed,dead")]
    state: Option<String>,
    /// Only jobs about this.
    #[param(example = "graph:default")]
    subject: Option<String>,
    /// Only jobs that this one published.
    #[param(value_type = Option<JobId>)]
    parent: Option<JobId>,
    /// Only jobs published at this time or later.
    since: Option<DateTime<Utc>>,
    /// Where to go on: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items of a page: 1 to 200, usually 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

impl JobsQuery {
    fn states(&self) -> Result<Vec<ShownState>, Problem> {
        let words = self.state.iter().flat_map(|states| states.split(','));
        words
            .map(|word| {
                serde_json::from_value(Value::String(word.trim().to_owned())).map_err(|_| {
                    Problem::bad_request("invalid_query", format!("there is no state `{word}`")).at("state")
                })
            })
            .collect()
    }
}

/// List jobs, newest first. A page may be short although more follow: `next_cursor` tells.
#[utoipa::path(
    get,
    path = "/jobs",
    tag = "jobs",
    params(JobsQuery),
    responses((status = 200, description = "A page of jobs", body = Page<JobView>)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn list(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Params(query): Params<JobsQuery>,
) -> Result<Json<Page<JobView>>, Problem> {
    let shown = query.states()?;
    let size = limit(query.limit)?;
    let list = List::new("jobs", &(&query.kind, &query.state, &query.subject, query.parent, query.since));
    let mut states: Vec<JobState> = shown.iter().map(|state| state.stored()).collect();
    states.sort_by_key(|state| *state as u8);
    states.dedup();
    let mut filter = Filter {
        kind: query.kind,
        states,
        subject: query.subject,
        parent: query.parent,
        since: moment("since", query.since)?,
        before: list.id(query.cursor.as_deref())?.map(JobId),
    };
    let read = api.database().read();
    let now = api.database().clock().now(read).await?;
    let mut items: Vec<JobView> = Vec::new();
    for _ in 0..LOOKS {
        let rows = job::list(read, &filter, size + 1).await?;
        let last = rows.last().map(|job| job.id);
        let is_end = (rows.len() as u64) <= size;
        let views = JobView::of_all(api.database(), &rows, caller.audience(), now).await?;
        items.extend(views.into_iter().filter(|job| shown.is_empty() || shown.contains(&job.state)));
        if is_end || (items.len() as u64) > size {
            return Ok(Json(list.page(items, size, |job| job.id.0.as_bytes().to_vec())));
        }
        filter.before = last;
    }
    // There may be more of them further back: the caller decides whether to look there.
    let next_cursor = filter.before.map(|before| list.cursor(before.0.as_bytes()));
    Ok(Json(Page { items, next_cursor }))
}

/// The whole story of a job, and why it is not running where it waits. Payload, worker and causes are shown to operators.
#[utoipa::path(
    get,
    path = "/jobs/{id}",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job")),
    responses((status = 200, description = "The story", body = Story)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn show(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Named(id): Named<JobId>,
) -> Result<Json<Story>, Problem> {
    let story = Story::read(api.database(), id, caller.audience(), None).await?;
    story.map(Json).ok_or_else(|| no_such_job(id))
}

/// Why it is done, for the audit.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Why {
    /// In the caller's words.
    #[schema(example = "ordered twice")]
    pub(crate) reason: Option<String>,
}

/// What a verb did to a job.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobDone {
    /// The job.
    id: JobId,
    /// What was done.
    outcome: JobOutcome,
}

/// What was done to a job.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobOutcome {
    /// A worker ends it.
    CancelRequested,
    /// It was called off before.
    AlreadyCancelled,
    /// It is due now.
    DueNow,
    /// It does not wait for a time.
    AlreadyQueued,
}

/// Call a job off: a waiting one at once, a running one within about a second.
#[utoipa::path(
    post,
    path = "/jobs/{id}/cancel",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job")),
    request_body(content = Option<Why>),
    responses(
        (status = 200, description = "It is called off; a worker ends it", body = JobDone),
        (status = 409, description = "It has ended otherwise: there is nothing to call off"),
    ),
    security(("token" = ["operator"]))
)]
pub(crate) async fn cancel(
    Operator(caller): Operator,
    State(api): State<Api>,
    Named(id): Named<JobId>,
    MaybeJson(why): MaybeJson<Why>,
) -> Result<Json<JobDone>, Problem> {
    let cancelled = async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        let outcome = operate::cancel(&tx, id, &caller.operator(why.reason), now).await?;
        tx.commit().await?;
        Ok::<_, Problem>(outcome)
    };
    let outcome = match api.database().within_limit(cancelled).await? {
        CancelOutcome::NotFound => return Err(no_such_job(id)),
        CancelOutcome::AlreadyEnded(JobState::Cancelled) => JobOutcome::AlreadyCancelled,
        CancelOutcome::AlreadyEnded(state) => return Err(ended(id, state)),
        CancelOutcome::Requested => JobOutcome::CancelRequested,
    };
    api.doorbell().ring();
    Ok(Json(JobDone { id, outcome }))
}

/// Run a scheduled, retrying or deferred job now instead of later. A dead one comes back through its dead letter.
#[utoipa::path(
    post,
    path = "/jobs/{id}/retry",
    tag = "jobs",
    params(("id" = JobId, Path, description = "The job")),
    request_body(content = Option<Why>),
    responses(
        (status = 200, description = "It does not wait for a time any more", body = JobDone),
        (status = 409, description = "It has ended"),
    ),
    security(("token" = ["operator"]))
)]
pub(crate) async fn retry(
    Operator(caller): Operator,
    State(api): State<Api>,
    Named(id): Named<JobId>,
    MaybeJson(why): MaybeJson<Why>,
) -> Result<Json<JobDone>, Problem> {
    let retried = async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        let outcome = operate::retry_now(&tx, id, &caller.operator(why.reason), now).await?;
        tx.commit().await?;
        Ok::<_, Problem>(outcome)
    };
    let outcome = match api.database().within_limit(retried).await? {
        RetryOutcome::NotFound => return Err(no_such_job(id)),
        RetryOutcome::Ended(state) => return Err(ended(id, state)),
        RetryOutcome::DueNow => JobOutcome::DueNow,
        RetryOutcome::AlreadyQueued => JobOutcome::AlreadyQueued,
    };
    api.doorbell().ring();
    Ok(Json(JobDone { id, outcome }))
}

pub(super) fn no_such_job(id: JobId) -> Problem {
    Problem::not_found(format!("there is no job {id}"))
}

fn ended(id: JobId, state: JobState) -> Problem {
    let detail = match state {
        JobState::Dead => format!("job {id} is dead: replay its dead letter"),
        state => format!("job {id} has ended as {state}"),
    };
    Problem::conflict("already_ended", detail).with("state", state)
}

//! `/dead-letters`.

use ackord_entities::ids::{DeadLetterId, JobId};
use ackord_entities::queue::dead_letter::{self, Filter, LetterState, Reason};
use ackord_producer::operate::{self, Edit, Patch, ReplayError, payload_diff, prepare};
use ackord_producer::story::{GroupView, LetterView, WholeLetter};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::selection::reason;
use crate::api::Api;
use crate::body::{MaybeJson, Named, Params, moment};
use crate::caller::{Operator, Viewer};
use crate::cursor::{List, Page, limit};
use crate::problem::Problem;

#[derive(Clone, Debug, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LettersQuery {
    /// Only these: `open` (usually), `replayed`, `discarded` or `all`.
    #[param(inline)]
    state: Option<Wanted>,
    /// Only this kind.
    kind: Option<String>,
    /// Only those given up for this reason.
    #[param(value_type = Option<Reason>)]
    reason: Option<String>,
    /// Only those whose error has this code.
    error_code: Option<String>,
    /// Only those from this queue.
    #[param(example = "ackord.synthesis")]
    queue: Option<String>,
    /// Only those that failed alike.
    fingerprint: Option<String>,
    /// Only those given up at this time or later.
    since: Option<DateTime<Utc>>,
    /// Only those given up before this time.
    until: Option<DateTime<Utc>>,
    /// Where to go on: `next_cursor` of the page before. Not for groups.
    #[serde(skip_serializing)]
    cursor: Option<String>,
    /// Items of a page: 1 to 200, usually 50.
    #[serde(skip_serializing)]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// Which dead letters, by what became of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wanted {
    /// Those that wait for an operator.
    Open,
    /// Those whose jobs got another life.
    Replayed,
    /// Those that were given up for good.
    Discarded,
    /// All.
    All,
}

impl LettersQuery {
    fn filter(&self) -> Result<Filter, Problem> {
        Ok(Filter {
            kind: self.kind.clone(),
            reason: self.reason.as_deref().map(|word| reason(word, "reason")).transpose()?,
            error_code: self.error_code.clone(),
            queue: self.queue.clone(),
            fingerprint: self.fingerprint.clone(),
            since: moment("since", self.since)?,
            until: moment("until", self.until)?,
            state: match self.state.unwrap_or(Wanted::Open) {
                Wanted::Open => Some(LetterState::Open),
                Wanted::Replayed => Some(LetterState::Replayed),
                Wanted::Discarded => Some(LetterState::Discarded),
                Wanted::All => None,
            },
            before: None,
        })
    }
}

/// List dead letters, newest first.
#[utoipa::path(
    get,
    path = "/dead-letters",
    tag = "dead letters",
    params(LettersQuery),
    responses((status = 200, description = "A page of dead letters", body = Page<LetterView>)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn list(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Params(query): Params<LettersQuery>,
) -> Result<Json<Page<LetterView>>, Problem> {
    let size = limit(query.limit)?;
    let list = List::new("dead-letters", &query);
    let mut filter = query.filter()?;
    filter.before = list.id(query.cursor.as_deref())?.map(DeadLetterId);
    let rows = dead_letter::list(api.database().read(), &filter, size + 1).await?;
    let page = list.page(rows, size, |row| row.id.0.as_bytes().to_vec());
    Ok(Json(page.map(|row| LetterView::new(row, caller.audience()))))
}

/// Dead letters that failed alike, as one.
#[derive(Serialize, ToSchema)]
pub(crate) struct Groups {
    /// The largest first.
    groups: Vec<GroupView>,
    /// Whether there are more than `limit`.
    more: bool,
}

/// Group dead letters by what failed, the largest group first.
#[utoipa::path(
    get,
    path = "/dead-letters/groups",
    tag = "dead letters",
    params(LettersQuery),
    responses((status = 200, description = "The largest groups", body = Groups)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn groups(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Params(query): Params<LettersQuery>,
) -> Result<Json<Groups>, Problem> {
    let size = limit(query.limit)?;
    if query.cursor.is_some() {
        let detail = "groups have no pages: narrow them, or raise the limit";
        return Err(Problem::bad_request("invalid_query", detail).at("cursor"));
    }
    let mut groups = dead_letter::groups(api.database().read(), &query.filter()?, size + 1).await?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = groups.len() > size;
    groups.truncate(size);
    let groups = groups.into_iter().map(|group| GroupView::new(group, caller.audience())).collect();
    Ok(Json(Groups { groups, more }))
}

/// A dead letter with everything.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeadLetterWithBody {
    #[serde(flatten)]
    whole: WholeLetter,
    /// The raw body in base64.
    body_base64: String,
}

/// A dead letter with its headers and its raw body.
#[utoipa::path(
    get,
    path = "/dead-letters/{id}",
    tag = "dead letters",
    params(("id" = DeadLetterId, Path, description = "The dead letter")),
    responses((status = 200, description = "The dead letter", body = DeadLetterWithBody)),
    security(("token" = ["operator"]))
)]
pub(crate) async fn show(
    Operator(_): Operator,
    State(api): State<Api>,
    Named(id): Named<DeadLetterId>,
) -> Result<Json<DeadLetterWithBody>, Problem> {
    let row = find(&api, id).await?;
    Ok(Json(DeadLetterWithBody { body_base64: STANDARD.encode(&row.body), whole: row.into() }))
}

async fn find(api: &Api, id: DeadLetterId) -> Result<dead_letter::Model, Problem> {
    let row = dead_letter::find(api.database().read(), id).await?;
    row.ok_or_else(|| Problem::not_found(format!("there is no dead letter {id}")))
}

/// How to replay one dead letter.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayOne {
    /// Another payload, in the newest shape of its kind.
    #[schema(value_type = Option<Object>)]
    payload: Option<Value>,
    /// A JSON Patch (RFC 6902) for the payload.
    #[schema(value_type = Option<Vec<Object>>)]
    patch: Option<Value>,
    /// Show what would happen and change nothing.
    #[serde(default)]
    #[schema(default = false)]
    dry_run: bool,
    /// Why, for the audit.
    reason: Option<String>,
}

/// What became of one dead letter.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReplayedOne {
    /// The dead letter.
    id: DeadLetterId,
    /// Its job: the same as before.
    job_id: Option<JobId>,
    /// The seq of the job's new message.
    seq: Option<i32>,
    /// Whether its job has another payload now, or would have.
    payload_edited: bool,
    /// What the edit changes, as a unified diff.
    diff: Option<String>,
    /// False in a dry run.
    changed: bool,
}

/// Give the job of a dead letter another life, with the payload that it had or an edited one. It keeps its id, so its effect still
/// happens at most once.
#[utoipa::path(
    post,
    path = "/dead-letters/{id}/replay",
    tag = "dead letters",
    params(("id" = DeadLetterId, Path, description = "The dead letter")),
    request_body(content = Option<ReplayOne>),
    responses(
        (status = 200, description = "Its job has another life, or would have", body = ReplayedOne),
        (status = 409, description = "It was dealt with before, its job is not dead, or another job holds the dedup key"),
    ),
    security(("token" = ["operator"]))
)]
pub(crate) async fn replay(
    Operator(caller): Operator,
    State(api): State<Api>,
    Named(id): Named<DeadLetterId>,
    MaybeJson(wish): MaybeJson<ReplayOne>,
) -> Result<Json<ReplayedOne>, Problem> {
    let patch = wish.patch.as_ref().map(read_patch).transpose()?;
    let payload = wish.payload.map(|payload| payload.to_string());
    let edit = match (&payload, &patch) {
        (Some(_), Some(_)) => return Err(Problem::invalid("patch", "give either a payload or a patch")),
        (Some(payload), None) => Edit::Payload(payload),
        (None, Some(patch)) => Edit::Patch(patch),
        (None, None) => Edit::None,
    };
    let letter = find(&api, id).await?;
    if letter.state != LetterState::Open {
        return Err(ReplayError::NotOpen { id, state: letter.state, by: letter.resolved_by }.into());
    }
    let prepared = prepare(api.catalogue(), &letter, edit)?;
    let diff = prepared.edited.as_ref().map(|after| {
        let before = String::from_utf8_lossy(&letter.body);
        payload_diff(&before, after)
    });
    let mut done = ReplayedOne {
        id,
        job_id: letter.job_id,
        seq: None,
        payload_edited: prepared.edited.is_some(),
        diff,
        changed: false,
    };
    if wish.dry_run {
        return Ok(Json(done));
    }
    let replayed = async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        let operator = caller.operator(wish.reason);
        let replayed = operate::replay(&tx, api.catalogue(), id, edit, &operator, now).await?;
        tx.commit().await?;
        Ok::<_, Problem>(replayed)
    };
    let replayed = api.database().within_limit(replayed).await?;
    api.doorbell().ring();
    (done.job_id, done.seq, done.changed) = (Some(replayed.job), Some(replayed.seq), true);
    Ok(Json(done))
}

pub(super) fn read_patch(patch: &Value) -> Result<Patch, Problem> {
    Patch::parse(&patch.to_string()).map_err(|error| Problem::invalid("patch", error.to_string()))
}

impl From<ReplayError> for Problem {
    fn from(error: ReplayError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        match error {
            ReplayError::NotFound(_) => Self::not_found(detail),
            ReplayError::Payload(error) => error.into(),
            ReplayError::Patch(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail).at("patch"),
            ReplayError::DedupKeyTaken { holder, .. } => Self::conflict(code, detail).with("job_id", holder),
            ReplayError::Database(error) => error.into(),
            _ => Self::conflict(code, detail),
        }
    }
}

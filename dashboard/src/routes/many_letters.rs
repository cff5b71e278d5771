//! `/dead-letters/replay` and `/dead-letters/discard`: many dead letters at once.

use ackord_producer::operate::{self, Checked, RunRequest, Started, check_patch};
use ackord_producer::story::RunView;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::dead_letters::read_patch;
use super::selection::Selection;
use crate::api::Api;
use crate::body;
use crate::caller::Operator;
use crate::problem::Problem;

/// Letters that one transaction closes: on SQLite, nobody else writes meanwhile.
const STEP: usize = 1_000;
/// Percentage of a step of a replay run that may fail again, where nothing else is asked for.
const TOLERANCE: u8 = 10;

/// How to replay many dead letters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayMany {
    /// Which.
    selection: Selection,
    /// A JSON Patch (RFC 6902) for every payload. It is tried on all of them before anything changes.
    #[schema(value_type = Option<Vec<Object>>)]
    patch: Option<Value>,
    /// Percentage of a step that may fail again before the run stops.
    #[schema(minimum = 0, maximum = 100, default = 10)]
    tolerate: Option<u8>,
    /// Show what would happen and change nothing.
    #[serde(default)]
    #[schema(default = false)]
    dry_run: bool,
    /// Why, for the audit.
    reason: Option<String>,
}

/// What became of a wish to replay many.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReplayedMany {
    /// Open letters that were meant.
    letters: usize,
    /// Named ones that somebody dealt with before.
    dealt_with_before: usize,
    /// What the patch does.
    patch: Option<Checked>,
    /// The run: a new one, or the running one that has these letters; null in a dry run, and where nothing is open.
    run: Option<RunView>,
    /// Whether a run was started.
    changed: bool,
}

/// Replay many dead letters as a run: a durable job that sends 1, then 10, 100, 1000 and so on, waits each time until those have ended,
/// and stops by itself when they fail again.
#[utoipa::path(
    post,
    path = "/dead-letters/replay",
    tag = "dead letters",
    request_body(content = ReplayMany),
    responses(
        (status = 200, description = "A dry run, or nothing new", body = ReplayedMany),
        (status = 202, description = "The run has begun; `Location` is where it is shown", body = ReplayedMany, headers(("location" = String))),
        (status = 404, description = "A named dead letter is not there"),
    ),
    security(("token" = ["operator"]))
)]
pub(crate) async fn replay(
    Operator(caller): Operator,
    State(api): State<Api>,
    body::Json(wish): body::Json<ReplayMany>,
) -> Result<Response, Problem> {
    let tolerance = wish.tolerate.unwrap_or(TOLERANCE);
    if tolerance > 100 {
        return Err(Problem::invalid("tolerate", "give a percentage: 0 to 100"));
    }
    let patch = wish.patch.as_ref().map(read_patch).transpose()?;
    let selected = wish.selection.select(&api).await?;
    let checked = match &patch {
        Some(patch) => Some(check_patch(api.database(), api.catalogue(), patch, &selected.ids).await?),
        None => None,
    };
    let mut answer = ReplayedMany {
        letters: selected.ids.len(),
        dealt_with_before: selected.dealt_with_before,
        patch: checked,
        run: None,
        changed: false,
    };
    if wish.dry_run {
        return Ok(Json(answer).into_response());
    }
    if let Some(checked) = answer.patch.as_ref().filter(|checked| checked.failing > 0) {
        let detail = format!("the patch does not fit {} of {} dead letters", checked.failing, checked.all());
        return Err(Problem::invalid("patch", detail).with("failures", &checked.failures));
    }
    let started = async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        let request = RunRequest {
            selection: &selected.words,
            shown: &selected.shown,
            letters: &selected.ids,
            patch: patch.as_ref(),
            tolerance,
        };
        let started = operate::start_run(&tx, request, &caller.operator(wish.reason), now).await?;
        match started {
            Started::Run { .. } => tx.commit().await?,
            Started::Running(_) | Started::Nothing => tx.rollback().await?,
        }
        Ok::<_, Problem>(started)
    };
    let run = match Box::pin(api.database().within_limit(started)).await? {
        Started::Nothing => return Ok(Json(answer).into_response()),
        Started::Running(run) => run,
        Started::Run { run, .. } => {
            api.doorbell().ring();
            answer.changed = true;
            run
        }
    };
    answer.run = RunView::of(api.database(), run).await?;
    if !answer.changed {
        return Ok(Json(answer).into_response());
    }
    let location = [(axum::http::header::LOCATION, format!("/api/v1/replay-runs/{run}"))];
    Ok((StatusCode::ACCEPTED, location, Json(answer)).into_response())
}

/// Which dead letters to give up for good.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiscardMany {
    /// Which.
    selection: Selection,
    /// Show what would happen and change nothing.
    #[serde(default)]
    #[schema(default = false)]
    dry_run: bool,
    /// Why, for the audit.
    reason: Option<String>,
}

/// What became of a wish to discard many.
#[derive(Serialize, ToSchema)]
pub(crate) struct DiscardedMany {
    /// Letters that were open and are discarded, or would be.
    discarded: u64,
    /// Named ones that somebody dealt with before.
    dealt_with_before: usize,
    /// Whether anything was changed.
    changed: bool,
}

/// Give dead letters up for good; their rows stay until their retention ends.
#[utoipa::path(
    post,
    path = "/dead-letters/discard",
    tag = "dead letters",
    request_body(content = DiscardMany),
    responses(
        (status = 200, description = "How many", body = DiscardedMany),
        (status = 404, description = "A named dead letter is not there"),
    ),
    security(("token" = ["operator"]))
)]
pub(crate) async fn discard(
    Operator(caller): Operator,
    State(api): State<Api>,
    body::Json(wish): body::Json<DiscardMany>,
) -> Result<Json<DiscardedMany>, Problem> {
    let selected = wish.selection.select(&api).await?;
    let dealt_with_before = selected.dealt_with_before;
    if wish.dry_run {
        let discarded = selected.ids.len() as u64;
        return Ok(Json(DiscardedMany { discarded, dealt_with_before, changed: false }));
    }
    let operator = caller.operator(wish.reason);
    let mut discarded = 0;
    for step in selected.ids.chunks(STEP) {
        let closed = async {
            let tx = api.database().begin().await?;
            let now = api.database().clock().now(&tx).await?;
            let closed = operate::discard(&tx, step, &operator, now).await?;
            tx.commit().await?;
            Ok::<_, Problem>(closed)
        };
        discarded += api.database().within_limit(closed).await?;
    }
    Ok(Json(DiscardedMany { discarded, dealt_with_before, changed: discarded > 0 }))
}

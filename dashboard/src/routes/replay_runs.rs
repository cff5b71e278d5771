//! `/replay-runs`: many dead letters on their way back.

use ackord_entities::ids::ReplayRunId;
use ackord_entities::queue::replay_run::{self, RunState};
use ackord_producer::operate::{ResumeOutcome, StopOutcome, resume_run, stop_run};
use ackord_producer::story::RunView;
use axum::Json;
use axum::extract::State;
use sea_orm::ActiveEnum as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::jobs::Why;
use crate::api::Api;
use crate::body::{MaybeJson, Named, Params};
use crate::caller::Operator;
use crate::cursor::{List, Page, limit};
use crate::problem::Problem;

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RunsQuery {
    /// Only these: `running`, `stopped`, `finished`.
    #[param(value_type = Option<RunState>)]
    state: Option<String>,
    /// Where to go on: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items of a page: 1 to 200, usually 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// List replay runs, newest first.
#[utoipa::path(
    get,
    path = "/replay-runs",
    tag = "dead letters",
    params(RunsQuery),
    responses((status = 200, description = "A page of runs", body = Page<RunView>)),
    security(("token" = ["operator"]))
)]
pub(crate) async fn list(
    Operator(_): Operator,
    State(api): State<Api>,
    Params(query): Params<RunsQuery>,
) -> Result<Json<Page<RunView>>, Problem> {
    let size = limit(query.limit)?;
    let list = List::new("replay-runs", &query.state);
    let before = list.id(query.cursor.as_deref())?.map(ReplayRunId);
    let state = query.state.as_ref().map(|word| {
        RunState::try_from_value(word).map_err(|_| {
            let detail = format!("there is no state `{word}`: give running, stopped or finished");
            Problem::bad_request("invalid_query", detail).at("state")
        })
    });
    let rows = replay_run::list(api.database().read(), state.transpose()?, before, size + 1).await?;
    let page = list.page(rows, size, |row| row.id.0.as_bytes().to_vec());
    let mut items = Vec::with_capacity(page.items.len());
    for row in page.items {
        items.push(RunView::read(api.database(), row).await?);
    }
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

/// A run: its steps, what failed again, what was left out and why.
#[utoipa::path(
    get,
    path = "/replay-runs/{id}",
    tag = "dead letters",
    params(("id" = ReplayRunId, Path, description = "The run")),
    responses((status = 200, description = "The run", body = RunView)),
    security(("token" = ["operator"]))
)]
pub(crate) async fn show(
    Operator(_): Operator,
    State(api): State<Api>,
    Named(id): Named<ReplayRunId>,
) -> Result<Json<RunView>, Problem> {
    view(&api, id).await.map(Json)
}

/// What a verb did to a run.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunDone {
    /// The run as it is now.
    run: RunView,
    /// Whether anything was changed.
    changed: bool,
}

/// Stop a run: nothing more goes out; what went out goes on, the other letters stay as they are.
#[utoipa::path(
    post,
    path = "/replay-runs/{id}/stop",
    tag = "dead letters",
    params(("id" = ReplayRunId, Path, description = "The run")),
    request_body(content = Option<Why>),
    responses((status = 200, description = "It does not run", body = RunDone)),
    security(("token" = ["operator"]))
)]
pub(crate) async fn stop(
    Operator(caller): Operator,
    State(api): State<Api>,
    Named(id): Named<ReplayRunId>,
    MaybeJson(why): MaybeJson<Why>,
) -> Result<Json<RunDone>, Problem> {
    let stopped = async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        let outcome = stop_run(&tx, id, &caller.operator(why.reason), now).await?;
        tx.commit().await?;
        Ok::<_, Problem>(outcome)
    };
    let changed = match api.database().within_limit(stopped).await? {
        StopOutcome::NotFound => return Err(no_such_run(id)),
        StopOutcome::NotRunning(_) => false,
        StopOutcome::Stopped => true,
    };
    api.doorbell().ring();
    Ok(Json(RunDone { run: view(&api, id).await?, changed }))
}

/// Let a stopped run go on with the letters that are left, with one letter first.
#[utoipa::path(
    post,
    path = "/replay-runs/{id}/resume",
    tag = "dead letters",
    params(("id" = ReplayRunId, Path, description = "The run")),
    request_body(content = Option<Why>),
    responses(
        (status = 200, description = "It runs", body = RunDone),
        (status = 409, description = "It is finished, or another run of the same letters is running"),
    ),
    security(("token" = ["operator"]))
)]
pub(crate) async fn resume(
    Operator(caller): Operator,
    State(api): State<Api>,
    Named(id): Named<ReplayRunId>,
    MaybeJson(why): MaybeJson<Why>,
) -> Result<Json<RunDone>, Problem> {
    let resumed = async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        let outcome = resume_run(&tx, id, &caller.operator(why.reason), now).await?;
        tx.commit().await?;
        Ok::<_, Problem>(outcome)
    };
    let changed = match api.database().within_limit(resumed).await? {
        ResumeOutcome::NotFound => return Err(no_such_run(id)),
        ResumeOutcome::Finished => {
            return Err(Problem::conflict(
                "finished",
                "the run is finished: there is nothing left to replay",
            ));
        }
        ResumeOutcome::Replaced(other) => {
            let detail = format!("run {other} of the same letters is running: wait for it");
            return Err(Problem::conflict("replaced", detail).with("run_id", other));
        }
        ResumeOutcome::Running => false,
        ResumeOutcome::Resumed => true,
    };
    api.doorbell().ring();
    Ok(Json(RunDone { run: view(&api, id).await?, changed }))
}

async fn view(api: &Api, id: ReplayRunId) -> Result<RunView, Problem> {
    RunView::of(api.database(), id).await?.ok_or_else(|| no_such_run(id))
}

fn no_such_run(id: ReplayRunId) -> Problem {
    Problem::not_found(format!("there is no replay run {id}"))
}

//! `/graphs/{graph}/sync`: copying a graph to its read side.

use ackord_entities::graph::graphs;
use ackord_entities::ids::{GraphId, JobId};
use ackord_entities::jobs::SyncCycle;
use ackord_producer::story::SyncStory;
use ackord_producer::{Publish, enqueue};
use axum::Json;
use axum::extract::State;
use sea_orm::EntityTrait as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::syntheses::no_such_graph;
use crate::api::Api;
use crate::body::{MaybeJson, Named, Params};
use crate::caller::{Publisher, Viewer};
use crate::idempotency::{Key, Made};
use crate::problem::Problem;

/// Cycles that are shown where nothing else is said, and at most.
const USUAL: u16 = 10;
const MOST: u16 = 200;

/// How to copy a graph.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SyncWish {
    /// Copy everything again, and remove what is not there any more.
    #[serde(default)]
    #[schema(default = false)]
    afresh: bool,
}

/// A cycle that is going to copy a graph.
#[derive(Serialize, ToSchema)]
pub(crate) struct SyncPublished {
    /// The graph's name.
    graph: String,
    /// Its job: a new one, or the one that waits already.
    job_id: JobId,
    /// Whether one was waiting already: nothing was published.
    duplicate: bool,
}

/// Have what has changed in a graph copied to its read side. A graph whose cycle waits already gets no second one: what is copied is
/// what is there when it runs.
#[utoipa::path(
    post,
    path = "/graphs/{graph}/sync",
    tag = "sync",
    params(
        ("graph" = String, Path, description = "The graph, by its slug or its id", example = "default"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key with the same request publishes once", min_length = 1, max_length = 200, pattern = r"^[!-~]([ -~]*[!-~])?$"),
    ),
    request_body(content = Option<SyncWish>),
    responses((status = 202, description = "It is published; `Location` is its story", body = SyncPublished, headers(("location" = String)))),
    security(("token" = ["publisher"]))
)]
pub(crate) async fn run(
    Publisher(caller): Publisher,
    State(api): State<Api>,
    Named(graph): Named<String>,
    key: Key,
    MaybeJson(wish): MaybeJson<SyncWish>,
) -> Result<Made, Problem> {
    let graph = find(&api, &graph).await?;
    let request = json!(["sync", graph.slug, wish.afresh]);
    let published = async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        let job = SyncCycle { graph: graph.slug.clone(), afresh: wish.afresh };
        let enqueued = enqueue(&tx, &job, &Publish::at(now)).await?;
        let body =
            SyncPublished { graph: graph.slug.clone(), job_id: enqueued.id, duplicate: enqueued.duplicate };
        let made = Made::accepted(format!("/api/v1/jobs/{}", enqueued.id), &body)?;
        key.conclude(tx, &caller, &request, made, now).await
    };
    let made: Result<Made, Problem> = api.database().within_limit(published).await;
    api.doorbell().ring();
    made
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SyncQuery {
    /// How many of its cycles: 1 to 200, usually 10.
    #[param(minimum = 1, maximum = 200)]
    cycles: Option<u16>,
}

/// How the copying of a graph stands, and what its newest cycles did. Causes, and whose transaction holds it back, are shown to operators.
#[utoipa::path(
    get,
    path = "/graphs/{graph}/sync",
    tag = "sync",
    params(("graph" = String, Path, description = "The graph, by its slug or its id", example = "default"), SyncQuery),
    responses((status = 200, description = "How it stands", body = SyncStory)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn status(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Named(graph): Named<String>,
    Params(query): Params<SyncQuery>,
) -> Result<Json<SyncStory>, Problem> {
    let cycles = query.cycles.unwrap_or(USUAL);
    if !(1..=MOST).contains(&cycles) {
        let detail = format!("give a number from 1 to {MOST}");
        return Err(Problem::bad_request("invalid_query", detail).at("cycles"));
    }
    let graph = find(&api, &graph).await?;
    Ok(Json(SyncStory::read(api.database(), &graph, cycles.into(), caller.audience()).await?))
}

/// The graph of that slug or id.
pub(super) async fn find(api: &Api, name: &str) -> Result<graphs::Model, Problem> {
    let read = api.database().read();
    let found = match name.parse::<GraphId>() {
        Ok(id) => graphs::Entity::find_by_id(id).one(read).await?,
        Err(_) => graphs::by_slug(read, name).await?,
    };
    found.ok_or_else(|| no_such_graph(name))
}

//! `/kinds`.

use ackord_entities::queue::pause;
use ackord_producer::operate;
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::jobs::Why;
use crate::api::Api;
use crate::body::{MaybeJson, Named};
use crate::caller::{Operator, Viewer};
use crate::problem::Problem;

/// All kinds.
#[derive(Serialize, ToSchema)]
pub(crate) struct Kinds {
    /// By name.
    kinds: Vec<KindView>,
}

/// A kind of job.
#[derive(Serialize, ToSchema)]
#[schema(as = Kind)]
pub(crate) struct KindView {
    /// Its name.
    kind: &'static str,
    /// Version of its payload's shape.
    version: u16,
    /// JSON Schema (2020-12) of its payload.
    #[schema(value_type = Object)]
    schema: Value,
    /// Attempts that a job of it has.
    max_attempts: u32,
    /// How long one attempt may take.
    timeout_seconds: u64,
    /// Whether its messages may also be published straight over the broker.
    accepts_direct: bool,
    /// Who paused it and why, where it is paused.
    paused: Option<Paused>,
}

/// A kind that no worker takes messages of.
#[derive(Serialize, ToSchema)]
pub(crate) struct Paused {
    /// Since when.
    at: DateTime<Utc>,
    /// By whom.
    by: String,
    /// Why.
    reason: String,
}

/// List the kinds, each with the schema of its payload, and whether it is paused.
#[utoipa::path(
    get,
    path = "/kinds",
    tag = "kinds",
    responses((status = 200, description = "All kinds", body = Kinds)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn list(Viewer(_): Viewer, State(api): State<Api>) -> Result<Json<Kinds>, Problem> {
    let mut paused = pause::all(api.database().read()).await?;
    let kinds = api.catalogue().iter().map(|spec| KindView {
        kind: spec.kind,
        version: spec.version,
        schema: spec.schema().to_value(),
        max_attempts: spec.max_attempts,
        timeout_seconds: spec.timeout.as_secs(),
        accepts_direct: spec.accepts_direct,
        paused: paused.iter().position(|one| one.kind == spec.kind).map(|at| {
            let row = paused.swap_remove(at);
            Paused { at: row.paused_at, by: row.paused_by, reason: row.reason }
        }),
    });
    Ok(Json(Kinds { kinds: kinds.collect() }))
}

/// What a verb did to a kind.
#[derive(Serialize, ToSchema)]
pub(crate) struct KindDone {
    /// The kind.
    kind: String,
    /// Whether it is paused now.
    paused: bool,
    /// Whether that is new.
    changed: bool,
}

/// Pause a kind: workers take no more of its messages, what runs goes on, and what is published waits.
#[utoipa::path(
    post,
    path = "/kinds/{kind}/pause",
    tag = "kinds",
    params(("kind" = String, Path, description = "The kind")),
    request_body(content = Option<Why>),
    responses((status = 200, description = "It is paused", body = KindDone)),
    security(("token" = ["operator"]))
)]
pub(crate) async fn pause(
    Operator(caller): Operator,
    State(api): State<Api>,
    Named(kind): Named<String>,
    MaybeJson(why): MaybeJson<Why>,
) -> Result<Json<KindDone>, Problem> {
    set(&api, kind, true, &caller.operator(why.reason)).await
}

/// Resume a kind.
#[utoipa::path(
    post,
    path = "/kinds/{kind}/resume",
    tag = "kinds",
    params(("kind" = String, Path, description = "The kind")),
    request_body(content = Option<Why>),
    responses((status = 200, description = "It is not paused", body = KindDone)),
    security(("token" = ["operator"]))
)]
pub(crate) async fn resume(
    Operator(caller): Operator,
    State(api): State<Api>,
    Named(kind): Named<String>,
    MaybeJson(why): MaybeJson<Why>,
) -> Result<Json<KindDone>, Problem> {
    set(&api, kind, false, &caller.operator(why.reason)).await
}

async fn set(
    api: &Api,
    kind: String,
    paused: bool,
    operator: &operate::Operator,
) -> Result<Json<KindDone>, Problem> {
    if api.catalogue().get(&kind).is_none() {
        return Err(no_such_kind(api, &kind));
    }
    let written = async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        let changed = if paused {
            operate::pause(&tx, &kind, operator, now).await?
        } else {
            operate::resume(&tx, &kind, operator, now).await?
        };
        tx.commit().await?;
        Ok::<_, Problem>(changed)
    };
    let changed = api.database().within_limit(written).await?;
    api.doorbell().ring();
    Ok(Json(KindDone { kind, paused, changed }))
}

pub(super) fn no_such_kind(api: &Api, kind: &str) -> Problem {
    let known: Vec<&str> = api.catalogue().iter().map(|spec| spec.kind).collect();
    Problem::not_found(format!("there is no kind `{kind}`: the kinds are {}", known.join(", ")))
}

//! `/kinds/{kind}/jobs`: publishing.

use ackord_entities::clock::later;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::{Job as _, Recombination, Regeneration, Replay};
use ackord_producer::{Publish, enqueue_json};
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::api::Api;
use crate::body::{JsonText, Named, Params};
use crate::caller::{Caller, Publisher};
use crate::idempotency::{Key, Made};
use crate::problem::Problem;

/// Kinds that other verbs publish, which ask whether the caller may.
const INTERNAL: [&str; 3] = [Replay::KIND, Regeneration::KIND, Recombination::KIND];
/// A job can be published for ten years ahead.
const LONGEST_DELAY: u32 = 10 * 366 * 86_400;

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PublishQuery {
    /// Not before so many seconds from now.
    #[param(minimum = 0, maximum = 316_224_000)]
    delay_seconds: Option<u32>,
}

/// A published job.
#[derive(Serialize, ToSchema)]
pub(crate) struct Published {
    /// The job: a new one, or the one that holds the dedup key already.
    id: JobId,
    /// Its kind.
    kind: String,
    /// Whether it was there before.
    duplicate: bool,
    /// When it is due.
    due_at: DateTime<Utc>,
}

/// Publish a job of the kind that the path names. The body is its payload; `GET /kinds` has its schema.
///
/// The job is durable when the answer comes, whether the broker is there or not.
#[utoipa::path(
    post,
    path = "/kinds/{kind}/jobs",
    tag = "jobs",
    params(
        ("kind" = String, Path, description = "The kind", example = "synthesis"),
        PublishQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "The same key with the same request publishes once", min_length = 1, max_length = 200, pattern = r"^[!-~]([ -~]*[!-~])?$"),
    ),
    request_body(content = Value, content_type = "application/json", description = "The payload", example = json!({"topic": "How leases keep two workers apart"})),
    responses((status = 202, description = "It is published; `Location` is its story", body = Published, headers(("location" = String)))),
    security(("token" = ["publisher"]))
)]
pub(crate) async fn publish(
    Publisher(caller): Publisher,
    State(api): State<Api>,
    Named(kind): Named<String>,
    Params(query): Params<PublishQuery>,
    key: Key,
    JsonText(payload): JsonText,
) -> Result<Made, Problem> {
    let spec = api.catalogue().get(&kind).ok_or_else(|| super::kinds::no_such_kind(&api, &kind))?;
    // Before the database is asked: what does not fit needs none.
    spec.check(spec.version, payload.as_bytes())?;
    may_publish(&caller, &kind, &payload)?;
    let delay = query.delay_seconds.unwrap_or_default();
    if delay > LONGEST_DELAY {
        let detail = format!("give at most {LONGEST_DELAY} seconds");
        return Err(Problem::bad_request("invalid_query", detail).at("delay_seconds"));
    }
    let request = json!(["publish", kind, payload, delay]);
    let published = async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        let due_at = later(now, std::time::Duration::from_secs(delay.into()));
        let enqueued = enqueue_json(&tx, spec, &payload, &Publish::at(now).due_at(due_at)).await?;
        let body = Published { id: enqueued.id, kind: kind.clone(), duplicate: enqueued.duplicate, due_at };
        let made = Made::accepted(format!("/api/v1/jobs/{}", enqueued.id), &body)?;
        key.conclude(tx, &caller, &request, made, now).await
    };
    let made: Result<Made, Problem> = api.database().within_limit(published).await;
    api.doorbell().ring();
    made
}

/// What a publisher may not: lend himself another name, or an operator's verbs.
fn may_publish(caller: &Caller, kind: &str, payload: &str) -> Result<(), Problem> {
    if caller.is_operator() {
        return Ok(());
    }
    if INTERNAL.contains(&kind) {
        let detail = format!("jobs of the kind `{kind}` are published by ackord itself, and by operators");
        return Err(Problem::forbidden(detail));
    }
    let payload: Value = serde_json::from_str(payload)?;
    super::asking::may_create_for(caller, payload["creator_id"].as_str())
}

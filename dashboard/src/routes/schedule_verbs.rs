//! What is done to one schedule: `/schedules/{name}/enable`, `/disable`, `/fire`, and its removal.

use ackord_entities::ids::JobId;
use ackord_entities::queue::schedule::ScheduleName;
use ackord_producer::operate::{ScheduleError, enable_schedule, fire_schedule, remove_schedule};
use ackord_producer::schedules::CheckError;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::jobs::Why;
use crate::api::Api;
use crate::body::{MaybeJson, Named};
use crate::caller::{Caller, Operator};
use crate::idempotency::{Key, Made};
use crate::problem::Problem;

/// What a verb did to a schedule.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScheduleDone {
    /// The schedule.
    #[schema(value_type = String)]
    name: ScheduleName,
    /// Whether it ticks now.
    enabled: bool,
    /// Its next tick, if it has one.
    next_tick: Option<DateTime<Utc>>,
    /// Whether that is new.
    changed: bool,
}

/// Enable a schedule: it ticks from now on. What would have come meanwhile is not caught up with.
#[utoipa::path(
    post,
    path = "/schedules/{name}/enable",
    tag = "schedules",
    params(("name" = String, Path, description = "The schedule", min_length = 1, max_length = 100, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$")),
    request_body(content = Option<Why>),
    responses(
        (status = 200, description = "It ticks", body = ScheduleDone),
        (status = 409, description = "It names no moment to come, or its kind or payload does not fit any more (`cannot_tick`)"),
    ),
    security(("token" = ["operator"]))
)]
pub(crate) async fn enable(
    Operator(caller): Operator,
    State(api): State<Api>,
    Named(name): Named<ScheduleName>,
    MaybeJson(why): MaybeJson<Why>,
) -> Result<Json<ScheduleDone>, Problem> {
    set(&api, &caller, &name, true, why).await
}

/// Disable a schedule: it ticks no more until it is enabled. Its jobs go on.
#[utoipa::path(
    post,
    path = "/schedules/{name}/disable",
    tag = "schedules",
    params(("name" = String, Path, description = "The schedule", min_length = 1, max_length = 100, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$")),
    request_body(content = Option<Why>),
    responses((status = 200, description = "It does not tick", body = ScheduleDone)),
    security(("token" = ["operator"]))
)]
pub(crate) async fn disable(
    Operator(caller): Operator,
    State(api): State<Api>,
    Named(name): Named<ScheduleName>,
    MaybeJson(why): MaybeJson<Why>,
) -> Result<Json<ScheduleDone>, Problem> {
    set(&api, &caller, &name, false, why).await
}

async fn set(
    api: &Api,
    caller: &Caller,
    name: &ScheduleName,
    enabled: bool,
    why: Why,
) -> Result<Json<ScheduleDone>, Problem> {
    let operator = caller.operator(why.reason);
    let written = Box::pin(async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        let set = enable_schedule(&tx, api.catalogue(), name, enabled, &operator, now).await;
        let set = set.map_err(|error| cannot_tick(name, error))?;
        tx.commit().await?;
        Ok::<_, Problem>(set)
    });
    let (schedule, changed) = api.database().within_limit(written).await?;
    Ok(Json(ScheduleDone { name: schedule.name, enabled, next_tick: schedule.next_tick, changed }))
}

/// What fits no more is the state of things here, not the request's fault.
fn cannot_tick(name: &ScheduleName, error: ScheduleError) -> Problem {
    match error {
        ScheduleError::Check(
            error @ (CheckError::Field(_) | CheckError::Kind(_) | CheckError::Payload(_)),
        ) => Problem::conflict("cannot_tick", format!("schedule `{name}` cannot tick: {error}")),
        error => error.into(),
    }
}

/// A schedule that was fired by hand.
#[derive(Serialize, ToSchema)]
pub(crate) struct FiredSchedule {
    /// The job: a new one, or the one that holds the dedup key already.
    id: JobId,
    /// The schedule.
    #[schema(value_type = String)]
    name: ScheduleName,
    /// Whether the job was there before.
    duplicate: bool,
}

/// Fire a schedule now, whatever its ticks, its overlap and its being disabled say: a job of its own.
#[utoipa::path(
    post,
    path = "/schedules/{name}/fire",
    tag = "schedules",
    params(
        ("name" = String, Path, description = "The schedule", min_length = 1, max_length = 100, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key with the same request fires once", min_length = 1, max_length = 200, pattern = r"^[!-~]([ -~]*[!-~])?$"),
    ),
    request_body(content = Option<Why>),
    responses(
        (status = 202, description = "It is fired; `Location` is the story of its job", body = FiredSchedule, headers(("location" = String))),
        (status = 409, description = "Its kind or payload does not fit any more (`cannot_tick`)"),
    ),
    security(("token" = ["operator"]))
)]
pub(crate) async fn fire(
    Operator(caller): Operator,
    State(api): State<Api>,
    Named(name): Named<ScheduleName>,
    key: Key,
    MaybeJson(why): MaybeJson<Why>,
) -> Result<Made, Problem> {
    let request = json!(["fire", name, why.reason]);
    let operator = caller.operator(why.reason);
    let fired = Box::pin(async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        let fired = fire_schedule(&tx, api.catalogue(), &name, &operator, now).await;
        let fired = fired.map_err(|error| cannot_tick(&name, error))?;
        let body = FiredSchedule { id: fired.id, name: name.clone(), duplicate: fired.duplicate };
        let made = Made::accepted(format!("/api/v1/jobs/{}", fired.id), &body)?;
        key.conclude(tx, &caller, &request, made, now).await
    });
    let made: Result<Made, Problem> = api.database().within_limit(fired).await;
    api.doorbell().ring();
    made
}

/// Remove a schedule. Its jobs go on.
#[utoipa::path(
    delete,
    path = "/schedules/{name}",
    tag = "schedules",
    params(("name" = String, Path, description = "The schedule", min_length = 1, max_length = 100, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$")),
    responses((status = 204, description = "It is gone")),
    security(("token" = ["operator"]))
)]
pub(crate) async fn remove(
    Operator(caller): Operator,
    State(api): State<Api>,
    Named(name): Named<ScheduleName>,
) -> Result<StatusCode, Problem> {
    let operator = caller.operator(None);
    let removed = Box::pin(async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        remove_schedule(&tx, &name, &operator, now).await?;
        tx.commit().await?;
        Ok::<_, Problem>(())
    });
    api.database().within_limit(removed).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn no_such_schedule(name: &ScheduleName) -> Problem {
    Problem::not_found(format!("there is no schedule `{name}`"))
}

impl From<ScheduleError> for Problem {
    fn from(error: ScheduleError) -> Self {
        let detail = error.to_string();
        match error {
            ScheduleError::NotThere(name) => no_such_schedule(&name),
            ScheduleError::ChangedSince { version, .. } => {
                Self::conflict("changed_since", detail).at("version").with("version", version)
            }
            ScheduleError::Check(CheckError::Field(invalid)) => Self::invalid(invalid.field, invalid.reason),
            ScheduleError::Check(CheckError::Kind(_)) => Self::invalid("kind", detail),
            ScheduleError::Check(CheckError::Payload(error)) => error.into(),
            ScheduleError::Check(CheckError::Database(error)) | ScheduleError::Database(error) => {
                error.into()
            }
            ScheduleError::Publish(error) => error.into(),
            _ => Self::internal(),
        }
    }
}

//! `/schedules`: jobs by the clock.

use ackord_entities::jobs::Invalid;
use ackord_entities::queue::schedule::{self, CatchUp, Overlap, ScheduleName};
use ackord_producer::operate::{ScheduleWish, set_schedule};
use ackord_producer::schedules::Plan;
use ackord_producer::story::{NextTick, ScheduleView, WholeSchedule, next_ticks};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::api::Api;
use crate::body::{self, Named, Params, moment};
use crate::caller::{Operator, Viewer};
use crate::cursor::{List, Page, limit, wrong};
use crate::problem::Problem;

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SchedulesQuery {
    /// Where to go on: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items of a page: 1 to 200, usually 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// List the schedules by name, each with its next tick and what became of the last one. Payloads and reasons are shown to operators.
#[utoipa::path(
    get,
    path = "/schedules",
    tag = "schedules",
    params(SchedulesQuery),
    responses((status = 200, description = "A page of schedules", body = Page<ScheduleView>)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn list(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Params(query): Params<SchedulesQuery>,
) -> Result<Json<Page<ScheduleView>>, Problem> {
    let size = limit(query.limit)?;
    let list = List::new("schedules", &());
    let after = query.cursor.map(|cursor| name_in(&list, &cursor)).transpose()?;
    let read = api.database().read();
    let now = api.database().clock().now(read).await?;
    let rows = schedule::list(read, after.as_ref(), size + 1).await?;
    let page = list.page(rows, size, |row| row.name.as_str().as_bytes().to_vec());
    let items = ScheduleView::of_all(api.database(), page.items, caller.audience(), now).await?;
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

fn name_in(list: &List, cursor: &str) -> Result<ScheduleName, Problem> {
    String::from_utf8(list.place(cursor)?).ok().and_then(|name| name.parse().ok()).ok_or_else(wrong)
}

/// A schedule, its next ticks, and what became of the last ones. The payload and reasons are shown to operators.
#[utoipa::path(
    get,
    path = "/schedules/{name}",
    tag = "schedules",
    params(("name" = String, Path, description = "The schedule", min_length = 1, max_length = 100, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$")),
    responses((status = 200, description = "The schedule", body = WholeSchedule)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn show(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Named(name): Named<ScheduleName>,
) -> Result<Json<WholeSchedule>, Problem> {
    let row = schedule::find(api.database().read(), &name).await?;
    let row = row.ok_or_else(|| super::schedule_verbs::no_such_schedule(&name))?;
    Ok(Json(WholeSchedule::read(api.database(), row, caller.audience()).await?))
}

/// A schedule that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedSchedule {
    /// The kind of its jobs.
    #[schema(example = "synthesis")]
    kind: String,
    /// The payload of its jobs, of the kind's schema; `{}` without it.
    #[schema(value_type = Option<Value>, example = json!({ "topic": "Leases" }))]
    payload: Option<Box<RawValue>>,
    /// The cron expression: minute, hour, day of the month, month, day of the week, with the second in front of them if it matters.
    #[schema(min_length = 1, max_length = 200, example = "30 2 * * *")]
    expression: String,
    /// IANA name of the time zone in which it is meant; UTC without it.
    #[schema(example = "Europe/Berlin")]
    zone: Option<String>,
    /// What becomes of ticks that nobody fired in time: `none` are caught up with (usually), the `last` one, or `all:N`, up to N of the
    /// newest.
    #[schema(value_type = Option<String>, pattern = "^(none|last|all:([1-9][0-9]?|100))$", example = "last")]
    catch_up: Option<CatchUp>,
    /// What becomes of a tick while the job before it has not ended: it is skipped (usually), or fired all the same.
    overlap: Option<Overlap>,
    /// Whether it ticks; it does without it.
    enabled: Option<bool>,
    /// The version that was looked at: if it is another one by now, nothing is changed.
    #[schema(minimum = 1)]
    version: Option<i32>,
    /// Why, for the audit.
    reason: Option<String>,
}

/// A schedule that was set.
#[derive(Serialize, ToSchema)]
pub(crate) struct SetSchedule {
    /// As it is now.
    schedule: ScheduleView,
    /// Whether it is new.
    created: bool,
    /// Whether it was otherwise before.
    changed: bool,
}

/// Make a schedule, or make the one of that name what the body says. A change of when it ticks counts from now on.
#[utoipa::path(
    put,
    path = "/schedules/{name}",
    tag = "schedules",
    params(("name" = String, Path, description = "The schedule", min_length = 1, max_length = 100, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$")),
    request_body(content = WantedSchedule),
    responses(
        (status = 200, description = "It is like that", body = SetSchedule),
        (status = 201, description = "It is made", body = SetSchedule, headers(("location" = String))),
        (status = 409, description = "It was changed since that version (`changed_since`)"),
    ),
    security(("token" = ["operator"]))
)]
pub(crate) async fn set(
    Operator(caller): Operator,
    State(api): State<Api>,
    Named(name): Named<ScheduleName>,
    body::Json(wanted): body::Json<WantedSchedule>,
) -> Result<Response, Problem> {
    let operator = caller.operator(wanted.reason);
    let wish = ScheduleWish {
        kind: Some(&wanted.kind),
        payload: Some(wanted.payload.as_deref().map_or("{}", RawValue::get)),
        expression: Some(&wanted.expression),
        zone: Some(wanted.zone.as_deref().unwrap_or("UTC")),
        catch_up: Some(wanted.catch_up.unwrap_or(CatchUp::None)),
        overlap: Some(wanted.overlap.unwrap_or(Overlap::Skip)),
        enabled: Some(wanted.enabled.unwrap_or(true)),
        version: wanted.version,
    };
    let written = Box::pin(async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        let set = set_schedule(&tx, api.catalogue(), &name, &wish, &operator, now).await?;
        tx.commit().await?;
        Ok::<_, Problem>((set, now))
    });
    let (set, now) = api.database().within_limit(written).await?;
    let mut views = ScheduleView::of_all(api.database(), vec![set.schedule], caller.audience(), now).await?;
    let schedule = views.pop().ok_or_else(Problem::internal)?;
    let body = Json(SetSchedule { schedule, created: set.created, changed: set.changed });
    if set.created {
        let location = [(header::LOCATION, format!("/api/v1/schedules/{name}"))];
        return Ok((StatusCode::CREATED, location, body).into_response());
    }
    Ok(body.into_response())
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PreviewQuery {
    /// The cron expression.
    #[param(min_length = 1, max_length = 200, example = "30 2 * * *")]
    expression: String,
    /// IANA name of the time zone in which it is meant; UTC without it.
    #[param(example = "Europe/Berlin")]
    zone: Option<String>,
    /// From when on; now without it.
    after: Option<DateTime<Utc>>,
    /// How many: 1 to 200, usually 10.
    #[param(minimum = 1, maximum = 200)]
    count: Option<u16>,
}

/// What an expression names.
#[derive(Serialize, ToSchema)]
pub(crate) struct SchedulePreview {
    /// The moments, the next one first; fewer than were asked for when there are no more.
    next_ticks: Vec<NextTick>,
}

/// Show which moments a cron expression names, before a schedule is made of it.
#[utoipa::path(
    get,
    path = "/schedule-preview",
    tag = "schedules",
    params(PreviewQuery),
    responses((status = 200, description = "The moments", body = SchedulePreview)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn preview(
    Viewer(_): Viewer,
    State(api): State<Api>,
    Params(query): Params<PreviewQuery>,
) -> Result<Json<SchedulePreview>, Problem> {
    /// As many as a preview that says nothing else has.
    const USUAL: u16 = 10;
    let count = limit(Some(query.count.unwrap_or(USUAL))).map_err(|problem| problem.at("count"))?;
    let after = match moment("after", query.after)? {
        Some(after) => after,
        None => api.database().clock().now(api.database().read()).await?,
    };
    let plan = Plan::new(&query.expression, query.zone.as_deref().unwrap_or("UTC"));
    let plan =
        plan.map_err(|Invalid { field, reason }| Problem::bad_request("invalid_query", reason).at(field))?;
    let number = usize::try_from(count).unwrap_or_default();
    Ok(Json(SchedulePreview { next_ticks: next_ticks(&plan, after, number) }))
}

//! `/syntheses`: asked for, listed, shown, changed, removed.

use ackord_entities::graph::node::Visibility;
use ackord_entities::graph::synthesis::{self, Filter, Model, Seen, State as Stored};
use ackord_entities::graph::{graphs, super_synthesis};
use ackord_entities::ids::{JobId, SynthesisId};
use ackord_entities::queue::audit::{self, Deed, SubjectType};
use ackord_graph::synthesis::find_graph;
use ackord_producer::Publish;
use ackord_producer::syntheses::{self as verbs, RegenerateError};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::synthesis_view::{Standing, SynthesisType, SynthesisView, VisibleTo};
use crate::api::Api;
use crate::body::{Named, Params};
use crate::caller::{Caller, Publisher, Viewer};
use crate::cursor::{List, Page, limit, wrong};
use crate::idempotency::Made;
use crate::problem::Problem;

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SynthesesQuery {
    /// The graph, by its slug or its id; without one, `default`.
    graph: Option<String>,
    /// Only those of this type.
    #[serde(rename = "type")]
    #[param(inline)]
    synthesis_type: Option<SynthesisType>,
    /// Only those that stand there.
    #[param(inline)]
    state: Option<Standing>,
    /// Only those that these may see.
    #[param(inline)]
    visibility: Option<VisibleTo>,
    /// Only those that somebody asked for.
    creator: Option<String>,
    /// Where to go on: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items of a page: 1 to 200, usually 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// List the syntheses of a graph that the caller may see, newest first.
#[utoipa::path(
    get,
    path = "/syntheses",
    tag = "syntheses",
    params(SynthesesQuery),
    responses(
        (status = 200, description = "A page of syntheses", body = Page<SynthesisView>),
        (status = 404, description = "There is no such graph"),
    ),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn list(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Params(query): Params<SynthesesQuery>,
) -> Result<Json<Page<SynthesisView>>, Problem> {
    let size = limit(query.limit)?;
    let list = List::new(
        "syntheses",
        &(&query.graph, query.synthesis_type, query.state, query.visibility, &query.creator),
    );
    let read = api.database().read();
    let before = match &query.cursor {
        Some(cursor) => Some(place(&list.place(cursor)?)?),
        None => None,
    };
    let name = query.graph.as_deref().unwrap_or(graphs::DEFAULT);
    let graph = find_graph(read, name).await?.ok_or_else(|| no_such_graph(name))?;
    let filter = Filter {
        is_super: query.synthesis_type.map(|wanted| wanted == SynthesisType::Supersynthesis),
        state: query.state.map(Stored::from),
        visibility: query.visibility.map(Visibility::from),
        creator: query.creator.as_deref(),
        seen: if caller.is_operator() { Seen::All } else { Seen::By(caller.subject.as_deref()) },
        before,
    };
    let rows = synthesis::list(read, graph, &filter, size + 1).await?;
    let page = list.page(rows, size, |row| place_of(row.created_at, row.id));
    Ok(Json(page.map(SynthesisView::from)))
}

/// Microseconds and id: what the list is in the order of.
fn place_of(created_at: DateTime<Utc>, id: SynthesisId) -> Vec<u8> {
    let mut place = created_at.timestamp_micros().to_be_bytes().to_vec();
    place.extend_from_slice(id.0.as_bytes());
    place
}

fn place(bytes: &[u8]) -> Result<(DateTime<Utc>, SynthesisId), Problem> {
    let (micros, id) = bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
    let time = DateTime::from_timestamp_micros(i64::from_be_bytes(*micros)).ok_or_else(wrong)?;
    Ok((time, SynthesisId(uuid::Uuid::from_slice(id).map_err(|_| wrong())?)))
}

pub(super) fn no_such_graph(name: &str) -> Problem {
    Problem::not_found(format!("there is no graph `{name}`"))
}

/// A synthesis with its newest good text.
#[derive(Serialize, ToSchema)]
pub(crate) struct WholeSynthesis {
    /// Its head.
    #[serde(flatten)]
    head: SynthesisView,
    /// Why the last attempt failed, with all causes. Shown to operators.
    operator_error: Option<String>,
    /// The text, if there is one.
    text: Option<super::texts::TextView>,
    /// Its parts, and what it is a part of.
    family: super::family::FamilyView,
}

/// A synthesis: where it stands, its newest good text sentence by sentence, and what it refers to.
#[utoipa::path(
    get,
    path = "/syntheses/{id}",
    tag = "syntheses",
    params(("id" = SynthesisId, Path, description = "The synthesis")),
    responses((status = 200, description = "The synthesis", body = WholeSynthesis)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn show(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Named(id): Named<SynthesisId>,
) -> Result<Json<WholeSynthesis>, Problem> {
    let row = visible(&api, &caller, id).await?;
    whole(&api, &caller, row).await.map(Json)
}

async fn whole(api: &Api, caller: &Caller, row: Model) -> Result<WholeSynthesis, Problem> {
    let text = match row.current_version {
        Some(version) => super::texts::text_of(api, row.id, version).await?,
        None => None,
    };
    let family = super::family::family_of(api, caller, &row).await?;
    let operator_error = row.error_message.clone().filter(|_| caller.is_operator());
    Ok(WholeSynthesis { head: row.into(), operator_error, text, family })
}

/// The synthesis, if the caller may see it. Whoever may not is told what is true of any id: there is none.
pub(super) async fn visible(api: &Api, caller: &Caller, id: SynthesisId) -> Result<Model, Problem> {
    let row = synthesis::by_id(api.database().read(), id).await?;
    row.filter(|row| caller.may_see(row.visibility, row.creator_id.as_deref()))
        .ok_or_else(|| no_such_synthesis(id))
}

pub(super) fn no_such_synthesis(id: SynthesisId) -> Problem {
    Problem::not_found(format!("there is no synthesis {id}"))
}

/// What can be changed of a synthesis.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// Who may see it from now on.
    visibility: VisibleTo,
}

/// Change who may see a synthesis. For its creator, and operators.
#[utoipa::path(
    patch,
    path = "/syntheses/{id}",
    tag = "syntheses",
    params(("id" = SynthesisId, Path, description = "The synthesis")),
    request_body(content = Change),
    responses((status = 200, description = "As it is now", body = SynthesisView)),
    security(("token" = ["publisher"]))
)]
pub(crate) async fn change(
    Publisher(caller): Publisher,
    State(api): State<Api>,
    Named(id): Named<SynthesisId>,
    crate::body::Json(change): crate::body::Json<Change>,
) -> Result<Json<SynthesisView>, Problem> {
    own(&api, &caller, id).await?;
    let visibility = Visibility::from(change.visibility);
    let changed = async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        let before = synthesis::lock(&tx, id).await?.ok_or_else(|| no_such_synthesis(id))?;
        if before.visibility != visibility {
            synthesis::set_visibility(&tx, id, visibility, now).await?;
            let details = json!({ "visibility": change.visibility }).to_string();
            record(&tx, &caller, "change", id, Some(details), now).await?;
        }
        let row = synthesis::by_id(&tx, id).await?.ok_or_else(|| no_such_synthesis(id))?;
        tx.commit().await?;
        Ok::<_, Problem>(row)
    };
    Ok(Json(api.database().within_limit(changed).await?.into()))
}

/// Remove a synthesis with all its versions. One that is being written is refused: call its job off first.
#[utoipa::path(
    delete,
    path = "/syntheses/{id}",
    tag = "syntheses",
    params(("id" = SynthesisId, Path, description = "The synthesis")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 409, description = "It is being written; `job_id` is by which job, once it has begun"),
    ),
    security(("token" = ["publisher"]))
)]
pub(crate) async fn delete(
    Publisher(caller): Publisher,
    State(api): State<Api>,
    Named(id): Named<SynthesisId>,
) -> Result<StatusCode, Problem> {
    own(&api, &caller, id).await?;
    let deleted = async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        // In the order in which everybody locks them.
        super_synthesis::lock(&tx, id).await?;
        let row = synthesis::lock(&tx, id).await?.ok_or_else(|| no_such_synthesis(id))?;
        if row.is_in_flight() {
            let detail = "it is asked for or being written: call its job off first, or wait";
            return Err(Problem::conflict("in_flight", detail).with("job_id", row.job_id));
        }
        let removed = verbs::remove(&tx, id, &Publish::at(now)).await?;
        let parents = removed.map(|removed| removed.parents).unwrap_or_default();
        let details = json!({ "topic": row.topic, "parents": parents });
        record(&tx, &caller, "delete", id, Some(details.to_string()), now).await?;
        tx.commit().await?;
        Ok::<_, Problem>(())
    };
    api.database().within_limit(deleted).await?;
    api.doorbell().ring();
    Ok(StatusCode::NO_CONTENT)
}

/// A synthesis that is written again.
#[derive(Serialize, ToSchema)]
pub(crate) struct RegeneratedView {
    /// The synthesis: the same as before.
    synthesis_id: SynthesisId,
    /// The job that writes it.
    job_id: JobId,
    /// `regeneration`, or `recombination` for a super-synthesis that has parts.
    kind: &'static str,
    /// `pending`.
    state: Standing,
}

/// Have a failed synthesis written again, in place, from what it was asked for. A super-synthesis that has parts is combined again; it
/// need not have failed if its parts say something else by now. For its creator, and operators.
#[utoipa::path(
    post,
    path = "/syntheses/{id}/regenerate",
    tag = "syntheses",
    params(("id" = SynthesisId, Path, description = "The synthesis")),
    responses(
        (status = 202, description = "Its job is published", body = RegeneratedView, headers(("location" = String))),
        (status = 400, description = "It has not failed (`not_in_error`), or what it was asked for cannot be read any more (`no_stored_input`)"),
        (status = 409, description = "A job works on it already: `job_id`"),
    ),
    security(("token" = ["publisher"]))
)]
pub(crate) async fn regenerate(
    Publisher(caller): Publisher,
    State(api): State<Api>,
    Named(id): Named<SynthesisId>,
) -> Result<Made, Problem> {
    own(&api, &caller, id).await?;
    let published = async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        let again = verbs::regenerate(&tx, id, &Publish::at(now)).await?;
        let details = json!({ "job": again.job }).to_string();
        record(&tx, &caller, "regenerate", id, Some(details), now).await?;
        tx.commit().await?;
        Ok::<_, Problem>(again)
    };
    let again = api.database().within_limit(published).await?;
    api.doorbell().ring();
    let body =
        RegeneratedView { synthesis_id: id, job_id: again.job, kind: again.kind, state: Standing::Pending };
    Made::accepted(format!("/api/v1/syntheses/{id}"), &body)
}

impl From<RegenerateError> for Problem {
    fn from(error: RegenerateError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        match error {
            // A node of another type is no synthesis.
            RegenerateError::NotFound(_) | RegenerateError::WrongType(_) => Self::not_found(detail),
            RegenerateError::NotInError { .. } => Self::bad_request(code, detail),
            RegenerateError::NoStoredInput { .. } => {
                Self::bad_request(code, "what it was asked for cannot be read any more: ask for a new one")
            }
            RegenerateError::InFlight { job } => Self::conflict(code, detail).with("job_id", job),
            RegenerateError::Database(error) => error.into(),
            RegenerateError::Enqueue(error) => error.into(),
            _ => Self::internal(),
        }
    }
}

/// Whoever may not see it gets 404; whoever sees it, and may not change it, gets 403.
async fn own(api: &Api, caller: &Caller, id: SynthesisId) -> Result<(), Problem> {
    let row = visible(api, caller, id).await?;
    if caller.may_change(row.creator_id.as_deref()) {
        return Ok(());
    }
    Err(Problem::forbidden("only its creator and operators may change it"))
}

async fn record(
    tx: &DatabaseTransaction,
    caller: &Caller,
    verb: &str,
    id: SynthesisId,
    details: Option<String>,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    let deed = Deed {
        actor: &caller.name,
        verb,
        subject_type: SubjectType::Synthesis,
        subject: id.to_string(),
        reason: None,
        details,
    };
    Ok(audit::record(tx, deed, now).await?)
}

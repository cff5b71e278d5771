//! `/sync/failures`: rows that could not be copied.

use ackord_entities::ids::GraphId;
use ackord_entities::sync::failure::{self, Filter, Which};
use ackord_producer::operate;
use ackord_producer::story::{FailureState, FailureView};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::sync::find;
use crate::api::Api;
use crate::body::{self, Params};
use crate::caller::Operator;
use crate::cursor::{List, Page, limit, wrong};
use crate::problem::Problem;

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FailuresQuery {
    /// Only rows of this graph, by its slug or its id.
    graph: Option<String>,
    /// Only rows of this table of the read side.
    #[param(example = "facts")]
    table: Option<String>,
    /// Only rows in this state.
    #[param(inline)]
    state: Option<FailureState>,
    /// Where to go on: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items of a page: 1 to 200, usually 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// List rows that could not be copied to the read side, by graph, table and key.
#[utoipa::path(
    get,
    path = "/sync/failures",
    tag = "sync",
    params(FailuresQuery),
    responses(
        (status = 200, description = "A page of rows", body = Page<FailureView>),
        (status = 404, description = "There is no such graph"),
    ),
    security(("token" = ["operator"]))
)]
pub(crate) async fn list(
    Operator(_): Operator,
    State(api): State<Api>,
    Params(query): Params<FailuresQuery>,
) -> Result<Json<Page<FailureView>>, Problem> {
    let size = limit(query.limit)?;
    let list = List::new("sync-failures", &(&query.graph, &query.table, query.state));
    let after = match &query.cursor {
        Some(cursor) => Some(place(&list.place(cursor)?)?),
        None => None,
    };
    let graph = match &query.graph {
        Some(name) => Some(find(&api, name).await?.id),
        None => None,
    };
    let filter = Filter { graph, state: query.state.map(failure::State::from), table: query.table, after };
    let rows = failure::list(api.database().read(), &filter, size + 1).await?;
    let Page { items, next_cursor } = list.page(rows, size, place_of);
    let items = FailureView::of_all(api.database(), items).await?;
    Ok(Json(Page { items, next_cursor }))
}

/// Graph, table and key: what the list is in the order of.
fn place_of(row: &failure::Model) -> Vec<u8> {
    let mut place = row.graph_id.0.as_bytes().to_vec();
    // No text in a database has a NUL.
    place.extend_from_slice(format!("{}\0{}", row.table_name, row.record_key).as_bytes());
    place
}

fn place(bytes: &[u8]) -> Result<(GraphId, String, String), Problem> {
    let (graph, row) = bytes.split_first_chunk::<16>().ok_or_else(wrong)?;
    let row = std::str::from_utf8(row).map_err(|_| wrong())?;
    let (table, key) = row.split_once('\0').ok_or_else(wrong)?;
    Ok((GraphId(Uuid::from_bytes(*graph)), table.to_owned(), key.to_owned()))
}

/// Which rows of a graph: either one, by table and key, or all that were refused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RowsWish {
    /// The graph, by its slug or its id.
    #[schema(example = "default")]
    graph: String,
    /// The row's table.
    #[schema(example = "facts")]
    table: Option<String>,
    /// The row's key.
    key: Option<String>,
    /// All that were refused; those that wait for others go on doing that.
    #[serde(default)]
    #[schema(default = false)]
    all: bool,
    /// Why, for the audit.
    reason: Option<String>,
}

impl RowsWish {
    fn which(&self) -> Result<Which, Problem> {
        match (&self.table, &self.key, self.all) {
            (Some(table), Some(key), false) => Ok(Which::One { table: table.clone(), key: key.clone() }),
            (None, None, true) => Ok(Which::All),
            (Some(_), None, false) => Err(Problem::invalid("key", "with a table, give the row's key, too")),
            (None, Some(_), false) => Err(Problem::invalid("table", "with a key, give the row's table, too")),
            _ => Err(Problem::invalid("all", "give either a table and a key, or `all`: true")),
        }
    }
}

/// What a verb did to rows.
#[derive(Serialize, ToSchema)]
pub(crate) struct RowsDone {
    /// The graph's name.
    graph: String,
    /// How many rows.
    rows: u64,
    /// Whether there were any.
    changed: bool,
}

/// Have rows tried again by the graph's next cycle, as if for the first time.
#[utoipa::path(
    post,
    path = "/sync/failures/requeue",
    tag = "sync",
    request_body(content = RowsWish),
    responses(
        (status = 200, description = "How many", body = RowsDone),
        (status = 404, description = "There is no such graph, or the row neither waits nor was refused"),
    ),
    security(("token" = ["operator"]))
)]
pub(crate) async fn requeue(
    Operator(caller): Operator,
    State(api): State<Api>,
    body::Json(wish): body::Json<RowsWish>,
) -> Result<Json<RowsDone>, Problem> {
    change(&api, &wish, Verb::Requeue, &caller.operator(wish.reason.clone())).await
}

/// Give rows up: they stay as they are on the read side until they change again.
#[utoipa::path(
    post,
    path = "/sync/failures/discard",
    tag = "sync",
    request_body(content = RowsWish),
    responses(
        (status = 200, description = "How many", body = RowsDone),
        (status = 404, description = "There is no such graph, or the row neither waits nor was refused"),
    ),
    security(("token" = ["operator"]))
)]
pub(crate) async fn discard(
    Operator(caller): Operator,
    State(api): State<Api>,
    body::Json(wish): body::Json<RowsWish>,
) -> Result<Json<RowsDone>, Problem> {
    change(&api, &wish, Verb::Discard, &caller.operator(wish.reason.clone())).await
}

#[derive(Clone, Copy)]
enum Verb {
    Requeue,
    Discard,
}

async fn change(
    api: &Api,
    wish: &RowsWish,
    verb: Verb,
    operator: &operate::Operator,
) -> Result<Json<RowsDone>, Problem> {
    let which = wish.which()?;
    let graph = find(api, &wish.graph).await?;
    let changed = async {
        let tx = api.database().begin().await?;
        let now = api.database().clock().now(&tx).await?;
        let rows = match verb {
            Verb::Requeue => operate::requeue_failures(&tx, &graph, &which, operator, now).await?,
            Verb::Discard => operate::discard_failures(&tx, &graph, &which, operator, now).await?,
        };
        tx.commit().await?;
        Ok::<_, Problem>(rows)
    };
    let rows = api.database().within_limit(changed).await?;
    if let (Which::One { table, key }, 0) = (&which, rows) {
        let detail = format!("no row {table}/{key} of the graph {} waits or was refused", graph.slug);
        return Err(Problem::not_found(detail));
    }
    Ok(Json(RowsDone { graph: graph.slug, rows, changed: rows > 0 }))
}

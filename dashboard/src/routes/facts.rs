//! The facts of a graph: those of a node, and those that are searched for.

use ackord_entities::graph::fact;
use ackord_entities::ids::{FactId, NodeId, SourceId};
use ackord_graph::search as finding;
use ackord_graph::synthesis::material::Fact;
use axum::Json;
use axum::extract::State;
use sea_orm::ActiveEnum as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::graphs::{known, visible};
use crate::api::Api;
use crate::body::{Named, NamedTwo, Params};
use crate::caller::Viewer;
use crate::cursor::{List, Page, limit};
use crate::problem::Problem;

/// A fact with its first place.
#[derive(Serialize, ToSchema)]
#[schema(as = Fact)]
pub(crate) struct FactView {
    /// Its id.
    id: FactId,
    /// A sentence in plain text.
    content: String,
    /// What it was in its source: `sentence`, `list_item`, `table_row`, `stated`.
    fact_type: String,
    /// The first source that says it.
    source_id: SourceId,
    /// That source's title.
    source_title: String,
    /// That source's address.
    source_uri: String,
    /// The headings above it there, outermost first.
    headings: Vec<String>,
    /// The nodes that it mentions.
    node_ids: Vec<NodeId>,
}

impl From<Fact> for FactView {
    fn from(fact: Fact) -> Self {
        Self {
            id: fact.id,
            content: fact.text,
            fact_type: fact.fact_type.to_value(),
            source_id: fact.source.id,
            source_title: fact.source.title.clone(),
            source_uri: fact.source.uri.clone(),
            headings: fact.headings,
            node_ids: fact.nodes,
        }
    }
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Where to go on: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items of a page: 1 to 200, usually 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// The facts that mention a node, in the order of their ids.
#[utoipa::path(
    get,
    path = "/graphs/{graph}/nodes/{node}/facts",
    tag = "graphs",
    params(
        ("graph" = String, Path, description = "The graph, by its slug or its id", example = "default"),
        ("node" = String, Path, description = "The node, by its id or its key", example = "lease"),
        PageQuery,
    ),
    responses((status = 200, description = "A page of facts", body = Page<FactView>)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn of_node(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    NamedTwo(graph, name): NamedTwo<String, String>,
    Params(query): Params<PageQuery>,
) -> Result<Json<Page<FactView>>, Problem> {
    let size = limit(query.limit)?;
    let list = List::new("facts-of-node", &(&graph, &name));
    let after = list.id(query.cursor.as_deref())?.map(FactId);
    let node = visible(&api, &caller, &graph, &name).await?;
    let read = api.database().read();
    let rows = fact::of_node_behind(read, node.id, after, size + 1).await?;
    let page = list.page(rows, size, |fact| fact.id.0.as_bytes().to_vec());
    let facts = finding::with_places(read, node.graph_id, page.items).await?;
    let items = facts.into_iter().map(FactView::from).collect();
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

/// Facts that were searched for.
#[derive(Serialize, ToSchema)]
pub(crate) struct FoundFacts {
    /// The best first.
    facts: Vec<FoundFact>,
}

/// A fact that was searched for.
#[derive(Serialize, ToSchema)]
pub(crate) struct FoundFact {
    #[serde(flatten)]
    fact: FactView,
    /// How well it fits; the scores of one answer compare, others do not.
    score: f64,
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FactsQuery {
    /// What to look for.
    #[param(min_length = 1, max_length = 500, example = "expired leases")]
    query: String,
    /// How many: 1 to 200, usually 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// Search the facts of a graph, the best first.
#[utoipa::path(
    get,
    path = "/graphs/{graph}/facts",
    tag = "graphs",
    params(("graph" = String, Path, description = "The graph, by its slug or its id", example = "default"), FactsQuery),
    responses((status = 200, description = "The best facts", body = FoundFacts)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn search(
    Viewer(_): Viewer,
    State(api): State<Api>,
    Named(graph): Named<String>,
    Params(query): Params<FactsQuery>,
) -> Result<Json<FoundFacts>, Problem> {
    const LONGEST: usize = 500;
    let size = limit(query.limit)?;
    if query.query.trim().is_empty() || query.query.chars().count() > LONGEST {
        let detail = format!("give 1 to {LONGEST} characters to look for");
        return Err(Problem::bad_request("invalid_query", detail).at("query"));
    }
    let graph = known(&api, &graph).await?;
    let found = finding::facts(api.database().read(), graph, &query.query, size).await?;
    let facts = found.into_iter().map(|(fact, score)| FoundFact { fact: fact.into(), score });
    Ok(Json(FoundFacts { facts: facts.collect() }))
}

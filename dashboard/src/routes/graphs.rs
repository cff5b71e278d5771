//! `/graphs`: nodes and edges.

use ackord_entities::graph::node::{self, Filter};
use ackord_entities::graph::synthesis::Seen;
use ackord_entities::graph::{edge, graphs};
use ackord_entities::ids::{GraphId, NodeId};
use ackord_graph::synthesis::find_graph;
use ackord_graph::text::slug;
use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use sea_orm::{EntityTrait as _, QueryOrder as _};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::syntheses::no_such_graph;
use super::synthesis_view::VisibleTo;
use crate::api::Api;
use crate::body::{Named, NamedTwo, Params};
use crate::caller::{Caller, Viewer};
use crate::cursor::{List, Page, limit, wrong};
use crate::problem::Problem;

/// All graphs.
#[derive(Serialize, ToSchema)]
pub(crate) struct Graphs {
    /// By slug.
    graphs: Vec<GraphView>,
}

/// A graph.
#[derive(Serialize, ToSchema)]
#[schema(as = Graph)]
pub(crate) struct GraphView {
    /// Its id.
    id: GraphId,
    /// Its name in addresses.
    slug: String,
    /// Its name for people.
    name: String,
    /// When it was made.
    created_at: DateTime<Utc>,
}

/// List the graphs.
#[utoipa::path(
    get,
    path = "/graphs",
    tag = "graphs",
    responses((status = 200, description = "All graphs", body = Graphs)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn list(Viewer(_): Viewer, State(api): State<Api>) -> Result<Json<Graphs>, Problem> {
    let rows = graphs::Entity::find().order_by_asc(graphs::Column::Slug).all(api.database().read()).await?;
    let graphs = rows.into_iter().map(|graph| GraphView {
        id: graph.id,
        slug: graph.slug,
        name: graph.name,
        created_at: graph.created_at,
    });
    Ok(Json(Graphs { graphs: graphs.collect() }))
}

/// A node of a graph.
#[derive(Serialize, ToSchema)]
#[schema(as = Node)]
pub(crate) struct NodeView {
    /// Its id.
    id: NodeId,
    /// Its slug, unique in its graph.
    key: String,
    /// Its name.
    concept: String,
    /// What it is.
    node_type: NodeTypeView,
    /// What it means, where a record or a synthesis says so.
    definition: Option<String>,
    /// Who may see it.
    visibility: VisibleTo,
    /// How many facts mention it.
    fact_count: i32,
    /// When it was last changed.
    updated_at: DateTime<Utc>,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = NodeType)]
pub(crate) enum NodeTypeView {
    /// What a record calls a concept.
    Concept,
    /// A heading of a document.
    Heading,
    /// A proper name.
    Name,
    /// A term that a document uses again and again.
    Term,
    /// A synthesis.
    Synthesis,
    /// A synthesis of syntheses.
    Supersynthesis,
}

impl From<node::NodeType> for NodeTypeView {
    fn from(node_type: node::NodeType) -> Self {
        match node_type {
            node::NodeType::Concept => Self::Concept,
            node::NodeType::Heading => Self::Heading,
            node::NodeType::Name => Self::Name,
            node::NodeType::Term => Self::Term,
            node::NodeType::Synthesis => Self::Synthesis,
            node::NodeType::Supersynthesis => Self::Supersynthesis,
        }
    }
}

impl From<NodeTypeView> for node::NodeType {
    fn from(node_type: NodeTypeView) -> Self {
        match node_type {
            NodeTypeView::Concept => Self::Concept,
            NodeTypeView::Heading => Self::Heading,
            NodeTypeView::Name => Self::Name,
            NodeTypeView::Term => Self::Term,
            NodeTypeView::Synthesis => Self::Synthesis,
            NodeTypeView::Supersynthesis => Self::Supersynthesis,
        }
    }
}

impl From<node::Model> for NodeView {
    fn from(row: node::Model) -> Self {
        Self {
            id: row.id,
            key: row.key,
            concept: row.concept,
            node_type: row.node_type.into(),
            definition: row.definition,
            visibility: row.visibility.into(),
            fact_count: row.fact_count,
            updated_at: row.updated_at,
        }
    }
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct NodesQuery {
    /// Only nodes that have this in their names, whatever the case.
    query: Option<String>,
    /// Only nodes of this type.
    #[serde(rename = "type")]
    #[param(inline)]
    node_type: Option<NodeTypeView>,
    /// Where to go on: `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items of a page: 1 to 200, usually 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// List the nodes of a graph that the caller may see, by their keys, or search them by name.
#[utoipa::path(
    get,
    path = "/graphs/{graph}/nodes",
    tag = "graphs",
    params(("graph" = String, Path, description = "The graph, by its slug or its id", example = "default"), NodesQuery),
    responses((status = 200, description = "A page of nodes", body = Page<NodeView>)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn nodes(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    Named(graph): Named<String>,
    Params(query): Params<NodesQuery>,
) -> Result<Json<Page<NodeView>>, Problem> {
    let size = limit(query.limit)?;
    let list = List::new("nodes", &(&graph, &query.query, query.node_type));
    let after = query.cursor.as_deref().map(|cursor| list.place(cursor)).transpose()?;
    let after = after.map(|place| String::from_utf8(place).map_err(|_| wrong())).transpose()?;
    let graph = known(&api, &graph).await?;
    let part = query.query.as_deref().map(slug);
    if part.as_deref() == Some("") {
        let detail = "give a name with a letter or a digit in it";
        return Err(Problem::bad_request("invalid_query", detail).at("query"));
    }
    let filter = Filter {
        key_part: part.as_deref(),
        node_type: query.node_type.map(node::NodeType::from),
        seen: seen(&caller),
        after: after.as_deref(),
    };
    let rows = node::list(api.database().read(), graph, &filter, size + 1).await?;
    Ok(Json(list.page(rows, size, |node| node.key.clone().into_bytes()).map(NodeView::from)))
}

fn seen(caller: &Caller) -> Seen<'_> {
    if caller.is_operator() { Seen::All } else { Seen::By(caller.subject.as_deref()) }
}

pub(super) async fn known(api: &Api, graph: &str) -> Result<GraphId, Problem> {
    find_graph(api.database().read(), graph).await?.ok_or_else(|| no_such_graph(graph))
}

/// The node of that id or key, if the caller may see it.
pub(super) async fn visible(
    api: &Api,
    caller: &Caller,
    graph: &str,
    name: &str,
) -> Result<node::Model, Problem> {
    let graph = known(api, graph).await?;
    let id = name.parse().unwrap_or_else(|_| node::id_of(graph, name));
    let row = node::Entity::find_by_id(id).one(api.database().read()).await?;
    row.filter(|node| node.graph_id == graph && caller.may_see(node.visibility, node.creator_id.as_deref()))
        .ok_or_else(|| Problem::not_found(format!("there is no node `{name}` in this graph")))
}

/// A node, by its id or its key.
#[utoipa::path(
    get,
    path = "/graphs/{graph}/nodes/{node}",
    tag = "graphs",
    params(
        ("graph" = String, Path, description = "The graph, by its slug or its id", example = "default"),
        ("node" = String, Path, description = "The node, by its id or its key", example = "lease"),
    ),
    responses((status = 200, description = "The node", body = NodeView)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn node(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    NamedTwo(graph, node): NamedTwo<String, String>,
) -> Result<Json<NodeView>, Problem> {
    Ok(Json(visible(&api, &caller, &graph, &node).await?.into()))
}

/// The heaviest edges at a node.
#[derive(Serialize, ToSchema)]
pub(crate) struct Edges {
    /// The heaviest first.
    edges: Vec<EdgeView>,
    /// Whether there are more than `limit`.
    more: bool,
}

/// An edge.
#[derive(Serialize, ToSchema)]
#[schema(as = Edge)]
pub(crate) struct EdgeView {
    /// The key of the node it leaves.
    source_key: String,
    /// The key of the node it leads to.
    target_key: String,
    /// What it says: `related` has no direction.
    relationship: String,
    /// How many facts mention both nodes, plus what records state.
    weight: i64,
    /// Why it is there, where a record says so.
    justification: Option<String>,
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MostQuery {
    /// How many: 1 to 200, usually 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// The edges at a node, the heaviest first.
#[utoipa::path(
    get,
    path = "/graphs/{graph}/nodes/{node}/edges",
    tag = "graphs",
    params(
        ("graph" = String, Path, description = "The graph, by its slug or its id", example = "default"),
        ("node" = String, Path, description = "The node, by its id or its key", example = "lease"),
        MostQuery,
    ),
    responses((status = 200, description = "The heaviest edges", body = Edges)),
    security(("token" = ["viewer"]))
)]
pub(crate) async fn edges_of_node(
    Viewer(caller): Viewer,
    State(api): State<Api>,
    NamedTwo(graph, name): NamedTwo<String, String>,
    Params(query): Params<MostQuery>,
) -> Result<Json<Edges>, Problem> {
    let size = limit(query.limit)?;
    let node = visible(&api, &caller, &graph, &name).await?;
    let mut rows = edge::at_node(api.database().read(), node.graph_id, &node.key, size + 1).await?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    let edges = rows.into_iter().map(|edge| EdgeView {
        source_key: edge.source_key,
        target_key: edge.target_key,
        relationship: edge.relationship_type,
        weight: edge.weight,
        justification: edge.justification,
    });
    Ok(Json(Edges { edges: edges.collect(), more }))
}

/// Whether the graph is written in this database: what is written here about another one would never be copied from there.
pub(super) fn written_here(
    api: &Api,
    graph: &str,
    remedy: impl FnOnce(&str) -> String,
) -> Result<(), Problem> {
    let is_meant =
        |slug: &&String| *slug == graph || graph.parse::<GraphId>().is_ok_and(|id| id == graphs::id_of(slug));
    match api.options().written_elsewhere.iter().find(is_meant) {
        None => Ok(()),
        Some(slug) => Err(Problem::conflict(
            "written_elsewhere",
            format!("the graph `{slug}` is written in a database of its own: {}", remedy(slug)),
        )
        .at("graph")),
    }
}

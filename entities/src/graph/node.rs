//! Nodes: what facts speak of.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, DbBackend, FromQueryResult, QueryOrder, QuerySelect};

use super::bulk::Bulk;
use super::synthesis::Seen;
use crate::ids::{GraphId, NodeId};

/// One node.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "write_nodes")]
pub struct Model {
    /// Derived from graph and key, see [`id_of`].
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: NodeId,
    /// The graph it belongs to.
    pub graph_id: GraphId,
    /// Its slug, unique in its graph: letters, digits and single dashes, at most 200 characters.
    pub key: String,
    /// Its name for people: the form used most by the source that speaks of it most.
    pub concept: String,
    /// What it is.
    pub node_type: NodeType,
    /// What it means, where a record or a synthesis says so.
    pub definition: Option<String>,
    /// Who may see it.
    pub visibility: Visibility,
    /// Who made it, for a node that somebody asked for.
    pub creator_id: Option<String>,
    /// How many facts mention it (rows in `write_node_facts`).
    pub fact_count: i32,
    /// How strongly the source speaks of it whose concept, type and definition stand here: its number of mentions;
    /// [`STATED`] and more when it is stated by a record.
    pub strength: i64,
    /// When it was first written.
    pub created_at: DateTime<Utc>,
    /// When the row or the set of its facts was last changed.
    pub updated_at: DateTime<Utc>,
}

impl ActiveModelBehavior for ActiveModel {}

/// What a record says outweighs any number of mentions.
pub const STATED: i64 = 1_000_000_000;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum NodeType {
    /// What a record calls a concept.
    #[sea_orm(string_value = "concept")]
    Concept,
    /// A heading of a document.
    #[sea_orm(string_value = "heading")]
    Heading,
    /// A proper name, or an identifier set as code.
    #[sea_orm(string_value = "name")]
    Name,
    /// A term that a document uses again and again.
    #[sea_orm(string_value = "term")]
    Term,
    /// A synthesis. No import changes or removes it.
    #[sea_orm(string_value = "synthesis")]
    Synthesis,
    /// A synthesis of syntheses. No import changes or removes it.
    #[sea_orm(string_value = "supersynthesis")]
    Supersynthesis,
}

impl NodeType {
    /// Whether nodes of this type come from sources and go with them.
    #[must_use]
    pub fn comes_from_sources(self) -> bool {
        match self {
            Self::Concept | Self::Heading | Self::Name | Self::Term => true,
            Self::Synthesis | Self::Supersynthesis => false,
        }
    }
}

/// Who may see a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Visibility {
    /// Everybody who may read the graph.
    #[sea_orm(string_value = "public")]
    Public,
    /// Its creator.
    #[sea_orm(string_value = "private")]
    Private,
}

/// The id that the node `key` has in `graph`, whether or not it exists.
#[must_use]
pub fn id_of(graph: GraphId, key: &str) -> NodeId {
    NodeId::derived(graph.0, &format!("node:{key}"))
}

/// The nodes with these ids, in no particular order; an id without a node is left out.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_ids(
    connection: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = NodeId>,
) -> Result<Vec<Model>, DbErr> {
    let bulk = Bulk {
        head: "SELECT id, graph_id, key, concept, node_type, definition, visibility, creator_id, fact_count, strength, \
               created_at, updated_at FROM write_nodes WHERE id IN (",
        row: "#",
        tail: ")",
        constants: Vec::new(),
    };
    let rows = bulk.query(connection, ids.into_iter().map(|id| vec![id.0.into()]).collect()).await?;
    rows.iter().map(|row| Model::from_query_result(row, "")).collect()
}

/// The graph's nodes that most facts mention, most first, then by key: at most `limit`.
///
/// # Errors
/// Whatever the database answers.
pub async fn most_mentioned(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(COLUMN.graph_id.eq(graph))
        .order_by_desc(COLUMN.fact_count)
        .order_by_asc(COLUMN.key)
        .limit(limit)
        .all(connection)
        .await
}

/// What a transaction adds to a node.
#[derive(Clone, Debug)]
pub struct Addition<'a> {
    /// See [`id_of`].
    pub id: NodeId,
    /// The node's key.
    pub key: &'a str,
    /// The concept of the strongest source.
    pub concept: &'a str,
    /// The type by the strongest source.
    pub node_type: NodeType,
    /// The definition by the strongest source.
    pub definition: Option<&'a str>,
    /// How strong that source is.
    pub strength: i64,
    /// How many facts more mention it now.
    pub more_facts: i32,
}

impl Addition<'_> {
    /// Whether a node is what this says rather than what `other` says: the stronger source decides, and of two as strong the one whose
    /// concept, type and definition sort before.
    #[must_use]
    pub fn speaks_louder_than(&self, other: &Self) -> bool {
        let says = |one: &Self| {
            (one.concept.to_owned(), one.node_type.to_value(), one.definition.map(ToOwned::to_owned))
        };
        self.strength > other.strength || (self.strength == other.strength && says(self) < says(other))
    }
}

/// Writes the nodes or adds to them. A node that is there takes concept, type and definition over only from a source that
/// [speaks louder](Addition::speaks_louder_than), so that the order of imports does not matter; it keeps them when it does not come from
/// sources (see [`NodeType::comes_from_sources`]).
///
/// # Errors
/// Whatever the database answers.
pub async fn add_all(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    nodes: &[Addition<'_>],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    const WINS: &str = "write_nodes.node_type NOT IN ('synthesis', 'supersynthesis') AND \
         (excluded.strength > write_nodes.strength \
          OR (excluded.strength = write_nodes.strength AND \
              (excluded.concept, excluded.node_type, COALESCE(excluded.definition, '')) \
              < (write_nodes.concept, write_nodes.node_type, COALESCE(write_nodes.definition, ''))))";
    let tail = format!(
        " ON CONFLICT (id) DO UPDATE SET \
         concept = CASE WHEN {WINS} THEN excluded.concept ELSE write_nodes.concept END, \
         node_type = CASE WHEN {WINS} THEN excluded.node_type ELSE write_nodes.node_type END, \
         definition = CASE WHEN {WINS} THEN excluded.definition ELSE write_nodes.definition END, \
         strength = CASE WHEN {WINS} THEN excluded.strength ELSE write_nodes.strength END, \
         fact_count = write_nodes.fact_count + excluded.fact_count, updated_at = excluded.updated_at"
    );
    let bulk = Bulk {
        head: "INSERT INTO write_nodes (id, key, concept, node_type, definition, strength, fact_count, graph_id, \
               visibility, created_at, updated_at) VALUES ",
        row: "(#, #, #, #, #, #, #, $1, 'public', $2, $2)",
        tail: &tail,
        constants: vec![graph.0.into(), now.into()],
    };
    let rows = nodes.iter().map(|node| {
        vec![
            node.id.0.into(),
            node.key.into(),
            node.concept.into(),
            node.node_type.to_value().into(),
            node.definition.into(),
            node.strength.into(),
            node.more_facts.into(),
        ]
    });
    bulk.execute(connection, rows.collect()).await.map(drop)
}

/// Which nodes of a graph to list. What is not given does not narrow.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a> {
    /// Only nodes whose key has this in it.
    pub key_part: Option<&'a str>,
    /// Only nodes of this type.
    pub node_type: Option<NodeType>,
    /// Whose private nodes are listed beside the public ones.
    pub seen: Seen<'a>,
    /// Only nodes behind this key: the end of the page before.
    pub after: Option<&'a str>,
}

/// A page of the nodes of a graph, by key.
///
/// # Errors
/// Whatever the database answers.
pub async fn list(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    filter: &Filter<'_>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    // Not LIKE: it has no escape character on SQLite unless one is declared.
    let part = filter.key_part.map(|part| match connection.get_database_backend() {
        DbBackend::Postgres => Expr::cust_with_values("strpos(key, $1) > 0", [part]),
        _ => Expr::cust_with_values("instr(key, ?) > 0", [part]),
    });
    let public = Column::Visibility.eq(Visibility::Public);
    let seen = match filter.seen {
        Seen::All => None,
        Seen::By(None) => Some(Condition::all().add(public)),
        Seen::By(Some(creator)) => Some(Condition::any().add(public).add(Column::CreatorId.eq(creator))),
    };
    let condition = Condition::all()
        .add(Column::GraphId.eq(graph))
        .add_option(part)
        .add_option(filter.node_type.map(|node_type| Column::NodeType.eq(node_type)))
        .add_option(seen)
        .add_option(filter.after.map(|after| Column::Key.gt(after)));
    Entity::find().filter(condition).order_by_asc(Column::Key).limit(limit).all(connection).await
}

/// Gives nodes that lost a source or facts what the sources that are left say, counts their facts again, and removes
/// those that no source speaks of any more, if they come from sources.
///
/// # Errors
/// Whatever the database answers.
pub async fn settle(
    connection: &impl ConnectionTrait,
    ids: &[NodeId],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let rows = || ids.iter().map(|id| vec![id.0.into()]).collect::<Vec<_>>();
    let count = Bulk {
        head: "UPDATE write_nodes SET fact_count = \
               (SELECT count(*) FROM write_node_facts AS nf WHERE nf.node_id = write_nodes.id), updated_at = $1 WHERE id IN (",
        row: "#",
        tail: ")",
        constants: vec![now.into()],
    };
    count.execute(connection, rows()).await?;
    let remove = Bulk {
        head: "DELETE FROM write_nodes WHERE node_type NOT IN ('synthesis', 'supersynthesis') AND \
               NOT EXISTS (SELECT 1 FROM write_node_sources AS ns WHERE ns.node_id = write_nodes.id) AND id IN (",
        row: "#",
        tail: ")",
        constants: Vec::new(),
    };
    remove.execute(connection, rows()).await?;
    let choose = Bulk {
        head: "UPDATE write_nodes SET (concept, node_type, definition, strength) = \
               (SELECT ns.concept, ns.node_type, ns.definition, ns.strength FROM write_node_sources AS ns \
                WHERE ns.node_id = write_nodes.id ORDER BY ns.strength DESC, ns.concept, ns.node_type, COALESCE(ns.definition, ''), ns.source_id LIMIT 1) \
               WHERE node_type NOT IN ('synthesis', 'supersynthesis') AND id IN (",
        row: "#",
        tail: ")",
        constants: Vec::new(),
    };
    choose.execute(connection, rows()).await.map(drop)
}

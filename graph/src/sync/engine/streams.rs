//! What is copied: one stream for each table of the read side, in the order in which they refer to each other.
//!
//! A stream is copied in groups: all rows of the table that have the same value in one column. For `sources`, `facts`, `nodes`, `edges`, ..
//! that column is the id, and a group is one row or none. Links are copied as the links of one source, fact, dimension or synthesis. The
//! rows that a group has on the write side replace those that it has on the read side. Links are looked at when the row changes that they
//! belong to, or one of them.
//!
//! Every column of the write side is here or in [`LEFT_OUT`]; a test compares both lists with the databases.

use ackord_entities::graph::changes::Everything;

/// A table of the read side, and where its rows come from.
#[derive(Debug)]
pub struct Stream {
    /// Its name.
    pub table: &'static str,
    /// The changes that are about it: those of the row that its rows belong to.
    pub changes: &'static str,
    /// How its records are named.
    pub key: Key,
    /// The tables that its rows come from, the first of them as `w`; `r` has the keys of the records.
    pub from: &'static str,
    /// Which rows belong to the record `r`.
    pub belongs: &'static str,
    /// The read side's column by which rows are grouped. It is the first of `columns`.
    pub group: &'static str,
    /// The columns of a group that tell its rows apart; none where a group is one row.
    pub within: Option<&'static str>,
    /// The columns, those of the primary key among them.
    pub columns: &'static [Column],
    /// The primary key of the read side.
    pub primary_key: &'static str,
    /// Rows that must be there first.
    pub references: &'static [Reference],
    /// The columns whose nodes have to be counted again.
    pub counted: &'static [&'static str],
    /// The table that counts a group's rows in its column `fact_count`.
    pub counted_by: Option<&'static str>,
    /// All records of a graph, where no other stream has the same changes.
    pub everything: Option<Everything>,
}

/// How a stream's records are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// By the id of the group.
    Id,
    /// By type and ends, as a JSON array. The id of the row is derived from them.
    Edge,
}

/// A column.
#[derive(Debug)]
pub struct Column {
    /// Its name on the read side.
    pub name: &'static str,
    /// Its type there.
    pub kind: Kind,
    /// What it comes from: columns of the write side.
    pub from: &'static str,
    /// Which columns of the write side that is, as `table.column`.
    pub covers: &'static [&'static str],
}

/// The type of a column; `bool` says whether it may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A UUID.
    Uuid(bool),
    /// A text.
    Text(bool),
    /// A 32-bit integer.
    Int(bool),
    /// A 64-bit integer.
    Big(bool),
    /// A floating-point number.
    Real(bool),
    /// A truth value.
    Bool(bool),
    /// A time.
    Time(bool),
    /// The id of the node whose key this is.
    Node,
}

/// A row that must be there before another one.
#[derive(Clone, Copy, Debug)]
pub struct Reference {
    /// The column that names it.
    pub column: &'static str,
    /// Its table.
    pub table: &'static str,
    /// Whether the column may be empty.
    pub optional: bool,
}

const fn column(
    name: &'static str,
    kind: Kind,
    from: &'static str,
    covers: &'static [&'static str],
) -> Column {
    Column { name, kind, from, covers }
}

const fn must(column: &'static str, table: &'static str) -> Reference {
    Reference { column, table, optional: false }
}

const ONE: bool = false;
const OPTIONAL: bool = true;

/// All streams, in the order in which they are copied.
pub static STREAMS: [Stream; 10] = [
    SOURCES,
    FACTS,
    NODES,
    FACT_SOURCES,
    NODE_FACTS,
    EDGES,
    DIMENSIONS,
    DIMENSION_FACTS,
    SYNTHESES,
    SYNTHESIS_VERSIONS,
];

/// The stream of a table.
#[must_use]
pub fn stream_of(table: &str) -> Option<&'static Stream> {
    STREAMS.iter().find(|stream| stream.table == table)
}

const BY_ID: (&str, &str) = ("w.id::text", "lower(hex(w.id))");

const SOURCES: Stream = Stream {
    table: "sources",
    changes: "sources",
    key: Key::Id,
    from: "write_sources AS w",
    belongs: "w.id = r.key_id",
    group: "id",
    within: None,
    columns: &[
        column("id", Kind::Uuid(ONE), "w.id", &["write_sources.id"]),
        column("graph_id", Kind::Uuid(ONE), "w.graph_id", &["write_sources.graph_id"]),
        column("container_id", Kind::Uuid(OPTIONAL), "w.container_id", &["write_sources.container_id"]),
        column("uri", Kind::Text(ONE), "w.uri", &["write_sources.uri"]),
        column("title", Kind::Text(ONE), "w.title", &["write_sources.title"]),
        column("content_hash", Kind::Text(OPTIONAL), "w.content_hash", &["write_sources.content_hash"]),
        column("content_type", Kind::Text(ONE), "w.content_type", &["write_sources.content_type"]),
        column("byte_size", Kind::Big(ONE), "w.byte_size", &["write_sources.byte_size"]),
        column("canonical_url", Kind::Text(OPTIONAL), "w.canonical_url", &["write_sources.canonical_url"]),
        column("doi", Kind::Text(OPTIONAL), "w.doi", &["write_sources.doi"]),
        column("created_at", Kind::Time(ONE), "w.created_at", &["write_sources.created_at"]),
        column("updated_at", Kind::Time(ONE), "w.updated_at", &["write_sources.updated_at"]),
    ],
    primary_key: "id",
    references: &[Reference { column: "container_id", table: "sources", optional: true }],
    counted: &[],
    counted_by: None,
    everything: Some(Everything {
        stream: "sources",
        key: BY_ID,
        rows: "FROM write_sources AS w WHERE w.graph_id",
        // Containers first: what they contain refers to them.
        order: " ORDER BY w.container_id IS NOT NULL, w.id",
    }),
};

const FACTS: Stream = Stream {
    table: "facts",
    changes: "facts",
    key: Key::Id,
    from: "write_facts AS w",
    // A fact that is still compared with others is not there yet.
    belongs: "w.id = r.key_id AND w.dedup_status = 'ready'",
    group: "id",
    within: None,
    columns: &[
        column("id", Kind::Uuid(ONE), "w.id", &["write_facts.id"]),
        column("graph_id", Kind::Uuid(ONE), "w.graph_id", &["write_facts.graph_id"]),
        column("content", Kind::Text(ONE), "w.content", &["write_facts.content"]),
        column("fact_type", Kind::Text(ONE), "w.fact_type", &["write_facts.fact_type"]),
        column("created_at", Kind::Time(ONE), "w.created_at", &["write_facts.created_at"]),
        column("updated_at", Kind::Time(ONE), "w.updated_at", &["write_facts.updated_at"]),
    ],
    primary_key: "id",
    references: &[],
    counted: &[],
    counted_by: None,
    everything: Some(Everything {
        stream: "facts",
        key: BY_ID,
        rows: "FROM write_facts AS w WHERE w.graph_id",
        order: " ORDER BY w.id",
    }),
};

const NODES: Stream = Stream {
    table: "nodes",
    changes: "nodes",
    key: Key::Id,
    from: "write_nodes AS w",
    belongs: "w.id = r.key_id",
    group: "id",
    within: None,
    columns: &[
        column("id", Kind::Uuid(ONE), "w.id", &["write_nodes.id"]),
        column("graph_id", Kind::Uuid(ONE), "w.graph_id", &["write_nodes.graph_id"]),
        column("key", Kind::Text(ONE), "w.key", &["write_nodes.key"]),
        column("concept", Kind::Text(ONE), "w.concept", &["write_nodes.concept"]),
        column("node_type", Kind::Text(ONE), "w.node_type", &["write_nodes.node_type"]),
        column("definition", Kind::Text(OPTIONAL), "w.definition", &["write_nodes.definition"]),
        column("visibility", Kind::Text(ONE), "w.visibility", &["write_nodes.visibility"]),
        column("creator_id", Kind::Text(OPTIONAL), "w.creator_id", &["write_nodes.creator_id"]),
        column("created_at", Kind::Time(ONE), "w.created_at", &["write_nodes.created_at"]),
        column("updated_at", Kind::Time(ONE), "w.updated_at", &["write_nodes.updated_at"]),
    ],
    primary_key: "id",
    references: &[],
    counted: &["id"],
    counted_by: None,
    everything: Some(Everything {
        stream: "nodes",
        key: BY_ID,
        rows: "FROM write_nodes AS w WHERE w.graph_id",
        order: " ORDER BY w.id",
    }),
};

const FACT_SOURCES: Stream = Stream {
    table: "fact_sources",
    changes: "sources",
    key: Key::Id,
    from: "write_fact_sources AS w",
    belongs: "w.source_id = r.key_id",
    group: "source_id",
    within: Some("position"),
    columns: &[
        column("source_id", Kind::Uuid(ONE), "w.source_id", &["write_fact_sources.source_id"]),
        column("position", Kind::Int(ONE), "w.position", &["write_fact_sources.position"]),
        column("fact_id", Kind::Uuid(ONE), "w.fact_id", &["write_fact_sources.fact_id"]),
        column("line", Kind::Int(ONE), "w.line", &["write_fact_sources.line"]),
        column("start_byte", Kind::Big(ONE), "w.start_byte", &["write_fact_sources.start_byte"]),
        column("end_byte", Kind::Big(ONE), "w.end_byte", &["write_fact_sources.end_byte"]),
        column("heading", Kind::Text(OPTIONAL), "w.heading", &["write_fact_sources.heading"]),
    ],
    primary_key: "source_id, position",
    references: &[must("source_id", "sources"), must("fact_id", "facts")],
    counted: &[],
    counted_by: Some("sources"),
    everything: None,
};

const NODE_FACTS: Stream = Stream {
    table: "node_facts",
    changes: "facts",
    key: Key::Id,
    from: "write_node_facts AS w",
    belongs: "w.fact_id = r.key_id AND NOT EXISTS (SELECT 1 FROM write_node_fact_rejections AS x \
              WHERE x.node_id = w.node_id AND x.fact_id = w.fact_id)",
    group: "fact_id",
    within: Some("node_id"),
    columns: &[
        column("fact_id", Kind::Uuid(ONE), "w.fact_id", &["write_node_facts.fact_id"]),
        column("node_id", Kind::Uuid(ONE), "w.node_id", &["write_node_facts.node_id"]),
    ],
    primary_key: "fact_id, node_id",
    references: &[must("fact_id", "facts"), must("node_id", "nodes")],
    counted: &["node_id"],
    counted_by: None,
    everything: None,
};

const EDGES: Stream = Stream {
    table: "edges",
    changes: "edges",
    key: Key::Edge,
    from: "write_edges AS w",
    belongs: "w.graph_id = r.of_graph AND w.source_key = r.from_key AND w.target_key = r.to_key AND w.relationship_type = r.of_type",
    group: "id",
    within: None,
    columns: &[
        column("id", Kind::Uuid(ONE), "r.key_id", &[]),
        column("graph_id", Kind::Uuid(ONE), "w.graph_id", &["write_edges.graph_id"]),
        column("source_id", Kind::Node, "w.source_key", &["write_edges.source_key"]),
        column("target_id", Kind::Node, "w.target_key", &["write_edges.target_key"]),
        column(
            "relationship_type",
            Kind::Text(ONE),
            "w.relationship_type",
            &["write_edges.relationship_type"],
        ),
        column("weight", Kind::Big(ONE), "w.weight", &["write_edges.weight"]),
        column("stated", Kind::Big(ONE), "w.stated", &["write_edges.stated"]),
        column("justification", Kind::Text(OPTIONAL), "w.justification", &["write_edges.justification"]),
        column("updated_at", Kind::Time(ONE), "w.updated_at", &["write_edges.updated_at"]),
    ],
    primary_key: "id",
    references: &[must("source_id", "nodes"), must("target_id", "nodes")],
    counted: &["source_id", "target_id"],
    counted_by: None,
    everything: Some(Everything {
        stream: "edges",
        key: (
            "json_build_array(w.relationship_type, w.source_key, w.target_key)::text",
            "json_array(w.relationship_type, w.source_key, w.target_key)",
        ),
        rows: "FROM write_edges AS w WHERE w.graph_id",
        order: "",
    }),
};

const DIMENSIONS: Stream = Stream {
    table: "dimensions",
    changes: "dimensions",
    key: Key::Id,
    from: "write_dimensions AS w",
    belongs: "w.id = r.key_id",
    group: "id",
    within: None,
    columns: &[
        column("id", Kind::Uuid(ONE), "w.id", &["write_dimensions.id"]),
        column("graph_id", Kind::Uuid(ONE), "w.graph_id", &["write_dimensions.graph_id"]),
        column("node_id", Kind::Node, "w.node_key", &["write_dimensions.node_key"]),
        column("model_id", Kind::Text(ONE), "w.model_id", &["write_dimensions.model_id"]),
        column("content", Kind::Text(ONE), "w.content", &["write_dimensions.content"]),
        column("confidence", Kind::Real(OPTIONAL), "w.confidence", &["write_dimensions.confidence"]),
        column(
            "suggested_concepts",
            Kind::Text(OPTIONAL),
            "w.suggested_concepts",
            &["write_dimensions.suggested_concepts"],
        ),
        column("batch_index", Kind::Int(ONE), "w.batch_index", &["write_dimensions.batch_index"]),
        column("is_definitive", Kind::Bool(ONE), "w.is_definitive", &["write_dimensions.is_definitive"]),
        column("metadata", Kind::Text(OPTIONAL), "w.metadata", &["write_dimensions.metadata"]),
        column("created_at", Kind::Time(ONE), "w.created_at", &["write_dimensions.created_at"]),
        column("updated_at", Kind::Time(ONE), "w.updated_at", &["write_dimensions.updated_at"]),
    ],
    primary_key: "id",
    references: &[must("node_id", "nodes")],
    counted: &["node_id"],
    counted_by: None,
    everything: Some(Everything {
        stream: "dimensions",
        key: BY_ID,
        rows: "FROM write_dimensions AS w WHERE w.graph_id",
        order: " ORDER BY w.id",
    }),
};

const DIMENSION_FACTS: Stream = Stream {
    table: "dimension_facts",
    changes: "dimensions",
    key: Key::Id,
    from: "write_dimension_facts AS w",
    belongs: "w.dimension_id = r.key_id",
    group: "dimension_id",
    within: Some("fact_id"),
    columns: &[
        column("dimension_id", Kind::Uuid(ONE), "w.dimension_id", &["write_dimension_facts.dimension_id"]),
        column("fact_id", Kind::Uuid(ONE), "w.fact_id", &["write_dimension_facts.fact_id"]),
    ],
    primary_key: "dimension_id, fact_id",
    references: &[must("dimension_id", "dimensions"), must("fact_id", "facts")],
    counted: &[],
    counted_by: Some("dimensions"),
    everything: None,
};

const SYNTHESES: Stream = Stream {
    table: "syntheses",
    changes: "syntheses",
    key: Key::Id,
    from: "write_syntheses AS w",
    belongs: "w.id = r.key_id",
    group: "id",
    within: None,
    columns: &[
        column("id", Kind::Uuid(ONE), "w.id", &["write_syntheses.id"]),
        column("graph_id", Kind::Uuid(ONE), "w.graph_id", &["write_syntheses.graph_id"]),
        column("node_id", Kind::Node, "w.node_key", &["write_syntheses.node_key"]),
        column("topic", Kind::Text(ONE), "w.topic", &["write_syntheses.topic"]),
        column("state", Kind::Text(ONE), "w.state", &["write_syntheses.state"]),
        column("visibility", Kind::Text(ONE), "w.visibility", &["write_syntheses.visibility"]),
        column("creator_id", Kind::Text(OPTIONAL), "w.creator_id", &["write_syntheses.creator_id"]),
        column("error_code", Kind::Text(OPTIONAL), "w.error_code", &["write_syntheses.error_code"]),
        column("error_public", Kind::Text(OPTIONAL), "w.error_public", &["write_syntheses.error_public"]),
        column("error_at", Kind::Time(OPTIONAL), "w.error_at", &["write_syntheses.error_at"]),
        column(
            "current_version",
            Kind::Int(OPTIONAL),
            "w.current_version",
            &["write_syntheses.current_version"],
        ),
        column("attempts", Kind::Int(ONE), "w.attempts", &["write_syntheses.attempts"]),
        column("created_at", Kind::Time(ONE), "w.created_at", &["write_syntheses.created_at"]),
        column("updated_at", Kind::Time(ONE), "w.updated_at", &["write_syntheses.updated_at"]),
    ],
    primary_key: "id",
    references: &[must("node_id", "nodes")],
    counted: &[],
    counted_by: None,
    everything: Some(Everything {
        stream: "syntheses",
        key: BY_ID,
        rows: "FROM write_syntheses AS w WHERE w.graph_id",
        order: " ORDER BY w.id",
    }),
};

const SYNTHESIS_VERSIONS: Stream = Stream {
    table: "synthesis_versions",
    changes: "syntheses",
    key: Key::Id,
    from: "write_synthesis_versions AS w",
    belongs: "w.synthesis_id = r.key_id",
    group: "synthesis_id",
    within: Some("version"),
    columns: &[
        column("synthesis_id", Kind::Uuid(ONE), "w.synthesis_id", &["write_synthesis_versions.synthesis_id"]),
        column("version", Kind::Int(ONE), "w.version", &["write_synthesis_versions.version"]),
        column("markdown", Kind::Text(ONE), "w.markdown", &["write_synthesis_versions.markdown"]),
        column("document", Kind::Text(ONE), "w.document", &["write_synthesis_versions.document"]),
        column(
            "sentences_count",
            Kind::Int(ONE),
            "w.sentences_count",
            &["write_synthesis_versions.sentences_count"],
        ),
        column("facts_linked", Kind::Int(ONE), "w.facts_linked", &["write_synthesis_versions.facts_linked"]),
        column(
            "nodes_referenced",
            Kind::Int(ONE),
            "w.nodes_referenced",
            &["write_synthesis_versions.nodes_referenced"],
        ),
        column("producer", Kind::Text(ONE), "w.producer", &["write_synthesis_versions.producer"]),
        column("created_at", Kind::Time(ONE), "w.created_at", &["write_synthesis_versions.created_at"]),
    ],
    primary_key: "synthesis_id, version",
    references: &[must("synthesis_id", "syntheses")],
    counted: &[],
    counted_by: None,
    everything: None,
};

/// Columns of the write side that the read side does not have, each with the reason.
pub const LEFT_OUT: [(&str, &str); 14] = [
    ("write_sources.fact_count", "counted on the read side"),
    ("write_facts.seq", "ties a fact to SQLite's full-text index"),
    ("write_facts.search", "the full-text index belongs to the write side"),
    ("write_facts.dedup_status", "decides whether a fact is copied"),
    ("write_fact_sources.node_keys", "the links of the fact say the same"),
    ("write_nodes.fact_count", "counted on the read side"),
    ("write_nodes.strength", "decides on the write side which source names a node"),
    ("write_node_fact_rejections.node_id", "decides which links are copied"),
    ("write_node_fact_rejections.fact_id", "decides which links are copied"),
    ("write_syntheses.input", "may hold what only its creator may see, and serves to begin again"),
    ("write_syntheses.error_message", "for operators"),
    ("write_syntheses.row_version", "guards changes of the write side"),
    ("write_syntheses.job_id", "for operators"),
    ("write_synthesis_versions.job_id", "for operators"),
];

//! Edges: which nodes belong together, and how much.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{FromQueryResult, Statement};

use super::bulk::Bulk;
use crate::ids::{FactId, GraphId, NodeId};

/// The relationship of nodes that the same facts mention. It has no direction.
pub const RELATED: &str = "related";

/// One edge. Its key, `type:a--b`, is not stored: it says nothing more than the columns, see [`Model::key`].
///
/// A graph has more edges than anything else, so a row holds no more than it must.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "write_edges")]
pub struct Model {
    /// The graph it belongs to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub graph_id: GraphId,
    /// The key of the node it leaves; of the two the one that sorts first when it has no direction.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source_key: String,
    /// The key of the node it leads to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub target_key: String,
    /// What it says: `related`, or what a record states.
    #[sea_orm(primary_key, auto_increment = false)]
    pub relationship_type: String,
    /// How many facts mention both nodes, plus what records state.
    pub weight: i64,
    /// How much of the weight records state.
    pub stated: i64,
    /// Why it is there, where a record says so.
    pub justification: Option<String>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Its key, see [`key_of`].
    #[must_use]
    pub fn key(&self) -> String {
        key_of(&self.relationship_type, &self.source_key, &self.target_key)
    }
}

/// The two ends in the order in which an edge of this type stores them: sorted when it has no direction.
#[must_use]
pub fn ends<'a>(relationship: &str, from: &'a str, to: &'a str) -> (&'a str, &'a str) {
    if relationship == RELATED && to < from { (to, from) } else { (from, to) }
}

/// The key of an edge: `type:a--b`. Node keys hold no double dash, so it can be read back.
#[must_use]
pub fn key_of(relationship: &str, from: &str, to: &str) -> String {
    let (from, to) = ends(relationship, from, to);
    format!("{relationship}:{from}--{to}")
}

/// Relationship and ends of an edge, read back from its key. `None` when it is no key of an edge.
#[must_use]
pub fn parts_of(key: &str) -> Option<(&str, &str, &str)> {
    let (relationship, ends) = key.split_once(':')?;
    let (from, to) = ends.split_once("--")?;
    Some((relationship, from, to))
}

/// The edges at the node `key`, heaviest first, then by key: at most `limit`.
///
/// # Errors
/// Whatever the database answers.
pub async fn at_node(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    key: &str,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    const COLUMNS: &str =
        "graph_id, source_key, target_key, relationship_type, weight, stated, justification, updated_at";
    // Two index scans; an OR over both columns would read the whole graph.
    let sql = format!(
        "SELECT {COLUMNS} FROM write_edges WHERE graph_id = $1 AND source_key = $2 \
         UNION ALL SELECT {COLUMNS} FROM write_edges WHERE graph_id = $1 AND target_key = $2 \
         ORDER BY weight DESC, source_key, target_key, relationship_type LIMIT $3"
    );
    let values = [graph.0.into(), key.into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    let rows = connection.query_all_raw(statement).await?;
    rows.iter().map(|row| Model::from_query_result(row, "")).collect()
}

/// The facts behind an edge: those that mention both nodes, in the order of their ids, at most `limit`.
///
/// # Errors
/// Whatever the database answers.
pub async fn shared_facts(
    connection: &impl ConnectionTrait,
    one: NodeId,
    other: NodeId,
    limit: u64,
) -> Result<Vec<FactId>, DbErr> {
    let sql = "SELECT a.fact_id FROM write_node_facts AS a JOIN write_node_facts AS b ON b.fact_id = a.fact_id \
               WHERE a.node_id = $1 AND b.node_id = $2 ORDER BY a.fact_id LIMIT $3";
    let values = [one.0.into(), other.0.into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    let rows = connection.query_all_raw(statement).await?;
    rows.iter().map(|row| row.try_get("", "fact_id")).collect()
}

/// A change of an edge's weight.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// What it says.
    pub relationship: &'a str,
    /// The first end as [`ends`] orders them.
    pub source_key: &'a str,
    /// The second end.
    pub target_key: &'a str,
    /// By how much the weight grows, at least 1; or shrinks, in [`lower_all`].
    pub weight: i64,
}

/// Makes these edges heavier, and writes those that are not there. No edge may come twice.
///
/// # Errors
/// Whatever the database answers.
pub async fn raise_all(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    changes: &[Change<'_>],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let bulk = Bulk {
        head: "INSERT INTO write_edges (source_key, target_key, relationship_type, weight, stated, graph_id, \
               updated_at) VALUES ",
        row: "(#, #, #, #, 0, $1, $2)",
        tail: " ON CONFLICT (graph_id, source_key, target_key, relationship_type) DO UPDATE SET \
               weight = write_edges.weight + excluded.weight, updated_at = excluded.updated_at",
        constants: vec![graph.0.into(), now.into()],
    };
    let rows = changes.iter().map(|change| {
        vec![
            change.source_key.into(),
            change.target_key.into(),
            change.relationship.into(),
            change.weight.into(),
        ]
    });
    bulk.execute(connection, rows.collect()).await.map(drop)
}

/// Makes these edges lighter, and removes those of no weight. No edge may come twice.
///
/// # Errors
/// Whatever the database answers.
pub async fn lower_all(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    changes: &[Change<'_>],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let of = |change: &Change<'_>| -> Vec<Value> {
        vec![change.source_key.into(), change.target_key.into(), change.relationship.into()]
    };
    let lower = Bulk {
        head: "UPDATE write_edges SET weight = weight - change.column4, updated_at = $2 FROM (VALUES ",
        row: "(#, #, #, #)",
        tail: ") AS change WHERE graph_id = $1 AND source_key = change.column1 AND target_key = change.column2 \
               AND relationship_type = change.column3",
        constants: vec![graph.0.into(), now.into()],
    };
    let rows = changes.iter().map(|change| {
        let mut row = of(change);
        row.push(change.weight.into());
        row
    });
    lower.execute(connection, rows.collect()).await?;
    let remove = Bulk {
        head: "DELETE FROM write_edges WHERE graph_id = $1 AND weight <= 0 \
               AND (source_key, target_key, relationship_type) IN (VALUES ",
        row: "(#, #, #)",
        tail: ")",
        constants: vec![graph.0.into()],
    };
    remove.execute(connection, changes.iter().map(of).collect()).await.map(drop)
}

/// Takes over what the records that are left state about these edges: how much of the weight is theirs, and why. A key
/// of no edge is passed over.
///
/// # Errors
/// Whatever the database answers.
pub async fn settle_stated(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    keys: &[String],
) -> Result<(), DbErr> {
    // The edge's records are those of sources of the same graph: two graphs may hold the same key.
    const STATED: &str = "FROM write_edge_sources AS es JOIN write_sources AS s ON s.id = es.source_id \
                          WHERE es.edge_key = write_edges.relationship_type || ':' || write_edges.source_key || '--' \
                          || write_edges.target_key AND s.graph_id = write_edges.graph_id";
    let head = format!(
        "UPDATE write_edges SET stated = (SELECT CAST(coalesce(sum(es.weight), 0) AS bigint) {STATED}), \
         justification = (SELECT es.justification {STATED} AND es.justification IS NOT NULL \
                          ORDER BY es.weight DESC, es.justification LIMIT 1) \
         WHERE graph_id = $1 AND (source_key, target_key, relationship_type) IN (VALUES "
    );
    let bulk = Bulk { head: &head, row: "(#, #, #)", tail: ")", constants: vec![graph.0.into()] };
    let rows = keys
        .iter()
        .filter_map(|key| parts_of(key))
        .map(|(relationship, source, target)| vec![source.into(), target.into(), relationship.into()]);
    bulk.execute(connection, rows.collect()).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_without_direction_has_one_key_from_both_sides() {
        assert_eq!(key_of(RELATED, "b", "a"), "related:a--b");
        assert_eq!(key_of(RELATED, "a", "b"), "related:a--b");
    }

    #[test]
    fn an_edge_with_a_direction_keeps_it() {
        assert_eq!(key_of("draws_from", "b", "a"), "draws_from:b--a");
        assert_eq!(parts_of("draws_from:b-c--a"), Some(("draws_from", "b-c", "a")));
    }
}

//! Which sources speak of a node, and how: what a node's row is chosen from, and what keeps it there.

use sea_orm::entity::prelude::*;

use super::bulk::Bulk;
use super::node::NodeType;
use crate::ids::{NodeId, SourceId};

/// What one source says of one node.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "write_node_sources")]
pub struct Model {
    /// The source.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source_id: SourceId,
    /// The node.
    #[sea_orm(primary_key, auto_increment = false)]
    pub node_id: NodeId,
    /// The form that the source uses most.
    pub concept: String,
    /// What the source takes it for.
    pub node_type: NodeType,
    /// The definition that the source states.
    pub definition: Option<String>,
    /// In how many of its sentences the source mentions it; more by [`super::node::STATED`] when it states the node.
    pub strength: i64,
}

impl ActiveModelBehavior for ActiveModel {}

/// The source's nodes.
///
/// # Errors
/// Whatever the database answers.
pub async fn of_source(connection: &impl ConnectionTrait, source: SourceId) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(COLUMN.source_id.eq(source)).all(connection).await
}

/// Writes these rows; one that is there already stays as it is.
///
/// # Errors
/// Whatever the database answers.
pub async fn insert_all(connection: &impl ConnectionTrait, rows: &[Model]) -> Result<(), DbErr> {
    let bulk = Bulk {
        head: "INSERT INTO write_node_sources (source_id, node_id, concept, node_type, definition, strength) VALUES ",
        row: "(#, #, #, #, #, #)",
        tail: " ON CONFLICT DO NOTHING",
        constants: Vec::new(),
    };
    let values = rows.iter().map(|row| {
        vec![
            row.source_id.0.into(),
            row.node_id.0.into(),
            row.concept.as_str().into(),
            row.node_type.to_value().into(),
            row.definition.as_deref().into(),
            row.strength.into(),
        ]
    });
    bulk.execute(connection, values.collect()).await.map(drop)
}

/// Removes all rows of these sources.
///
/// # Errors
/// Whatever the database answers.
pub async fn remove_of_sources(connection: &impl ConnectionTrait, sources: &[SourceId]) -> Result<(), DbErr> {
    let bulk = Bulk {
        head: "DELETE FROM write_node_sources WHERE source_id IN (",
        row: "#",
        tail: ")",
        constants: Vec::new(),
    };
    bulk.execute(connection, sources.iter().map(|id| vec![id.0.into()]).collect()).await.map(drop)
}

//! Which records state an edge.

use sea_orm::entity::prelude::*;

use super::bulk::Bulk;
use crate::ids::SourceId;

/// One source states one edge.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "write_edge_sources")]
pub struct Model {
    /// The source.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source_id: SourceId,
    /// The edge's key in the source's graph.
    #[sea_orm(primary_key, auto_increment = false)]
    pub edge_key: String,
    /// What it adds to the edge's weight, at least 1.
    pub weight: i64,
    /// Why, if it says so.
    pub justification: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}

/// The edges that this source states.
///
/// # Errors
/// Whatever the database answers.
pub async fn of_sources(
    connection: &impl ConnectionTrait,
    sources: &[SourceId],
) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(COLUMN.source_id.is_in(sources.iter().copied())).all(connection).await
}

/// Writes these rows, none of which may be there.
///
/// # Errors
/// Whatever the database answers.
pub async fn insert_all(connection: &impl ConnectionTrait, rows: &[Model]) -> Result<(), DbErr> {
    let bulk = Bulk {
        head: "INSERT INTO write_edge_sources (source_id, edge_key, weight, justification) VALUES ",
        row: "(#, #, #, #)",
        tail: "",
        constants: Vec::new(),
    };
    let values = rows.iter().map(|row| {
        vec![
            row.source_id.0.into(),
            row.edge_key.as_str().into(),
            row.weight.into(),
            row.justification.as_deref().into(),
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
        head: "DELETE FROM write_edge_sources WHERE source_id IN (",
        row: "#",
        tail: ")",
        constants: Vec::new(),
    };
    bulk.execute(connection, sources.iter().map(|id| vec![id.0.into()]).collect()).await.map(drop)
}

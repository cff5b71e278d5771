//! Where each fact stands: one row per sentence of a source.

use sea_orm::entity::prelude::*;
use sea_orm::{FromQueryResult, QueryOrder, Statement};

use super::bulk::Bulk;
use crate::ids::{FactId, SourceId};

/// A sentence of a source.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "write_fact_sources")]
pub struct Model {
    /// The source.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source_id: SourceId,
    /// Which of the source's sentences this is, from 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    /// The fact it states.
    pub fact_id: FactId,
    /// The line it begins in, from 1.
    pub line: i32,
    /// Where it begins in the source, in bytes from 0. For a record of a JSONL file: in that file, the record's line.
    pub start_byte: i64,
    /// Where it ends: the byte behind its last one.
    pub end_byte: i64,
    /// The headings above it, outermost first, with ` > ` between.
    pub heading: Option<String>,
    /// The keys of the nodes that it mentions here, with a space between. A fact's nodes are those of all its rows.
    pub node_keys: String,
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The keys of the nodes that this sentence mentions.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.node_keys.split(' ').filter(|key| !key.is_empty())
    }
}

/// All rows of these facts, by source and position.
///
/// # Errors
/// Whatever the database answers.
pub async fn of_facts(
    connection: &impl ConnectionTrait,
    facts: impl IntoIterator<Item = FactId>,
) -> Result<Vec<Model>, DbErr> {
    let bulk = Bulk {
        head: "SELECT source_id, position, fact_id, line, start_byte, end_byte, heading, node_keys \
               FROM write_fact_sources WHERE fact_id IN (",
        row: "#",
        tail: ")",
        constants: Vec::new(),
    };
    let rows = bulk.query(connection, facts.into_iter().map(|id| vec![id.0.into()]).collect()).await?;
    let mut found =
        rows.iter().map(|row| Model::from_query_result(row, "")).collect::<Result<Vec<_>, DbErr>>()?;
    found.sort_unstable_by_key(|row| (row.source_id, row.position));
    Ok(found)
}

/// The source's rows at positions in `from..to`, in order.
///
/// # Errors
/// Whatever the database answers.
pub async fn of_source(
    connection: &impl ConnectionTrait,
    source: SourceId,
    from: i32,
    to: i32,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(COLUMN.source_id.eq(source))
        .filter(COLUMN.position.gte(from))
        .filter(COLUMN.position.lt(to))
        .order_by_asc(COLUMN.position)
        .all(connection)
        .await
}

/// How many rows the source has, by its highest position.
///
/// # Errors
/// Whatever the database answers.
pub async fn count_of_source(connection: &impl ConnectionTrait, source: SourceId) -> Result<i32, DbErr> {
    let sql = "SELECT coalesce(max(position) + 1, 0) AS number FROM write_fact_sources WHERE source_id = $1";
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, [source.0.into()]);
    let row = connection.query_one_raw(statement).await?;
    row.map_or(Ok(0), |row| row.try_get("", "number"))
}

/// Writes these rows, none of which may be there.
///
/// # Errors
/// Whatever the database answers.
pub async fn insert_all(connection: &impl ConnectionTrait, rows: &[Model]) -> Result<(), DbErr> {
    let bulk = Bulk {
        head: "INSERT INTO write_fact_sources (source_id, position, fact_id, line, start_byte, end_byte, heading, \
               node_keys) VALUES ",
        row: "(#, #, #, #, #, #, #, #)",
        tail: "",
        constants: Vec::new(),
    };
    let values = rows.iter().map(|row| {
        vec![
            row.source_id.0.into(),
            row.position.into(),
            row.fact_id.0.into(),
            row.line.into(),
            row.start_byte.into(),
            row.end_byte.into(),
            row.heading.as_deref().into(),
            row.node_keys.as_str().into(),
        ]
    });
    bulk.execute(connection, values.collect()).await.map(drop)
}

/// Removes the source's rows at positions in `from..to`.
///
/// # Errors
/// Whatever the database answers.
pub async fn remove(
    connection: &impl ConnectionTrait,
    source: SourceId,
    from: i32,
    to: i32,
) -> Result<(), DbErr> {
    let sql = "DELETE FROM write_fact_sources WHERE source_id = $1 AND position >= $2 AND position < $3";
    let values = [source.0.into(), from.into(), to.into()];
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    connection.execute_raw(statement).await.map(drop)
}

//! Sources: the documents and records that facts were taken from.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{FromQueryResult, QueryOrder, QuerySelect, Statement};

use super::bulk::Bulk;
use crate::ids::{GraphId, SourceId};

/// One source. The text itself is not kept: a re-import reads the file, and each fact keeps its sentence and its place.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "write_sources")]
pub struct Model {
    /// Derived from graph and URI, see [`id_of`].
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SourceId,
    /// The graph it belongs to.
    pub graph_id: GraphId,
    /// For a record of a JSONL file: the file's own source.
    pub container_id: Option<SourceId>,
    /// Where it came from, unique in its graph: `file:///absolute/path.md`, or what a JSONL record says.
    pub uri: String,
    /// Its title for people.
    pub title: String,
    /// BLAKE3 of its bytes in hexadecimal (64 characters). `None` while its contents are being written in several
    /// transactions: an import that was cut off there is completed by the next one.
    pub content_hash: Option<String>,
    /// Its media type: `text/markdown`, `text/plain`, `application/jsonl`, `application/json`.
    pub content_type: String,
    /// Its size in bytes.
    pub byte_size: i64,
    /// How many sentences were taken from it (rows in `write_fact_sources`).
    pub fact_count: i32,
    /// The address it calls its own, if it names one.
    pub canonical_url: Option<String>,
    /// Its DOI, if it names one.
    pub doi: Option<String>,
    /// When it was first imported.
    pub created_at: DateTime<Utc>,
    /// When its contents were last replaced.
    pub updated_at: DateTime<Utc>,
}

impl ActiveModelBehavior for ActiveModel {}

/// The id of the source at `uri` in `graph`, whether or not it exists.
#[must_use]
pub fn id_of(graph: GraphId, uri: &str) -> SourceId {
    SourceId::derived(graph.0, &format!("source:{uri}"))
}

/// What an import needs to know of a source that is already there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its content hash; `None` when its last import was cut off.
    pub content_hash: Option<String>,
    /// How many sentences it has.
    pub fact_count: i32,
}

/// Which of `ids` exist, with their hashes.
///
/// # Errors
/// Whatever the database answers.
pub async fn known(
    connection: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = SourceId>,
) -> Result<HashMap<SourceId, Known>, DbErr> {
    let bulk = Bulk {
        head: "SELECT id, content_hash, fact_count FROM write_sources WHERE id IN (",
        row: "#",
        tail: ")",
        constants: Vec::new(),
    };
    let rows = bulk.query(connection, ids.into_iter().map(|id| vec![id.0.into()]).collect()).await?;
    rows.iter()
        .map(|row| {
            let known = Known {
                content_hash: row.try_get("", "content_hash")?,
                fact_count: row.try_get("", "fact_count")?,
            };
            Ok((row.try_get("", "id")?, known))
        })
        .collect()
}

/// The sources with these ids, in no particular order; an id without a source is left out.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_ids(
    connection: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = SourceId>,
) -> Result<Vec<Model>, DbErr> {
    let bulk = Bulk {
        head: "SELECT id, graph_id, container_id, uri, title, content_hash, content_type, byte_size, fact_count, \
               canonical_url, doi, created_at, updated_at FROM write_sources WHERE id IN (",
        row: "#",
        tail: ")",
        constants: Vec::new(),
    };
    let rows = bulk.query(connection, ids.into_iter().map(|id| vec![id.0.into()]).collect()).await?;
    rows.iter().map(|row| Model::from_query_result(row, "")).collect()
}

/// The graph's sources that are files (not records in one) and whose URI begins with `prefix`: at most `limit`, in the
/// order of their URIs, from behind `after`.
///
/// # Errors
/// Whatever the database answers.
pub async fn files_under(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    prefix: &str,
    after: &str,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    // Not LIKE: it has no escape character on SQLite unless one is declared, and paths are full of underscores.
    let sql = "SELECT id, graph_id, container_id, uri, title, content_hash, content_type, byte_size, fact_count, \
               canonical_url, doi, created_at, updated_at FROM write_sources \
               WHERE graph_id = $1 AND container_id IS NULL AND uri > $2 AND substr(uri, 1, $3) = $4 \
               ORDER BY uri LIMIT $5";
    let values = [
        graph.0.into(),
        after.into(),
        i32::try_from(prefix.chars().count()).unwrap_or(i32::MAX).into(),
        prefix.into(),
        i64::try_from(limit).unwrap_or(i64::MAX).into(),
    ];
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    let rows = connection.query_all_raw(statement).await?;
    rows.iter().map(|row| Model::from_query_result(row, "")).collect()
}

/// The sources that are records of the file `container`: at most `limit`, in the order of their ids, from behind `after`.
///
/// # Errors
/// Whatever the database answers.
pub async fn records_of(
    connection: &impl ConnectionTrait,
    container: SourceId,
    after: Option<SourceId>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let mut query = Entity::find().filter(COLUMN.container_id.eq(container));
    if let Some(after) = after {
        query = query.filter(COLUMN.id.gt(after));
    }
    query.order_by_asc(COLUMN.id).limit(limit).all(connection).await
}

/// Inserts the sources or replaces their columns; `created_at` of one that is already there stays.
///
/// # Errors
/// Whatever the database answers.
pub async fn put_all(connection: &impl ConnectionTrait, sources: &[Model]) -> Result<(), DbErr> {
    let bulk = Bulk {
        head: "INSERT INTO write_sources (id, graph_id, container_id, uri, title, content_hash, content_type, byte_size, \
               fact_count, canonical_url, doi, created_at, updated_at) VALUES ",
        row: "(#, #, #, #, #, #, #, #, #, #, #, #, #)",
        tail: " ON CONFLICT (id) DO UPDATE SET container_id = excluded.container_id, title = excluded.title, \
               content_hash = excluded.content_hash, content_type = excluded.content_type, \
               byte_size = excluded.byte_size, fact_count = excluded.fact_count, \
               canonical_url = excluded.canonical_url, doi = excluded.doi, updated_at = excluded.updated_at",
        constants: Vec::new(),
    };
    let rows = sources.iter().map(|source| {
        vec![
            source.id.0.into(),
            source.graph_id.0.into(),
            source.container_id.map(|id| id.0).into(),
            source.uri.clone().into(),
            source.title.clone().into(),
            source.content_hash.clone().into(),
            source.content_type.clone().into(),
            source.byte_size.into(),
            source.fact_count.into(),
            source.canonical_url.clone().into(),
            source.doi.clone().into(),
            source.created_at.into(),
            source.updated_at.into(),
        ]
    });
    bulk.execute(connection, rows.collect()).await.map(drop)
}

/// Removes the rows of `ids`. Their contents must be gone already.
///
/// # Errors
/// Whatever the database answers.
pub async fn remove_all(connection: &impl ConnectionTrait, ids: &[SourceId]) -> Result<(), DbErr> {
    let bulk =
        Bulk { head: "DELETE FROM write_sources WHERE id IN (", row: "#", tail: ")", constants: Vec::new() };
    bulk.execute(connection, ids.iter().map(|id| vec![id.0.into()]).collect()).await.map(drop)
}

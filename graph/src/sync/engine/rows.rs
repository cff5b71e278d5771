//! Rows on their way: what was read from the write side, column by column as the stream says.

use ackord_entities::database::{RowSet, Sql};
use ackord_entities::graph::{edge, node};
use ackord_entities::ids::GraphId;
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use uuid::Uuid;

use super::streams::{Column, Key, Kind, Stream};

/// A record that is to be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The group's id.
    pub(super) id: Uuid,
    /// The record's key.
    pub(super) key: String,
    /// The number of its change.
    pub(super) number: i64,
}

impl Wanted {
    /// Reads a record's key. `None` if no trigger can have written it.
    pub(super) fn read(stream: &Stream, graph: GraphId, key: &str, number: i64) -> Option<Self> {
        match stream.key {
            Key::Id => {
                let id = Uuid::parse_str(key).ok()?;
                Some(Self { id, key: id.to_string(), number })
            }
            Key::Edge => {
                let (relationship, from, to) = ends(key)?;
                let canonical = serde_json::to_string(&(&relationship, &from, &to)).ok()?;
                Some(Self { id: edge_id(graph, &relationship, &from, &to), key: canonical, number })
            }
        }
    }
}

fn ends(key: &str) -> Option<(String, String, String)> {
    serde_json::from_str(key).ok()
}

/// The id that an edge has on the read side.
fn edge_id(graph: GraphId, relationship: &str, from: &str, to: &str) -> Uuid {
    let key = format!("edge:{}", edge::key_of(relationship, from, to));
    Uuid::new_v5(&graph.0, key.as_bytes())
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Uuid(Option<Uuid>),
    Text(Option<String>),
    Int(Option<i32>),
    Big(Option<i64>),
    Real(Option<f64>),
    Bool(Option<bool>),
    Time(Option<DateTime<Utc>>),
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// The group it belongs to.
    pub(super) group: Uuid,
    /// The number of the change it is copied for.
    pub(super) number: i64,
    /// Its values, in the order of the stream's columns.
    pub(super) cells: Vec<Cell>,
}

/// Where a page of rows ended.
#[derive(Clone, Debug)]
pub(super) struct Place {
    group: Uuid,
    within: Cell,
}

/// Reads the rows of `wanted` behind `after`: at most `limit` of a stream whose groups have many.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn load(
    connection: &impl ConnectionTrait,
    stream: &'static Stream,
    graph: GraphId,
    wanted: &[Wanted],
    after: Option<&Place>,
    limit: usize,
) -> Result<Vec<Row>, DbErr> {
    let mut sql = Sql::new(connection.get_database_backend()).text("SELECT r.key_id AS g, r.number AS n");
    for (index, column) in stream.columns.iter().enumerate() {
        sql = sql.text(&format!(", {} AS c{index}", column.from));
    }
    sql = sql
        .text(" FROM ")
        .rows(keys(stream, graph, wanted))
        .text(&format!(" CROSS JOIN {} WHERE {}", stream.from, stream.belongs));
    if let Some(within) = stream.within {
        if let Some(place) = after {
            sql = sql.text(&format!(" AND (r.key_id, w.{within}) > (")).bind(place.group).text(", ");
            sql = match &place.within {
                Cell::Uuid(id) => sql.bind(*id),
                Cell::Int(number) => sql.bind(*number),
                other => return Err(DbErr::Custom(format!("{other:?} tells no rows apart"))),
            };
            sql = sql.text(")");
        }
        sql = sql
            .text(&format!(" ORDER BY r.key_id, w.{within} LIMIT "))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX));
    }
    let rows = connection.query_all_raw(sql.build()).await?;
    rows.iter().map(|row| read(row, stream, graph)).collect()
}

/// Where the page that ends with `row` ended.
pub(super) fn place(stream: &Stream, row: &Row) -> Option<Place> {
    let within = stream.within?;
    let index = stream.columns.iter().position(|column| column.name == within)?;
    Some(Place { group: row.group, within: row.cells.get(index)?.clone() })
}

fn keys(stream: &Stream, graph: GraphId, wanted: &[Wanted]) -> RowSet {
    let set = RowSet::new("r")
        .uuid("key_id", wanted.iter().map(|record| record.id))
        .big("number", wanted.iter().map(|record| record.number));
    match stream.key {
        Key::Id => set,
        Key::Edge => {
            let parts: Vec<_> = wanted.iter().map(|record| ends(&record.key).unwrap_or_default()).collect();
            set.uuid("of_graph", wanted.iter().map(|_| graph.0))
                .string("of_type", parts.iter().map(|(relationship, _, _)| relationship.clone()))
                .string("from_key", parts.iter().map(|(_, from, _)| from.clone()))
                .string("to_key", parts.iter().map(|(_, _, to)| to.clone()))
        }
    }
}

fn read(row: &QueryResult, stream: &Stream, graph: GraphId) -> Result<Row, DbErr> {
    let cells = stream.columns.iter().enumerate();
    let cells = cells.map(|(index, column)| cell(row, &format!("c{index}"), column, graph));
    Ok(Row {
        group: row.try_get("", "g")?,
        number: row.try_get("", "n")?,
        cells: cells.collect::<Result<_, DbErr>>()?,
    })
}

fn cell(row: &QueryResult, name: &str, column: &Column, graph: GraphId) -> Result<Cell, DbErr> {
    Ok(match column.kind {
        Kind::Uuid(_) => Cell::Uuid(row.try_get("", name)?),
        Kind::Text(_) => Cell::Text(row.try_get("", name)?),
        Kind::Int(_) => Cell::Int(row.try_get("", name)?),
        Kind::Big(_) => Cell::Big(row.try_get("", name)?),
        Kind::Real(_) => Cell::Real(row.try_get("", name)?),
        Kind::Bool(_) => Cell::Bool(row.try_get("", name)?),
        Kind::Time(_) => Cell::Time(row.try_get("", name)?),
        Kind::Node => {
            let key: Option<String> = row.try_get("", name)?;
            Cell::Uuid(key.map(|key| node::id_of(graph, &key).0))
        }
    })
}

/// `rows` as a set of parameters, with their group and their number.
pub(super) fn set(stream: &Stream, rows: &[Row]) -> RowSet {
    let mut set = RowSet::new("r")
        .uuid("group_id", rows.iter().map(|row| row.group))
        .big("number", rows.iter().map(|row| row.number));
    for (index, column) in stream.columns.iter().enumerate() {
        let cells = rows.iter().map(|row| row.cells.get(index));
        set = add(set, column, cells);
    }
    set
}

fn add<'a>(set: RowSet, column: &Column, cells: impl Iterator<Item = Option<&'a Cell>>) -> RowSet {
    macro_rules! column {
        ($method:ident, $variant:ident, $optional:expr) => {{
            let values: Vec<_> = cells
                .map(|cell| match cell {
                    Some(Cell::$variant(value)) => value.clone(),
                    _ => None,
                })
                .collect();
            // One type for all: which of the two depends on the column, not on the data.
            if $optional {
                set.$method(column.name, values)
            } else {
                set.$method(column.name, values.into_iter().map(Option::unwrap_or_default))
            }
        }};
    }
    match column.kind {
        Kind::Uuid(optional) => column!(uuid, Uuid, optional),
        Kind::Node => column!(uuid, Uuid, false),
        Kind::Text(optional) => column!(string, Text, optional),
        Kind::Int(optional) => column!(int, Int, optional),
        Kind::Big(optional) => column!(big, Big, optional),
        Kind::Real(optional) => column!(real, Real, optional),
        Kind::Bool(optional) => column!(bool, Bool, optional),
        Kind::Time(optional) => column!(time, Time, optional),
    }
}

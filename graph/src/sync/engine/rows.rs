//! Rows on their way: what was read from the write side, column by column as the stream says.

use ackord_entities::database::{RowSet, Sql};
use ackord_entities::graph::{edge, node};
use ackord_entities::ids::GraphId;
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult};
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

/// Reads the rows of `wanted`. Of a stream whose groups have many it is at most `limit`, in the order of the groups; `after`, which
/// is in the first of them, was there before.
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
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let backend = connection.get_database_backend();
    let columns = stream.columns.iter().enumerate();
    let columns: Vec<String> =
        columns.map(|(index, column)| format!("{} AS c{index}", column.from)).collect();
    let (columns, from) = (columns.join(", "), stream.from);
    let behind = stream.within.map(|within| format!(" AND w.{within} > r.behind"));
    let belongs = [stream.belongs, &behind.unwrap_or_default()].concat();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let set = keys(stream, graph, wanted, after);
    let mut sql = Sql::new(backend).text("SELECT r.key_id AS g, r.number AS n, ");
    if backend == DbBackend::Postgres {
        // Each group by itself: a plan that merges the table with the groups reads all of the table.
        sql = sql.text("l.* FROM ").rows(set);
        sql = sql.text(&format!(" CROSS JOIN LATERAL (SELECT {columns} FROM {from} WHERE {belongs}"));
        sql = match stream.within {
            Some(within) => sql.text(&format!(" ORDER BY w.{within} LIMIT ")).bind(limit),
            None => sql.text(" OFFSET 0"),
        };
        sql = sql.text(") AS l");
    } else {
        sql = sql.text(&columns).text(" FROM ").rows(set);
        sql = sql.text(&format!(" CROSS JOIN {from} WHERE {belongs}"));
    }
    if let Some(index) = within_index(stream) {
        sql = sql.text(&format!(" ORDER BY r.key_id, c{index} LIMIT ")).bind(limit);
    }
    let rows = connection.query_all_raw(sql.build()).await?;
    rows.iter().map(|row| read(row, stream, graph)).collect()
}

/// Which column tells the rows of a group apart.
fn within_index(stream: &Stream) -> Option<usize> {
    stream.columns.iter().position(|column| Some(column.name) == stream.within)
}

/// Where the page that ends with `row` ended.
pub(super) fn place(stream: &Stream, row: &Row) -> Option<Place> {
    Some(Place { group: row.group, within: row.cells.get(within_index(stream)?)?.clone() })
}

/// The records as a set of parameters. Where a group has many rows, also behind which of them it is to be read.
fn keys(stream: &Stream, graph: GraphId, wanted: &[Wanted], after: Option<&Place>) -> RowSet {
    let mut set = RowSet::new("r")
        .uuid("key_id", wanted.iter().map(|record| record.id))
        .big("number", wanted.iter().map(|record| record.number));
    let places = wanted
        .iter()
        .map(|record| after.filter(|place| place.group == record.id).map(|place| place.within.clone()));
    set = match within_index(stream).map(|index| stream.columns[index].kind) {
        None => set,
        Some(Kind::Uuid(_)) => set.uuid(
            "behind",
            places.map(|place| if let Some(Cell::Uuid(Some(id))) = place { id } else { Uuid::nil() }),
        ),
        // Numbers: nobody counts from below zero.
        Some(_) => set.int(
            "behind",
            places.map(|place| if let Some(Cell::Int(Some(number))) = place { number } else { -1 }),
        ),
    };
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

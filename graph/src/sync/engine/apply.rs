//! Writing to the read side: sets of rows, and what has to go.

use std::collections::BTreeSet;

use ackord_entities::database::{RowSet, Sql};
use ackord_entities::ids::GraphId;
use ackord_entities::sync::failure::Record;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement};
use uuid::Uuid;

use super::rows::{Cell, Row, Wanted, set};
use super::streams::{Key, Reference, STREAMS, Stream};

/// The claim under which this cycle writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What is claimed.
    pub key: String,
    /// The claim's number.
    pub term: i64,
}

/// Makes sure that nobody with a newer claim has written here. Returns false if somebody has. The claim's row is locked until the
/// transaction ends.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn fence(tx: &DatabaseTransaction, claim: &Claim) -> Result<bool, DbErr> {
    let sql = "INSERT INTO ackord_fence (fence_key, term) VALUES ($1, $2) ON CONFLICT (fence_key) \
               DO UPDATE SET term = excluded.term WHERE ackord_fence.term <= excluded.term RETURNING term";
    let values = [claim.key.as_str().into(), claim.term.into()];
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
    Ok(tx.query_one_raw(statement).await?.is_some())
}

/// Writes `rows`; where `is_careful`, those of them whose references are there. A row that was written for a later change stays. Returns
/// how many were written.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn write(
    tx: &DatabaseTransaction,
    stream: &Stream,
    epoch: i32,
    rows: &[Row],
    is_careful: bool,
) -> Result<u64, DbErr> {
    let table = stream.table;
    let resolved = if is_careful { resolved(stream) } else { "true".to_owned() };
    let names: Vec<&str> = stream.columns.iter().map(|column| column.name).collect();
    let listed = names.join(", ");
    let given: Vec<String> = names.iter().map(|name| format!("r.{name}")).collect();
    let changed: Vec<String> = names.iter().map(|name| format!("{name} = excluded.{name}")).collect();
    let statement = Sql::new(tx.get_database_backend())
        .text(&format!("INSERT INTO {table} ({listed}, epoch, change) SELECT {}, ", given.join(", ")))
        .bind(epoch)
        .on_postgres("::integer")
        .text(", r.number FROM ")
        .rows(set(stream, rows))
        .text(&format!(
            " WHERE {resolved} ON CONFLICT ({}) DO UPDATE SET {}, epoch = excluded.epoch, change = excluded.change \
             WHERE ({table}.epoch, {table}.change) <= (excluded.epoch, excluded.change)",
            stream.primary_key,
            changed.join(", "),
        ))
        .build();
    Ok(tx.execute_raw(statement).await?.rows_affected())
}

/// The condition that everything `r` refers to is there.
fn resolved(stream: &Stream) -> String {
    let conditions = stream.references.iter().map(|Reference { column, table, optional }| {
        let there = format!("EXISTS (SELECT 1 FROM {table} AS p WHERE p.id = r.{column})");
        if *optional { format!("(r.{column} IS NULL OR {there})") } else { there }
    });
    conditions.reduce(|all, one| format!("{all} AND {one}")).unwrap_or_else(|| "true".to_owned())
}

/// A group with a row that refers to something that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) group: Uuid,
    /// What is not there, as `table:id`.
    pub(super) what: String,
}

/// What of that to which `rows` refer is not there: the first of each group.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn missing(
    tx: &DatabaseTransaction,
    stream: &Stream,
    rows: &[Row],
) -> Result<Vec<Missing>, DbErr> {
    let mut found: Vec<Missing> = Vec::new();
    for Reference { column, table, .. } in stream.references {
        let statement = Sql::new(tx.get_database_backend())
            .text(&format!("SELECT r.group_id, r.{column} AS missing FROM "))
            .rows(set(stream, rows))
            .text(&format!(
                " WHERE r.{column} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {table} AS p WHERE p.id = r.{column})"
            ))
            .build();
        for row in tx.query_all_raw(statement).await? {
            let group: Uuid = row.try_get("", "group_id")?;
            let id: Uuid = row.try_get("", "missing")?;
            if !found.iter().any(|known| known.group == group) {
                found.push(Missing { group, what: format!("{table}:{id}") });
            }
        }
    }
    Ok(found)
}

/// Notes that the nodes of `rows` have to be counted again.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn uncount(
    tx: &DatabaseTransaction,
    stream: &Stream,
    graph: GraphId,
    rows: &[Row],
) -> Result<(), DbErr> {
    let counted =
        stream.columns.iter().enumerate().filter(|(_, column)| stream.counted.contains(&column.name));
    let counted: Vec<usize> = counted.map(|(index, _)| index).collect();
    let cells = rows.iter().flat_map(|row| counted.iter().filter_map(|index| row.cells.get(*index)));
    let nodes: BTreeSet<Uuid> =
        cells.filter_map(|cell| if let Cell::Uuid(id) = cell { *id } else { None }).collect();
    uncount_ids(tx, graph, nodes).await
}

async fn uncount_ids(tx: &DatabaseTransaction, graph: GraphId, nodes: BTreeSet<Uuid>) -> Result<(), DbErr> {
    if nodes.is_empty() {
        return Ok(());
    }
    let set = RowSet::new("r").uuid("node", nodes);
    uncount_of(tx, graph, "r.node", |sql| sql.rows(set)).await
}

/// Notes that the nodes `node` of `rows` have to be counted again: in the order of their ids, as everybody does.
async fn uncount_of(
    tx: &DatabaseTransaction,
    graph: GraphId,
    node: &str,
    rows: impl FnOnce(Sql) -> Sql,
) -> Result<(), DbErr> {
    let sql = Sql::new(tx.get_database_backend())
        .text("INSERT INTO uncounted_nodes (graph_id, node_id) SELECT DISTINCT ")
        .bind(graph)
        .on_postgres("::uuid")
        .text(&format!(", {node} FROM "));
    tx.execute_raw(rows(sql).text(" ORDER BY 2 ON CONFLICT DO NOTHING").build()).await.map(drop)
}

/// Removes the rows of these groups that are older than the group's newest change. Returns how many.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn sweep(
    tx: &DatabaseTransaction,
    stream: &Stream,
    graph: GraphId,
    epoch: i32,
    groups: &[Wanted],
) -> Result<u64, DbErr> {
    let backend = tx.get_database_backend();
    let (table, group) = (stream.table, stream.group);
    let older = |sql: Sql| {
        sql.rows(groups_set(groups))
            .text(&format!(" CROSS JOIN {table} AS t WHERE t.{group} = r.key_id AND (t.epoch < "))
            .bind(epoch)
            .text(" OR (t.epoch = ")
            .bind(epoch)
            .text(" AND t.change < r.number))")
    };
    let keys: Vec<String> = stream.primary_key.split(", ").map(|column| format!("t.{column}")).collect();
    let sql = Sql::new(backend).text(&format!(
        "DELETE FROM {table} WHERE ({}) IN (SELECT {} FROM ",
        stream.primary_key,
        keys.join(", ")
    ));
    let nodes = stream.counted.join(", ");
    let returning = format!(") RETURNING {}", if nodes.is_empty() { "1" } else { &nodes });
    let removed = tx.query_all_raw(older(sql).text(&returning).build()).await?;
    let nodes = removed.iter().flat_map(|row| stream.counted.iter().map(|column| row.try_get("", column)));
    uncount_ids(tx, graph, nodes.collect::<Result<_, DbErr>>()?).await?;
    if let Some(owner) = stream.counted_by {
        count_facts(tx, stream, owner, groups).await?;
    }
    Ok(removed.len() as u64)
}

/// Counts the rows of these groups beside the row that they belong to.
async fn count_facts(
    tx: &DatabaseTransaction,
    stream: &Stream,
    owner: &str,
    groups: &[Wanted],
) -> Result<(), DbErr> {
    let (table, group) = (stream.table, stream.group);
    let statement = Sql::new(tx.get_database_backend())
        .text(&format!(
            "UPDATE {owner} SET fact_count = (SELECT count(*) FROM {table} AS t WHERE t.{group} = {owner}.id) WHERE "
        ))
        .any_of("id", groups.iter().map(|record| record.id))
        .build();
    tx.execute_raw(statement).await.map(drop)
}

fn groups_set(groups: &[Wanted]) -> RowSet {
    RowSet::new("r")
        .uuid("key_id", groups.iter().map(|record| record.id))
        .big("number", groups.iter().map(|record| record.number))
}

/// The records whose rows refer to one of `gone`, with what they wait for when that goes. Their nodes have to be counted again.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn dependents(
    tx: &DatabaseTransaction,
    graph: GraphId,
    table: &'static str,
    gone: &[Wanted],
) -> Result<Vec<(Record, String)>, DbErr> {
    let mut found = Vec::new();
    for stream in &STREAMS {
        for reference in stream.references.iter().filter(|reference| reference.table == table) {
            let (of, group, column) = (stream.table, stream.group, reference.column);
            let key = match stream.key {
                Key::Id => "NULL AS relationship, NULL AS from_key, NULL AS to_key",
                Key::Edge => "t.relationship_type AS relationship, a.key AS from_key, b.key AS to_key",
            };
            let ends = match stream.key {
                Key::Id => "",
                Key::Edge => " JOIN nodes AS a ON a.id = t.source_id JOIN nodes AS b ON b.id = t.target_id",
            };
            let statement = Sql::new(tx.get_database_backend())
                .text(&format!("SELECT DISTINCT t.{group} AS group_id, r.key_id AS gone, {key} FROM "))
                .rows(groups_set(gone))
                .text(&format!(" CROSS JOIN {of} AS t{ends} WHERE t.{column} = r.key_id"))
                .build();
            for row in tx.query_all_raw(statement).await? {
                let (id, gone): (Uuid, Uuid) = (row.try_get("", "group_id")?, row.try_get("", "gone")?);
                let key = match stream.key {
                    Key::Id => id.to_string(),
                    Key::Edge => {
                        let ends: (String, String, String) = (
                            row.try_get("", "relationship")?,
                            row.try_get("", "from_key")?,
                            row.try_get("", "to_key")?,
                        );
                        serde_json::to_string(&ends).map_err(|error| DbErr::Json(error.to_string()))?
                    }
                };
                found.push((Record { table: of, key }, format!("{table}:{gone}")));
            }
            for counted in stream.counted.iter().filter(|counted| **counted != column) {
                let of_gone = format!(" CROSS JOIN {of} AS t WHERE t.{column} = r.key_id");
                uncount_of(tx, graph, &format!("t.{counted}"), |sql| {
                    sql.rows(groups_set(gone)).text(&of_gone)
                })
                .await?;
            }
        }
    }
    Ok(found)
}

/// Rows of an older epoch: what the complete copy has not met. At most `limit`.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn left_over(
    connection: &impl ConnectionTrait,
    stream: &Stream,
    graph: GraphId,
    epoch: i32,
    limit: usize,
) -> Result<Vec<Wanted>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text(&format!("SELECT id FROM {} WHERE graph_id = ", stream.table))
        .bind(graph)
        .text(" AND epoch < ")
        .bind(epoch)
        .text(" LIMIT ")
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .build();
    let rows = connection.query_all_raw(statement).await?;
    let wanted = |row: &sea_orm::QueryResult| {
        let id: Uuid = row.try_get("", "id")?;
        // Of this epoch nothing is there: every number is older.
        Ok(Wanted { id, key: id.to_string(), number: 0 })
    };
    rows.iter().map(wanted).collect()
}

/// Counts nodes again that were noted: at most `limit`. Returns how many.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn count_nodes(
    tx: &DatabaseTransaction,
    graph: GraphId,
    limit: usize,
) -> Result<usize, DbErr> {
    let backend = tx.get_database_backend();
    let statement = Sql::new(backend)
        .text("DELETE FROM uncounted_nodes WHERE (graph_id, node_id) IN (SELECT graph_id, node_id FROM uncounted_nodes WHERE graph_id = ")
        .bind(graph)
        .text(" ORDER BY node_id LIMIT ")
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .text(") RETURNING node_id")
        .build();
    let rows = tx.query_all_raw(statement).await?;
    let ids = rows.iter().map(|row| row.try_get_by_index(0)).collect::<Result<Vec<Uuid>, DbErr>>()?;
    if ids.is_empty() {
        return Ok(0);
    }
    let count = Sql::new(backend)
        .text(
            "UPDATE nodes SET fact_count = (SELECT count(*) FROM node_facts AS f WHERE f.node_id = nodes.id), \
             edge_count = (SELECT count(*) FROM edges AS e WHERE e.source_id = nodes.id) \
             + (SELECT count(*) FROM edges AS e WHERE e.target_id = nodes.id AND e.source_id <> nodes.id), \
             dimension_count = (SELECT count(*) FROM dimensions AS d WHERE d.node_id = nodes.id) WHERE ",
        )
        .any_of("id", ids.iter().copied())
        .build();
    tx.execute_raw(count).await?;
    Ok(ids.len())
}

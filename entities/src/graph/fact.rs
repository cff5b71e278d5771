//! Facts: sentences, each stored once per graph however many sources say it.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{DbBackend, FromQueryResult, QueryResult, Statement};

use super::bulk::Bulk;
use crate::ids::{FactId, GraphId, NodeId};

/// One fact.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "write_facts")]
pub struct Model {
    /// Derived from graph and content, see [`id_of`].
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: FactId,
    /// The graph it belongs to.
    pub graph_id: GraphId,
    /// A readable sentence in plain text: no markup, no line breaks.
    pub content: String,
    /// What it was in its (first) source.
    pub fact_type: FactType,
    /// When it was first imported.
    pub created_at: DateTime<Utc>,
    /// When its row was last changed.
    pub updated_at: DateTime<Utc>,
}

impl ActiveModelBehavior for ActiveModel {}

/// What a fact was in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum FactType {
    /// A sentence of running text.
    #[sea_orm(string_value = "sentence")]
    Sentence,
    /// A sentence of a list item.
    #[sea_orm(string_value = "list_item")]
    ListItem,
    /// A row of a table, written out.
    #[sea_orm(string_value = "table_row")]
    TableRow,
    /// A fact that a record stated as such.
    #[sea_orm(string_value = "stated")]
    Stated,
}

/// A fact to be written.
#[derive(Clone, Debug)]
pub struct New<'a> {
    /// See [`id_of`].
    pub id: FactId,
    /// See [`Model::content`].
    pub content: &'a str,
    /// See [`Model::fact_type`].
    pub fact_type: FactType,
    /// The fact's search terms with a space between: what [`candidates`] is asked with.
    pub terms: &'a str,
}

/// The id that the fact `content` has in `graph`, whether or not it exists.
#[must_use]
pub fn id_of(graph: GraphId, content: &str) -> FactId {
    FactId::derived(graph.0, &format!("fact:{content}"))
}

/// Search terms that one question may have; what comes behind is not asked for.
pub const MOST_TERMS: usize = 64;

/// The facts of `graph` that hold at least one of `terms`, best first: at most `limit`.
///
/// `terms` are search terms as `ackord_graph::text::terms_of` makes them from a text (lowercase, stemmed, no stop words);
/// the import has made the index from the same function. Only the first [`MOST_TERMS`] distinct ones count.
///
/// The order is deterministic and the same on both databases: the sum of the weights of the terms that a fact holds,
/// where a term weighs `1000 * ln(1 + all facts / facts with the term)`, rounded; then the id. How often a fact holds a term
/// does not matter. It is meant to gather candidates, which the caller then ranks by his own measure.
///
/// # Errors
/// Whatever the database answers.
pub async fn candidates(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    terms: &[String],
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let weighted = weigh(connection, terms).await?;
    if weighted.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let backend = connection.get_database_backend();
    let mut values: Vec<Value> = vec![graph.0.into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
    let mut hits = Vec::new();
    for (term, weight) in weighted {
        values.push(term_query(backend, &term).into());
        let parameter = values.len();
        hits.push(match backend {
            DbBackend::Postgres => format!(
                "SELECT id AS hit, {weight} AS weight FROM write_facts WHERE graph_id = $1 AND search @@ ${parameter}::text::tsquery"
            ),
            _ => format!(
                "SELECT rowid AS hit, {weight} AS weight FROM write_facts_search WHERE write_facts_search MATCH ${parameter}"
            ),
        });
    }
    let key = if backend == DbBackend::Postgres { "id" } else { "seq" };
    let sql = format!(
        "SELECT f.id, f.graph_id, f.content, f.fact_type, f.created_at, f.updated_at \
         FROM (SELECT hit, sum(weight) AS score FROM ({}) AS hits GROUP BY hit) AS scored \
         JOIN write_facts AS f ON f.{key} = scored.hit \
         WHERE f.graph_id = $1 ORDER BY scored.score DESC, f.id LIMIT $2",
        hits.join(" UNION ALL ")
    );
    let rows = connection.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    rows.iter().map(|row| Model::from_query_result(row, "")).collect()
}

/// The terms that any fact holds, with their weights.
async fn weigh(connection: &impl ConnectionTrait, terms: &[String]) -> Result<Vec<(String, i64)>, DbErr> {
    let backend = connection.get_database_backend();
    let mut seen = HashSet::new();
    let terms = terms.iter().filter(|term| !term.is_empty() && seen.insert(term.as_str())).take(MOST_TERMS);
    let all =
        count(connection, Statement::from_string(backend, "SELECT count(*) AS number FROM write_facts"))
            .await?;
    let mut weighted = Vec::new();
    for term in terms {
        let sql = match backend {
            DbBackend::Postgres => {
                "SELECT count(*) AS number FROM write_facts WHERE search @@ $1::text::tsquery"
            }
            _ => "SELECT count(*) AS number FROM write_facts_search WHERE write_facts_search MATCH $1",
        };
        let values = [term_query(backend, term).into()];
        let holding = count(connection, Statement::from_sql_and_values(backend, sql, values)).await?;
        if holding > 0 {
            weighted.push((term.clone(), weight(all, holding)));
        }
    }
    Ok(weighted)
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "counts of facts, and a small logarithm"
)]
fn weight(all: i64, holding: i64) -> i64 {
    (1_000.0 * (all as f64 / holding as f64).ln_1p()).round() as i64
}

async fn count(connection: &impl ConnectionTrait, statement: Statement) -> Result<i64, DbErr> {
    let row = connection.query_one_raw(statement).await?;
    row.map_or(Ok(0), |row| row.try_get("", "number"))
}

/// `term` as a query for exactly itself.
fn term_query(backend: DbBackend, term: &str) -> String {
    match backend {
        DbBackend::Postgres => format!("'{}'", term.replace('\\', "\\\\").replace('\'', "''")),
        _ => format!("\"{}\"", term.replace('"', "\"\"")),
    }
}

/// The facts with these ids, in no particular order; an id without a fact is left out.
///
/// # Errors
/// Whatever the database answers.
pub async fn by_ids(
    connection: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = FactId>,
) -> Result<Vec<Model>, DbErr> {
    let bulk = Bulk {
        head: "SELECT id, graph_id, content, fact_type, created_at, updated_at FROM write_facts WHERE id IN (",
        row: "#",
        tail: ")",
        constants: Vec::new(),
    };
    let rows = bulk.query(connection, ids.into_iter().map(|id| vec![id.0.into()]).collect()).await?;
    rows.iter().map(|row| Model::from_query_result(row, "")).collect()
}

/// The facts that mention the node, in the order of their ids: at most `limit`.
///
/// # Errors
/// Whatever the database answers.
pub async fn of_node(
    connection: &impl ConnectionTrait,
    node: NodeId,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let sql = "SELECT f.id, f.graph_id, f.content, f.fact_type, f.created_at, f.updated_at FROM write_node_facts AS nf \
               JOIN write_facts AS f ON f.id = nf.fact_id WHERE nf.node_id = $1 ORDER BY nf.fact_id LIMIT $2";
    let values = [node.0.into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    let rows = connection.query_all_raw(statement).await?;
    rows.iter().map(|row| Model::from_query_result(row, "")).collect()
}

/// The same from behind `after`.
///
/// # Errors
/// Whatever the database answers.
pub async fn of_node_behind(
    connection: &impl ConnectionTrait,
    node: NodeId,
    after: Option<FactId>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let Some(after) = after else { return of_node(connection, node, limit).await };
    let sql = "SELECT f.id, f.graph_id, f.content, f.fact_type, f.created_at, f.updated_at FROM write_node_facts AS nf \
               JOIN write_facts AS f ON f.id = nf.fact_id WHERE nf.node_id = $1 AND nf.fact_id > $2 ORDER BY nf.fact_id LIMIT $3";
    let values = [node.0.into(), after.0.into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    let rows = connection.query_all_raw(statement).await?;
    rows.iter().map(|row| Model::from_query_result(row, "")).collect()
}

/// Writes those of `facts` that are not there yet, with their rows in the search index, and returns the ids of these.
/// No id may come twice.
///
/// # Errors
/// Whatever the database answers.
pub async fn insert_new(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    facts: &[New<'_>],
    now: DateTime<Utc>,
) -> Result<HashSet<FactId>, DbErr> {
    let constants = vec![graph.0.into(), now.into()];
    let values =
        |fact: &New<'_>| vec![fact.id.0.into(), fact.content.into(), fact.fact_type.to_value().into()];
    if connection.get_database_backend() == DbBackend::Postgres {
        let bulk = Bulk {
            head: "INSERT INTO write_facts (id, content, fact_type, search, graph_id, created_at, updated_at) VALUES ",
            row: "(#, #, #, array_to_tsvector(string_to_array(#, ' ')), $1, $2, $2)",
            tail: " ON CONFLICT (id) DO NOTHING RETURNING id",
            constants,
        };
        let with_terms = |fact: &New<'_>| {
            let mut row: Vec<Value> = values(fact);
            row.push(fact.terms.into());
            row
        };
        let rows = bulk.query(connection, facts.iter().map(with_terms).collect()).await?;
        return rows.iter().map(id_in).collect();
    }
    let bulk = Bulk {
        head: "INSERT INTO write_facts (id, content, fact_type, graph_id, created_at, updated_at) VALUES ",
        row: "(#, #, #, $1, $2, $2)",
        tail: " ON CONFLICT (id) DO NOTHING RETURNING seq, id",
        constants,
    };
    let rows = bulk.query(connection, facts.iter().map(values).collect()).await?;
    let sequence: HashMap<FactId, i64> =
        rows.iter().map(|row| Ok((id_in(row)?, row.try_get("", "seq")?))).collect::<Result<_, DbErr>>()?;
    let entries: Vec<(i64, &str)> =
        facts.iter().filter_map(|fact| Some((*sequence.get(&fact.id)?, fact.terms))).collect();
    insert_terms(connection, &entries).await?;
    Ok(sequence.into_keys().collect())
}

/// Writes rows of SQLite's search index in one statement: the index writes what it holds in memory to its tables at the end
/// of each, and merges these later.
async fn insert_terms(connection: &impl ConnectionTrait, entries: &[(i64, &str)]) -> Result<(), DbErr> {
    if entries.is_empty() {
        return Ok(());
    }
    let rows = serde_json::to_string(entries).map_err(|error| DbErr::Json(error.to_string()))?;
    let sql =
        "INSERT INTO write_facts_search (rowid, terms) SELECT value ->> 0, value ->> 1 FROM json_each($1)";
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, [rows.into()]);
    connection.execute_raw(statement).await.map(drop)
}

fn id_in(row: &QueryResult) -> Result<FactId, DbErr> {
    row.try_get("", "id")
}

/// Removes the facts with these ids, and their rows in the search index. What refers to them must be gone already.
///
/// # Errors
/// Whatever the database answers.
pub async fn remove_all(connection: &impl ConnectionTrait, ids: &[FactId]) -> Result<(), DbErr> {
    let rows = || ids.iter().map(|id| vec![id.0.into()]).collect();
    if connection.get_database_backend() != DbBackend::Postgres {
        let index = Bulk {
            head: "DELETE FROM write_facts_search WHERE rowid IN (SELECT seq FROM write_facts WHERE id IN (",
            row: "#",
            tail: "))",
            constants: Vec::new(),
        };
        index.execute(connection, rows()).await?;
    }
    let bulk =
        Bulk { head: "DELETE FROM write_facts WHERE id IN (", row: "#", tail: ")", constants: Vec::new() };
    bulk.execute(connection, rows()).await.map(drop)
}

//! `sync_failures`: rows that could not be copied. Each has one entry here, which alone answers for it: the position of its table has
//! moved on.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, ExprTrait, FromQueryResult, QueryOrder, QuerySelect};

use crate::clock::{Moment, later};
use crate::database::{RowSet, Sql};
use crate::ids::GraphId;

/// A row that could not be copied.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sync_failures")]
pub struct Model {
    /// The graph.
    #[sea_orm(primary_key, auto_increment = false)]
    pub graph_id: GraphId,
    /// The table of the read side.
    #[sea_orm(primary_key, auto_increment = false)]
    pub table_name: String,
    /// The record: a row, or the links of one.
    #[sea_orm(primary_key, auto_increment = false)]
    pub record_key: String,
    /// What becomes of it.
    pub state: State,
    /// What is wrong, for programs.
    pub error_code: String,
    /// The same for operators.
    pub error: String,
    /// The row it waits for, as `table:id`.
    pub waits_for: Option<String>,
    /// How often copying it went wrong. Waiting is none.
    pub tries: i32,
    /// When it is tried again, at the latest.
    pub due_at: DateTime<Utc>,
    /// Since when it is here.
    pub created_at: DateTime<Utc>,
    /// When it was last tried.
    pub updated_at: DateTime<Utc>,
}

impl ActiveModelBehavior for ActiveModel {}

/// What becomes of a row that could not be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It refers to a row that is not there yet, and is copied when that one has come.
    #[sea_orm(string_value = "deferred")]
    Deferred,
    /// It is tried again when it is due.
    #[sea_orm(string_value = "pending")]
    Pending,
    /// It was tried often enough, and waits for an operator.
    #[sea_orm(string_value = "abandoned")]
    Abandoned,
}

/// Which row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Record {
    /// The table of the read side.
    pub table: &'static str,
    /// The record's key in it.
    pub key: String,
}

/// Why a row was not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It refers to this row, which is not there: `table:id`.
    Missing(String),
    /// The database refused it.
    Refused {
        /// For programs.
        code: &'static str,
        /// For operators.
        error: String,
    },
}

/// How often and when a refused row is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The wait after the first try; it doubles with each.
    pub base: Duration,
    /// Tries before the row is abandoned.
    pub most: i32,
}

impl Default for Policy {
    fn default() -> Self {
        Self { base: Duration::from_secs(60), most: 5 }
    }
}

impl Policy {
    /// When a row is tried again that has been tried so often.
    fn due(self, tries: i32, now: DateTime<Utc>) -> DateTime<Utc> {
        let doublings = tries.clamp(0, 16).unsigned_abs();
        later(now, self.base.saturating_mul(1 << doublings))
    }
}

/// The longest time until a row that waits for another one is looked at although that one has not come.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Records that rows were not copied. A refused row is tried once more and later each time, and at last abandoned; an abandoned one
/// stays so.
///
/// # Errors
/// Whatever the database answers.
pub async fn record(
    tx: &DatabaseTransaction,
    graph: GraphId,
    held: &[(Record, Cause)],
    policy: Policy,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let known = known(tx, graph, held).await?;
    let rows: Vec<Model> = held
        .iter()
        .map(|(record, cause)| entry(graph, record, cause, known.get(record), policy, now))
        .collect();
    write(tx, &rows).await
}

fn entry(
    graph: GraphId,
    record: &Record,
    cause: &Cause,
    before: Option<&(i32, State)>,
    policy: Policy,
    now: DateTime<Utc>,
) -> Model {
    let (tried, state) = before.copied().unwrap_or((0, State::Pending));
    let row = Model {
        graph_id: graph,
        table_name: record.table.to_owned(),
        record_key: record.key.clone(),
        state: State::Deferred,
        error_code: "missing".to_owned(),
        error: String::new(),
        waits_for: None,
        tries: tried,
        due_at: later(now, LONGEST_WAIT),
        created_at: now,
        updated_at: now,
    };
    match cause {
        Cause::Missing(other) => Model {
            error: format!("it refers to {other}, which is not there yet"),
            waits_for: Some(other.clone()),
            ..row
        },
        Cause::Refused { code, error } => {
            let tries = tried.saturating_add(1);
            let is_over = tries >= policy.most || (before.is_some() && state == State::Abandoned);
            Model {
                state: if is_over { State::Abandoned } else { State::Pending },
                error_code: (*code).to_owned(),
                error: error.clone(),
                tries,
                due_at: policy.due(tries, now),
                ..row
            }
        }
    }
}

/// How often those of `held` were tried that are known.
async fn known(
    tx: &DatabaseTransaction,
    graph: GraphId,
    held: &[(Record, Cause)],
) -> Result<HashMap<Record, (i32, State)>, DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("SELECT r.place, f.tries, f.state FROM ")
        .rows(keys(held.iter().map(|(record, _)| record)).big("place", 0..len(held)))
        .text(" CROSS JOIN sync_failures AS f WHERE f.table_name = r.of_table AND f.record_key = r.of_key AND f.graph_id = ")
        .bind(graph)
        .build();
    let mut known = HashMap::new();
    for row in tx.query_all_raw(statement).await? {
        let place: i64 = row.try_get("", "place")?;
        let found = usize::try_from(place).ok().and_then(|place| held.get(place));
        if let Some((record, _)) = found {
            known.insert(record.clone(), (row.try_get("", "tries")?, row.try_get("", "state")?));
        }
    }
    Ok(known)
}

fn len<T>(all: &[T]) -> i64 {
    i64::try_from(all.len()).unwrap_or(i64::MAX)
}

async fn write(tx: &DatabaseTransaction, rows: &[Model]) -> Result<(), DbErr> {
    const COLUMNS: &str = "graph_id, table_name, record_key, state, error_code, error, waits_for, tries, due_at, created_at, updated_at";
    if rows.is_empty() {
        return Ok(());
    }
    let set = RowSet::new("r")
        .uuid("graph_id", rows.iter().map(|row| row.graph_id.0))
        .string("table_name", rows.iter().map(|row| row.table_name.clone()))
        .string("record_key", rows.iter().map(|row| row.record_key.clone()))
        .string("state", rows.iter().map(|row| row.state.to_value()))
        .string("error_code", rows.iter().map(|row| row.error_code.clone()))
        .string("error", rows.iter().map(|row| row.error.clone()))
        .string("waits_for", rows.iter().map(|row| row.waits_for.clone()))
        .int("tries", rows.iter().map(|row| row.tries))
        .time("due_at", rows.iter().map(|row| row.due_at))
        .time("created_at", rows.iter().map(|row| row.created_at))
        .time("updated_at", rows.iter().map(|row| row.updated_at));
    let statement = Sql::new(tx.get_database_backend())
        .text(&format!("INSERT INTO sync_failures ({COLUMNS}) SELECT {COLUMNS} FROM "))
        .rows(set)
        .text(
            " WHERE true ON CONFLICT (graph_id, table_name, record_key) DO UPDATE SET state = excluded.state, \
             error_code = excluded.error_code, error = excluded.error, waits_for = excluded.waits_for, tries = excluded.tries, \
             due_at = excluded.due_at, updated_at = excluded.updated_at",
        )
        .build();
    tx.execute_raw(statement).await.map(drop)
}

/// Forgets rows that were copied, or are gone. Returns how many were here.
///
/// # Errors
/// Whatever the database answers.
pub async fn clear(tx: &DatabaseTransaction, graph: GraphId, records: &[Record]) -> Result<u64, DbErr> {
    if records.is_empty() {
        return Ok(0);
    }
    let statement = Sql::new(tx.get_database_backend())
        .text("DELETE FROM sync_failures WHERE graph_id = ")
        .bind(graph)
        .text(" AND (table_name, record_key) IN (SELECT of_table, of_key FROM ")
        .rows(keys(records.iter()))
        .text(")")
        .build();
    Ok(tx.execute_raw(statement).await?.rows_affected())
}

/// What is to be tried again, oldest first: at most `limit`.
///
/// # Errors
/// Whatever the database answers.
pub async fn due(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    now: Moment,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("SELECT * FROM sync_failures WHERE state <> 'abandoned' AND graph_id = ")
        .bind(graph)
        .text(" AND due_at <= ")
        .moment(now)
        .text(" ORDER BY due_at, table_name, record_key LIMIT ")
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .build();
    let rows = connection.query_all_raw(statement).await?;
    rows.iter().map(|row| Model::from_query_result(row, "")).collect()
}

/// Whether anything is recorded of the graph.
///
/// # Errors
/// Whatever the database answers.
pub async fn any(connection: &impl ConnectionTrait, graph: GraphId) -> Result<bool, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("SELECT 1 AS found FROM sync_failures WHERE graph_id = ")
        .bind(graph)
        .text(" LIMIT 1")
        .build();
    Ok(connection.query_one_raw(statement).await?.is_some())
}

/// Which of `records` are recorded here.
///
/// # Errors
/// Whatever the database answers.
pub async fn among(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    records: &[Record],
) -> Result<Vec<Record>, DbErr> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let statement = Sql::new(connection.get_database_backend())
        .text("SELECT r.place FROM ")
        .rows(keys(records.iter()).big("place", 0..len(records)))
        .text(" CROSS JOIN sync_failures AS f WHERE f.table_name = r.of_table AND f.record_key = r.of_key AND f.graph_id = ")
        .bind(graph)
        .build();
    let rows = connection.query_all_raw(statement).await?;
    let places = rows.iter().map(|row| row.try_get_by_index::<i64>(0)).collect::<Result<Vec<_>, _>>()?;
    let found = places.into_iter().filter_map(|place| records.get(usize::try_from(place).ok()?).cloned());
    Ok(found.collect())
}

/// The rows that wait for one of `arrived`.
///
/// # Errors
/// Whatever the database answers.
pub async fn waiting_for(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    arrived: Vec<String>,
) -> Result<Vec<Model>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("SELECT f.* FROM ")
        .rows(RowSet::new("r").string("arrived", arrived))
        .text(" CROSS JOIN sync_failures AS f WHERE f.waits_for IS NOT NULL AND f.waits_for = r.arrived AND f.graph_id = ")
        .bind(graph)
        .build();
    let rows = connection.query_all_raw(statement).await?;
    rows.iter().map(|row| Model::from_query_result(row, "")).collect()
}

/// Which of a graph's rows an operator means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// One.
    One {
        /// Its table.
        table: String,
        /// Its key.
        key: String,
    },
    /// All that were refused; those that wait for others do that in any case.
    All,
}

impl Which {
    fn condition(&self, graph: GraphId) -> sea_orm::Condition {
        let of_graph = sea_orm::Condition::all().add(Column::GraphId.eq(graph));
        match self {
            Self::One { table, key } => {
                of_graph.add(Column::TableName.eq(table)).add(Column::RecordKey.eq(key))
            }
            Self::All => of_graph.add(Column::State.ne(State::Deferred)),
        }
    }
}

/// Makes rows due, as if they had been tried once. Returns how many.
///
/// # Errors
/// Whatever the database answers.
pub async fn requeue(
    tx: &DatabaseTransaction,
    graph: GraphId,
    which: &Which,
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let due = Entity::update_many()
        .col_expr(Column::DueAt, Expr::value(now))
        .filter(which.condition(graph))
        .exec(tx)
        .await?;
    Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Pending))
        .col_expr(Column::Tries, Expr::value(1))
        .filter(which.condition(graph))
        .filter(Column::State.ne(State::Deferred))
        .exec(tx)
        .await?;
    Ok(due.rows_affected)
}

/// Forgets rows. Returns how many.
///
/// # Errors
/// Whatever the database answers.
pub async fn discard(tx: &DatabaseTransaction, graph: GraphId, which: &Which) -> Result<u64, DbErr> {
    Ok(Entity::delete_many().filter(which.condition(graph)).exec(tx).await?.rows_affected)
}

/// Which rows to list. What is not given does not narrow.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only rows of this graph.
    pub graph: Option<GraphId>,
    /// Only rows in this state.
    pub state: Option<State>,
    /// Only rows of this table.
    pub table: Option<String>,
    /// Only rows behind this one: graph, table and key of the last of the page before.
    pub after: Option<(GraphId, String, String)>,
}

/// A page of rows that were not copied, by graph, table and key.
///
/// # Errors
/// Whatever the database answers.
pub async fn list(
    connection: &impl ConnectionTrait,
    filter: &Filter,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let after = filter.after.as_ref().map(|(graph, table, key)| {
        let place = Expr::tuple([
            Expr::col(Column::GraphId),
            Expr::col(Column::TableName),
            Expr::col(Column::RecordKey),
        ]);
        place.gt(Expr::tuple([Expr::value(*graph), Expr::value(table.as_str()), Expr::value(key.as_str())]))
    });
    let condition = sea_orm::Condition::all()
        .add_option(filter.graph.map(|graph| Column::GraphId.eq(graph)))
        .add_option(filter.state.map(|state| Column::State.eq(state)))
        .add_option(filter.table.as_ref().map(|table| Column::TableName.eq(table)))
        .add_option(after);
    Entity::find()
        .filter(condition)
        .order_by_asc(Column::GraphId)
        .order_by_asc(Column::TableName)
        .order_by_asc(Column::RecordKey)
        .limit(limit)
        .all(connection)
        .await
}

/// How many rows of a graph are in each state.
///
/// # Errors
/// Whatever the database answers.
pub async fn counts(connection: &impl ConnectionTrait, graph: GraphId) -> Result<Vec<(State, i64)>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::State)
        .column_as(Column::RecordKey.count(), "number")
        .filter(Column::GraphId.eq(graph))
        .group_by(Column::State)
        .order_by_asc(Column::State)
        .into_tuple()
        .all(connection)
        .await
}

fn keys<'a>(records: impl Iterator<Item = &'a Record> + Clone) -> RowSet {
    RowSet::new("r")
        .string("of_key", records.clone().map(|record| record.key.clone()))
        .string("of_table", records.map(|record| record.table.to_owned()))
}

//! `write_changes` and `write_followers`: what has changed on the write side of a graph, for the one who copies it.
//!
//! Triggers note the changes, in the transactions that make them, while the graph is followed. Read them up to the [`Horizon`] only:
//! behind it a transaction may still be open that will turn out to be older than what is there.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, QueryResult, Statement};
use uuid::Uuid;

use crate::database::Sql;
use crate::ids::GraphId;

/// A place in the order of changes of one stream.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Position {
    /// Postgres's transaction; 0 on SQLite.
    pub transaction: i64,
    /// The entry within it.
    pub entry: i64,
}

impl Position {
    /// The number that a copy of what changed here carries: a later change never has a smaller one.
    #[must_use]
    pub fn number(self, backend: DbBackend) -> i64 {
        if backend == DbBackend::Postgres { self.transaction } else { self.entry }
    }
}

/// How far changes can be read without missing one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// Everything up to this number is there: see [`Position::number`].
    pub number: i64,
    /// Which cluster of Postgres numbers its transactions like this. SQLite has none.
    pub cluster: Option<String>,
}

/// The oldest transaction that the horizon stops at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process of the server, if it is known; a prepared transaction has none.
    pub pid: Option<i32>,
    /// What it calls itself, and what it is doing.
    pub about: String,
    /// For how long it has been open.
    pub open_ms: i64,
}

/// A graph that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// The number from which on all changes are noted.
    pub since: i64,
    /// What the newest cycle has left here.
    pub token: Uuid,
    /// What the one before had left.
    pub previous_token: Option<Uuid>,
}

/// A noted change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it stands.
    pub position: Position,
    /// Which record it is about.
    pub record_key: String,
}

/// What a look at the write side says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// How far changes can be read.
    pub horizon: Horizon,
    /// Whether the graph is followed.
    pub follower: Option<Follower>,
    /// Whether there are changes behind the positions and up to the horizon.
    pub is_changed: bool,
    /// Whether there are changes behind the horizon.
    pub is_held_back: bool,
}

/// Looks how far changes of the graph can be read, and whether any of the streams has one behind its position: one round trip.
///
/// # Errors
/// Whatever the database answers.
pub async fn look(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    positions: &[(&'static str, Position)],
) -> Result<Look, DbErr> {
    let mut sql = Sql::new(connection.get_database_backend())
        .either(
            "SELECT h.number, (SELECT system_identifier::text FROM pg_control_system()) AS cluster",
            "SELECT h.number, NULL AS cluster",
        )
        .text(", f.since, f.token, f.previous_token");
    for (name, comparison) in [("is_changed", "<="), ("is_held_back", ">")] {
        sql = sql.text(", (false");
        for (stream, after) in positions {
            sql = behind(sql.text(" OR EXISTS (SELECT 1 FROM write_changes WHERE "), graph, stream, *after)
                .either(" AND transaction_id ", " AND id ")
                .text(comparison)
                .text(" h.number)");
        }
        sql = sql.text(") AS ").text(name);
    }
    let statement = sql
        .either(
            " FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1 AS number) AS h",
            " FROM (SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'write_changes'), 0) AS number) AS h",
        )
        .text(" LEFT JOIN write_followers AS f ON f.graph_id = ")
        .bind(graph)
        .build();
    let row = one(connection.query_one_raw(statement).await?)?;
    let follower = match row.try_get::<Option<Uuid>>("", "token")? {
        None => None,
        Some(token) => Some(Follower {
            since: row.try_get("", "since")?,
            token,
            previous_token: row.try_get("", "previous_token")?,
        }),
    };
    Ok(Look {
        horizon: Horizon { number: row.try_get("", "number")?, cluster: row.try_get("", "cluster")? },
        follower,
        is_changed: row.try_get("", "is_changed")?,
        is_held_back: row.try_get("", "is_held_back")?,
    })
}

/// The oldest open transaction of the server: what a horizon that does not move waits for. `None` on SQLite, or when there is none.
///
/// # Errors
/// Whatever the database answers.
pub async fn holder(connection: &impl ConnectionTrait) -> Result<Option<Holder>, DbErr> {
    const SQL: &str = "SELECT pid, about, (extract(epoch FROM clock_timestamp() - since) * 1000)::bigint AS open_ms FROM ( \
         SELECT pid, concat_ws(', ', nullif(application_name, ''), datname, state) AS about, xact_start AS since, \
         backend_xid::text::bigint AS xid FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid() \
         UNION ALL SELECT NULL, 'prepared transaction ' || gid, prepared, transaction::text::bigint FROM pg_prepared_xacts \
         ) AS open ORDER BY since LIMIT 1";
    if connection.get_database_backend() != DbBackend::Postgres {
        return Ok(None);
    }
    let row = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, SQL)).await?;
    row.map(|row| {
        Ok(Holder {
            pid: row.try_get("", "pid")?,
            about: row.try_get("", "about")?,
            open_ms: row.try_get::<Option<i64>>("", "open_ms")?.unwrap_or(0),
        })
    })
    .transpose()
}

/// Begins to follow the graph, or begins anew: from the end of this transaction on its changes are noted. Those who are writing
/// already may not see it: nothing is known of what they do before the horizon has reached [`Follower::since`].
///
/// # Errors
/// Whatever the database answers.
pub async fn follow(
    tx: &DatabaseTransaction,
    graph: GraphId,
    token: Uuid,
    now: DateTime<Utc>,
) -> Result<Follower, DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("INSERT INTO write_followers (graph_id, since, token, previous_token, created_at) SELECT ")
        .bind(graph)
        .either(
            ", pg_current_xact_id()::text::bigint, ",
            ", COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'write_changes'), 0), ",
        )
        .bind(token)
        .on_postgres("::uuid")
        .text(", NULL, ")
        .bind(now)
        .on_postgres("::timestamptz")
        .text(
            " WHERE true ON CONFLICT (graph_id) DO UPDATE SET since = excluded.since, token = excluded.token, \
             previous_token = NULL, created_at = excluded.created_at RETURNING since",
        )
        .build();
    let row = one(tx.query_one_raw(statement).await?)?;
    Ok(Follower { since: row.try_get_by_index(0)?, token, previous_token: None })
}

/// Leaves a new token, and the one that the reader knows. Returns whether the graph is followed.
///
/// # Errors
/// Whatever the database answers.
pub async fn shake_hands(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    known: Uuid,
    token: Uuid,
) -> Result<bool, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("UPDATE write_followers SET token = ")
        .bind(token)
        .text(", previous_token = ")
        .bind(known)
        .text(" WHERE graph_id = ")
        .bind(graph)
        .build();
    Ok(connection.execute_raw(statement).await?.rows_affected() == 1)
}

/// Stops following the graph, and forgets what was noted.
///
/// # Errors
/// Whatever the database answers.
pub async fn unfollow(tx: &DatabaseTransaction, graph: GraphId) -> Result<(), DbErr> {
    for table in ["write_followers", "write_changes"] {
        let sql = format!("DELETE FROM {table} WHERE graph_id = $1");
        let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, [graph.into()]);
        tx.execute_raw(statement).await?;
    }
    Ok(())
}

/// Whether any of `streams` has a change behind its position, up to `horizon`.
///
/// # Errors
/// Whatever the database answers.
pub async fn any(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    positions: &[(&'static str, Position)],
    horizon: i64,
) -> Result<bool, DbErr> {
    let mut sql = Sql::new(connection.get_database_backend()).text("SELECT (false");
    for (stream, after) in positions {
        sql = behind(sql.text(" OR EXISTS (SELECT 1 FROM write_changes WHERE "), graph, stream, *after)
            .either(" AND transaction_id <= ", " AND id <= ")
            .bind(horizon)
            .text(")");
    }
    let row = one(connection.query_one_raw(sql.text(") AS found").build()).await?)?;
    row.try_get("", "found")
}

/// The changes of a stream behind `after`, up to `horizon`, in order: at most `limit`.
///
/// # Errors
/// Whatever the database answers.
pub async fn page(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    stream: &'static str,
    after: Position,
    horizon: i64,
    limit: u64,
) -> Result<Vec<Change>, DbErr> {
    let backend = connection.get_database_backend();
    let sql = Sql::new(backend).text("SELECT transaction_id, id, record_key FROM write_changes WHERE ");
    let statement = behind(sql, graph, stream, after)
        .either(" AND transaction_id <= ", " AND id <= ")
        .bind(horizon)
        .either(" ORDER BY transaction_id, id LIMIT ", " ORDER BY id LIMIT ")
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .build();
    let rows = connection.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| {
            let position =
                Position { transaction: row.try_get("", "transaction_id")?, entry: row.try_get("", "id")? };
            Ok(Change { position, record_key: row.try_get("", "record_key")? })
        })
        .collect()
}

/// Forgets changes of a stream up to `upto`: at most `limit`. Returns how many.
///
/// # Errors
/// Whatever the database answers.
pub async fn forget(
    connection: &impl ConnectionTrait,
    graph: GraphId,
    stream: &'static str,
    upto: Position,
    limit: u64,
) -> Result<u64, DbErr> {
    // First where to stop: a plan that looks for each of ten thousand among ten thousand takes a second for each thousand.
    let cut = of_stream(
        Sql::new(connection.get_database_backend()).text("SELECT transaction_id, id"),
        graph,
        stream,
        "<=",
        upto,
    )
    .either(" ORDER BY transaction_id, id LIMIT 1 OFFSET ", " ORDER BY id LIMIT 1 OFFSET ")
    .bind(i64::try_from(limit.saturating_sub(1)).unwrap_or(i64::MAX))
    .build();
    let upto = match connection.query_one_raw(cut).await? {
        None => upto,
        Some(row) => {
            Position { transaction: row.try_get("", "transaction_id")?, entry: row.try_get("", "id")? }
        }
    };
    let statement =
        of_stream(Sql::new(connection.get_database_backend()).text("DELETE"), graph, stream, "<=", upto)
            .build();
    Ok(connection.execute_raw(statement).await?.rows_affected())
}

/// Which records of a stream there are, see [`note_all`].
#[derive(Clone, Copy, Debug)]
pub struct Everything {
    /// The stream that the notes are for.
    pub stream: &'static str,
    /// The record's key, as an SQL expression, for Postgres and for SQLite.
    pub key: (&'static str, &'static str),
    /// What stands from `FROM` to the column of the graph's id.
    pub rows: &'static str,
    /// What stands behind it: an order in which no row waits for a later one.
    pub order: &'static str,
}

/// Notes every record of a stream as if it had changed. Returns how many there are.
///
/// # Errors
/// Whatever the database answers.
pub async fn note_all(
    tx: &DatabaseTransaction,
    graph: GraphId,
    everything: Everything,
) -> Result<u64, DbErr> {
    let backend = tx.get_database_backend();
    let key = if backend == DbBackend::Postgres { everything.key.0 } else { everything.key.1 };
    let statement = Sql::new(backend)
        .text("INSERT INTO write_changes (graph_id, stream, transaction_id, record_key) SELECT ")
        .bind(graph)
        .on_postgres("::uuid")
        .text(", ")
        .bind(everything.stream)
        .on_postgres("::text")
        .either(", pg_current_xact_id()::text::bigint, ", ", 0, ")
        .text(key)
        .text(" ")
        .text(everything.rows)
        .text(" = ")
        .bind(graph)
        .text(everything.order)
        .build();
    Ok(tx.execute_raw(statement).await?.rows_affected())
}

/// The number that the changes of this transaction have: on SQLite the newest of them.
///
/// # Errors
/// Whatever the database answers.
pub async fn number_of(tx: &DatabaseTransaction) -> Result<i64, DbErr> {
    let sql = match tx.get_database_backend() {
        DbBackend::Postgres => "SELECT pg_current_xact_id()::text::bigint AS number",
        _ => "SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'write_changes'), 0) AS number",
    };
    let row = tx.query_one_raw(Statement::from_string(tx.get_database_backend(), sql)).await?;
    one(row)?.try_get("", "number")
}

/// Forgets everything that was noted of the graph.
///
/// # Errors
/// Whatever the database answers.
pub async fn forget_all(tx: &DatabaseTransaction, graph: GraphId) -> Result<(), DbErr> {
    let sql = "DELETE FROM write_changes WHERE graph_id = $1";
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, [graph.into()]);
    tx.execute_raw(statement).await.map(drop)
}

/// The changes of a stream on one side of a position.
fn of_stream(sql: Sql, graph: GraphId, stream: &'static str, side: &str, position: Position) -> Sql {
    compared(sql.text(" FROM write_changes WHERE "), graph, stream, side, position)
}

fn behind(sql: Sql, graph: GraphId, stream: &'static str, after: Position) -> Sql {
    compared(sql, graph, stream, ">", after)
}

fn compared(sql: Sql, graph: GraphId, stream: &'static str, side: &str, position: Position) -> Sql {
    let is_postgres = sql.is_postgres();
    let sql = sql.text("graph_id = ").bind(graph).text(" AND stream = ").bind(stream);
    if is_postgres {
        sql.text(" AND (transaction_id, id) ")
            .text(side)
            .text(" (")
            .bind(position.transaction)
            .text(", ")
            .bind(position.entry)
            .text(")")
    } else {
        // By the id alone: SQLite finds no index for a pair of which one is a constant.
        sql.text(" AND id ").text(side).text(" ").bind(position.entry)
    }
}

fn one(row: Option<QueryResult>) -> Result<QueryResult, DbErr> {
    row.ok_or_else(|| DbErr::RecordNotFound("the database answered without a row".to_owned()))
}

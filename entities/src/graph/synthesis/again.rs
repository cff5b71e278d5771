//! What becomes of a synthesis that is there already: it is written again, combined again, shown to others, removed.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, FromQueryResult};

use super::{Failure, Model, State};
use crate::database::Sql;
use crate::graph::node::Visibility;
use crate::ids::{JobId, NodeId, SynthesisId};

/// The synthesis with this id, locked until the transaction ends.
///
/// # Errors
/// Whatever the database answers.
pub async fn lock(tx: &DatabaseTransaction, id: SynthesisId) -> Result<Option<Model>, DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("SELECT * FROM write_syntheses WHERE id = ")
        .bind(id)
        // Not the stronger lock: a link to it may be written meanwhile.
        .on_postgres(" FOR NO KEY UPDATE")
        .build();
    tx.query_one_raw(statement).await?.map(|row| Model::from_query_result(&row, "")).transpose()
}

/// A synthesis that waits for nobody's job in particular waits for `job` from now on.
///
/// # Errors
/// Whatever the database answers.
pub async fn assign(connection: &impl ConnectionTrait, id: SynthesisId, job: JobId) -> Result<(), DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("UPDATE write_syntheses SET job_id = ")
        .bind(job)
        .text(" WHERE id = ")
        .bind(id)
        .text(" AND state = 'pending' AND job_id IS NULL")
        .build();
    connection.execute_raw(statement).await.map(drop)
}

/// Error becomes pending, for `job`. The error stays to be read until there is a text. Returns whether it did.
///
/// # Errors
/// Whatever the database answers.
pub async fn reopen(
    connection: &impl ConnectionTrait,
    id: SynthesisId,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("UPDATE write_syntheses SET state = 'pending', row_version = row_version + 1, job_id = ")
        .bind(job)
        .text(", updated_at = ")
        .bind(now)
        .text(" WHERE id = ")
        .bind(id)
        .text(" AND state = 'error'")
        .build();
    Ok(connection.execute_raw(statement).await?.rows_affected() == 1)
}

/// A super-synthesis waits for `job` to combine it: pending, unless something of it runs already.
///
/// # Errors
/// Whatever the database answers.
pub async fn await_combining(
    connection: &impl ConnectionTrait,
    id: SynthesisId,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text(
            "UPDATE write_syntheses SET state = CASE WHEN state = 'running' THEN 'running' ELSE 'pending' END, \
             row_version = row_version + 1, job_id = ",
        )
        .bind(job)
        .text(", updated_at = ")
        .bind(now)
        .text(" WHERE id = ")
        .bind(id)
        .build();
    connection.execute_raw(statement).await.map(drop)
}

/// A super-synthesis is combined by `job`: it is running. One that waits for a later job goes on to wait for that one.
/// Returns the row as it is now; `begins` says that this is another attempt.
///
/// # Errors
/// Whatever the database answers.
pub async fn begin_combining(
    connection: &impl ConnectionTrait,
    id: SynthesisId,
    job: JobId,
    begins: bool,
    now: DateTime<Utc>,
) -> Result<Option<Model>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text(
            "UPDATE write_syntheses SET job_id = CASE WHEN state IN ('pending', 'running') THEN job_id ELSE ",
        )
        .bind(job)
        .on_postgres("::uuid")
        .text(" END, state = 'running', attempts = attempts + ")
        .bind(i32::from(begins))
        .text(", row_version = row_version + 1, updated_at = ")
        .bind(now)
        .text(" WHERE id = ")
        .bind(id)
        .text(" RETURNING *")
        .build();
    let row = connection.query_one_raw(statement).await?;
    row.map(|row| Model::from_query_result(&row, "")).transpose()
}

/// How a combination came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Combined {
    /// From all parts.
    Whole,
    /// From some of them; the others are missing, and why.
    Partial(Failure),
}

/// Raises the version, and gives the super-synthesis its new state unless it waits for another job than `job`. Returns the
/// version's number, or `None` if it is gone.
///
/// # Errors
/// Whatever the database answers.
pub async fn end_combining(
    connection: &impl ConnectionTrait,
    id: SynthesisId,
    job: JobId,
    combined: &Combined,
    now: DateTime<Utc>,
) -> Result<Option<i32>, DbErr> {
    let (state, failure) = match combined {
        Combined::Whole => (State::Completed, None),
        Combined::Partial(failure) => (State::Partial, Some(failure)),
    };
    let set = |statement: Sql, column: &str, value: Option<&str>| {
        statement
            .text(", ")
            .text(column)
            .text(" = CASE WHEN state = 'running' AND job_id = ")
            .bind(job)
            .text(" THEN ")
            .bind(value.map(str::to_owned))
            .on_postgres("::text")
            .text(" ELSE ")
            .text(column)
            .text(" END")
    };
    let statement = Sql::new(connection.get_database_backend())
        .text("UPDATE write_syntheses SET current_version = COALESCE(current_version, 0) + 1, row_version = row_version + 1");
    let statement = set(statement, "state", Some(state.to_value().as_str()));
    let statement = set(statement, "error_code", failure.map(|failure| failure.code.as_str()));
    let statement = set(statement, "error_message", failure.map(|failure| failure.operator.as_str()));
    let statement = set(statement, "error_public", failure.map(|failure| failure.public.as_str()));
    let statement = statement
        .text(", error_at = CASE WHEN state = 'running' AND job_id = ")
        .bind(job)
        .text(" THEN ")
        .bind(failure.map(|_| now))
        .on_postgres("::timestamptz")
        .text(" ELSE error_at END, updated_at = ")
        .bind(now)
        .text(" WHERE id = ")
        .bind(id)
        .text(" RETURNING current_version")
        .build();
    connection.query_one_raw(statement).await?.map(|row| row.try_get("", "current_version")).transpose()
}

/// Shows the synthesis to others, or to its creator only: its row and its node. Returns whether it is there.
///
/// # Errors
/// Whatever the database answers.
pub async fn set_visibility(
    connection: &impl ConnectionTrait,
    id: SynthesisId,
    visibility: Visibility,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let change = |text: &str, id: Uuid| {
        Sql::new(connection.get_database_backend())
            .text("UPDATE ")
            .text(text)
            .bind(visibility.to_value())
            .text(", updated_at = ")
            .bind(now)
            .text(" WHERE id = ")
            .bind(id)
            .build()
    };
    let row = change("write_syntheses SET row_version = row_version + 1, visibility = ", id.0);
    if connection.execute_raw(row).await?.rows_affected() == 0 {
        return Ok(false);
    }
    connection.execute_raw(change("write_nodes SET visibility = ", id.0)).await?;
    Ok(true)
}

/// Removes the synthesis with its versions, attempts, links and node. Returns whether it was there.
///
/// # Errors
/// Whatever the database answers.
pub async fn remove(connection: &impl ConnectionTrait, id: SynthesisId) -> Result<bool, DbErr> {
    let backend = connection.get_database_backend();
    let row = Sql::new(backend).text("DELETE FROM write_syntheses WHERE id = ").bind(id).build();
    if connection.execute_raw(row).await?.rows_affected() == 0 {
        return Ok(false);
    }
    let node = Sql::new(backend).text("DELETE FROM write_nodes WHERE id = ").bind(NodeId(id.0)).build();
    connection.execute_raw(node).await?;
    Ok(true)
}

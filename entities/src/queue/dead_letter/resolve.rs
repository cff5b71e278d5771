//! Reading, locking and closing many letters at once.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend};

use super::{Entity, LetterState, Model};
use crate::database::{RowSet, Sql};
use crate::ids::{DeadLetterId, JobId};

/// Where a letter stands: what an operator's verb looks at before it changes anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The letter.
    pub id: DeadLetterId,
    /// Its job.
    pub job_id: Option<JobId>,
    /// What became of it.
    pub state: LetterState,
    /// Who dealt with it.
    pub resolved_by: Option<String>,
}

/// Where letters stand, in the order of their ids. Letters that are not there are left out.
///
/// # Errors
/// Whatever the database answers.
pub async fn standings(
    connection: &impl ConnectionTrait,
    ids: &[DeadLetterId],
) -> Result<Vec<Standing>, DbErr> {
    let statement = standing(connection.get_database_backend(), ids).build();
    connection.query_all_raw(statement).await?.iter().map(read_standing).collect()
}

/// Locks letters, in the order of their ids, until the transaction ends. Letters that are not there are left out.
///
/// # Errors
/// Whatever the database answers.
pub async fn lock(tx: &DatabaseTransaction, ids: &[DeadLetterId]) -> Result<Vec<Standing>, DbErr> {
    let statement = standing(tx.get_database_backend(), ids).on_postgres(" FOR UPDATE").build();
    tx.query_all_raw(statement).await?.iter().map(read_standing).collect()
}

fn standing(backend: DbBackend, ids: &[DeadLetterId]) -> Sql {
    Sql::new(backend)
        .text("SELECT id, job_id, state, resolved_by FROM dead_letters WHERE ")
        .any_of("id", ids.iter().map(|id| id.0))
        .text(" ORDER BY id")
}

fn read_standing(row: &QueryResult) -> Result<Standing, DbErr> {
    Ok(Standing {
        id: row.try_get_by_index(0)?,
        job_id: row.try_get_by_index(1)?,
        state: row.try_get_by_index(2)?,
        resolved_by: row.try_get_by_index(3)?,
    })
}

/// Reads whole letters, bodies included, in the order of their ids. Letters that are not there are left out.
///
/// # Errors
/// Whatever the database answers.
pub async fn read(connection: &impl ConnectionTrait, ids: &[DeadLetterId]) -> Result<Vec<Model>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text("SELECT * FROM dead_letters WHERE ")
        .any_of("id", ids.iter().map(|id| id.0))
        .text(" ORDER BY id")
        .build();
    Entity::find().from_raw_sql(statement).all(connection).await
}

/// A letter whose job got another life.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The letter.
    pub id: DeadLetterId,
    /// The payload that took the place of the original.
    pub edited_payload: Option<String>,
}

/// Closes open letters as replayed. Answers how many were open.
///
/// # Errors
/// Whatever the database answers.
pub async fn resolve(
    tx: &DatabaseTransaction,
    letters: &[Resolved],
    actor: &str,
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    if letters.is_empty() {
        return Ok(0);
    }
    let rows = RowSet::new("r")
        .uuid("letter", letters.iter().map(|letter| letter.id.0))
        .string("edited", letters.iter().map(|letter| letter.edited_payload.clone()));
    let statement = Sql::new(tx.get_database_backend())
        .text("UPDATE dead_letters SET state = 'replayed', resolved_by = ")
        .bind(actor.to_owned())
        .text(", resolved_at = ")
        .bind(now)
        .text(", edited_payload = r.edited FROM ")
        .rows(rows)
        .text(" WHERE id = r.letter AND state = 'open'")
        .build();
    Ok(tx.execute_raw(statement).await?.rows_affected())
}

/// Discards the open ones of `ids`. Lock them first, so that two operators never lock in opposite orders. Answers how many were
/// open.
///
/// # Errors
/// Whatever the database answers.
pub async fn discard(
    tx: &DatabaseTransaction,
    ids: &[DeadLetterId],
    actor: &str,
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let statement = Sql::new(tx.get_database_backend())
        .text("UPDATE dead_letters SET state = 'discarded', resolved_by = ")
        .bind(actor.to_owned())
        .text(", resolved_at = ")
        .bind(now)
        .text(" WHERE state = 'open' AND ")
        .any_of("id", ids.iter().map(|id| id.0))
        .build();
    Ok(tx.execute_raw(statement).await?.rows_affected())
}

//! Messages of which the broker has not said what became of them.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::{Due, NOT_PAUSED};
use crate::database::{RowSet, Sql};
use crate::ids::JobId;

/// ` AND outbox.kind` is none of these. No text for no kinds: the statement stays as it is while there is nothing to pass over.
pub(super) fn passing_over(statement: Sql, kinds: &[String]) -> Sql {
    if kinds.is_empty() {
        return statement;
    }
    let rows = RowSet::new("set_aside").string("kind", kinds.iter().cloned());
    statement.text(" AND outbox.kind NOT IN (SELECT set_aside.kind FROM ").rows(rows).text(")")
}

/// The message of a kind that has been due for the longest time, without a claim to it: whoever sends it must not remove it, since
/// nothing keeps a [reconciliation](super::reconcile) from passing over it meanwhile. `None` also for a paused kind.
///
/// # Errors
/// Whatever the database answers.
pub async fn longest_due(
    connection: &impl ConnectionTrait,
    kind: &str,
    now: DateTime<Utc>,
) -> Result<Option<Due>, DbErr> {
    let statement = Sql::new(connection.get_database_backend())
        .text(
            "SELECT outbox.job_id, outbox.kind, outbox.seq, outbox.sends, jobs.version, jobs.payload, jobs.traceparent \
             FROM outbox JOIN jobs ON jobs.id = outbox.job_id WHERE outbox.due_at <= ",
        )
        .bind(now)
        .text(" AND outbox.kind = ")
        .bind(kind)
        .text(NOT_PAUSED)
        .text(" ORDER BY outbox.due_at, outbox.job_id LIMIT 1")
        .build();
    connection.query_one_raw(statement).await?.as_ref().map(Due::read).transpose()
}

/// Notes why messages are still there. They stay due, and are not refused.
///
/// # Errors
/// Whatever the database answers.
pub async fn note_unanswered(
    tx: &DatabaseTransaction,
    unanswered: &[JobId],
    reason: &str,
) -> Result<(), DbErr> {
    if unanswered.is_empty() {
        return Ok(());
    }
    let statement = Sql::new(tx.get_database_backend())
        .text("UPDATE outbox SET last_error = ")
        .bind(reason)
        .text(" WHERE ")
        .any_of("job_id", unanswered.iter().map(|id| id.0))
        .build();
    tx.execute_raw(statement).await?;
    Ok(())
}

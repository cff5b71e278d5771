//! Messages of which the broker has not said what became of them.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use crate::database::Sql;
use crate::ids::JobId;

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

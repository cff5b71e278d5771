//! Telling a broker that forgot what it has to know.

use ackord_entities::database::Database;
use ackord_entities::fault;
use ackord_entities::queue::outbox;
use sea_orm::DbErr;

use crate::doorbell::Doorbell;

/// Writes the messages of unfinished jobs again that wait nowhere else; with `kind`, of that kind only. Answers how many.
/// The embedded broker starts empty, so this runs at every start with it. A message that was not lost after all comes twice
/// and is found stale or done.
///
/// # Errors
/// Whatever the database answers.
pub async fn reconcile(database: &Database, kind: Option<&str>, doorbell: &Doorbell) -> Result<u64, DbErr> {
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    let written = outbox::reconcile(&tx, kind, now).await?;
    fault::point("reconcile_before_commit");
    tx.commit().await?;
    fault::point("reconcile_after_commit");
    doorbell.ring();
    Ok(written)
}

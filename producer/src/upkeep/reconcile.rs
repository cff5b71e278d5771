//! Sending messages again because somebody asked for it.

use ackord_entities::database::Database;
use ackord_entities::queue::outbox;
use sea_orm::DbErr;

use super::recall::TELLING;
use crate::doorbell::Doorbell;

/// Writes the messages of unfinished jobs again that wait nowhere else; with `kind`, of that kind only. Answers how many.
/// For an operator who purged a queue; what a broker lost by itself, the keeper of the topology notices. A message that was not lost after all
/// comes twice and is found stale or done.
///
/// # Errors
/// Whatever the database answers.
pub async fn reconcile(database: &Database, kind: Option<&str>, doorbell: &Doorbell) -> Result<u64, DbErr> {
    let told = async {
        let tx = database.begin_unlimited().await?;
        let now = database.clock().now(&tx).await?;
        let written = outbox::reconcile(&tx, kind, now).await?;
        tx.commit().await?;
        Ok::<_, DbErr>(written)
    };
    let written = database.within(TELLING, told).await?;
    doorbell.ring();
    Ok(written)
}

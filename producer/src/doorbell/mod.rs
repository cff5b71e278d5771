//! Wakes the relay when a message was committed.
//!
//! In one process a notification is enough. Another process on the same SQLite file rings over a Unix socket beside the
//! file; on Postgres it sends a `NOTIFY`, after its commit and not within it (docs/adr/0012-notify-and-poll.md). A bell that is
//! not heard costs at most one poll of the relay.

mod postgres;
mod socket;

pub use socket::ring_from_outside;

use std::path::Path;
use std::sync::Arc;

use ackord_entities::database::{Database, Location};
use sea_orm::DbErr;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The bell. Clones ring the same one.
#[derive(Clone, Debug, Default)]
pub struct Doorbell {
    notify: Arc<Notify>,
    /// Rings in other processes. One ring that waits to be sent stands for all that came since.
    outside: Option<mpsc::Sender<()>>,
}

impl Doorbell {
    /// The bell of a process that has no relay: it rings in those that have one.
    #[must_use]
    pub fn outside(database: &Database) -> Self {
        let (outside, mut rings) = mpsc::channel(1);
        let database = database.clone();
        tokio::spawn(async move {
            while rings.recv().await.is_some() {
                // Not heard: the relays look once a second anyway.
                let _ = ring_outside(&database).await;
            }
        });
        Self { notify: Arc::default(), outside: Some(outside) }
    }

    /// Rings, and does not wait. Call it after the commit: before, there is nothing to see.
    pub fn ring(&self) {
        self.notify.notify_one();
        if let Some(outside) = &self.outside {
            let _ = outside.try_send(());
        }
    }

    /// Waits until somebody rings; a ring that came before counts.
    pub async fn rung(&self) {
        self.notify.notified().await;
    }

    /// Passes on what other processes ring, until `stop`: over the socket beside a SQLite file, or what Postgres is notified of.
    /// A lost connection is made again for ever.
    pub async fn hear(&self, database: &Database, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.hear_for_ever(database) => {}
        }
    }

    async fn hear_for_ever(&self, database: &Database) {
        match (database.location(), database.listen_url()) {
            (Location::Sqlite(path), _) => {
                if let Err(error) = self.listen(path).await {
                    warn!(error = %error, "other processes cannot ring; what they publish starts up to a second later");
                }
            }
            (Location::Postgres { .. }, Some(url)) => {
                postgres::listen(url, || self.notify.notify_one()).await;
            }
            (Location::Postgres { .. }, None) => {
                info!(
                    "the database is behind a pooler, where nobody can listen: what other processes publish starts up to a second later"
                );
            }
        }
        std::future::pending::<()>().await;
    }

    /// Passes on what other processes ring for the SQLite file `database`, until the socket fails.
    ///
    /// # Errors
    /// The socket cannot be bound: its path is too long, or the folder is read-only. The relay's poll still sees all.
    pub async fn listen(&self, database: &Path) -> std::io::Result<()> {
        socket::listen(database, || self.notify.notify_one()).await
    }
}

/// Rings once for the processes that have a relay on `database`. For a process that is about to end; call it after the commit.
///
/// # Errors
/// Whatever the database answers; the relays then find what was committed when they look.
pub async fn ring_outside(database: &Database) -> Result<(), DbErr> {
    match database.location() {
        Location::Sqlite(path) => {
            ring_from_outside(path);
            Ok(())
        }
        Location::Postgres { .. } => postgres::notify(database).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ring_before_the_wait_is_not_lost() {
        let bell = Doorbell::default();
        bell.ring();
        bell.rung().await;
    }
}

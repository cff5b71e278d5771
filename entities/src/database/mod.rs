//! One database, SQLite or Postgres, with the connections that write and those that read.

mod error;
mod fault;
mod open;
mod rows;

pub use error::DatabaseError;
pub use fault::{Fault, classify};
pub use open::{DatabaseOptions, Location};
pub use rows::{Cell, RowSet, Sql, without_nul};

use std::sync::Arc;

use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};

use crate::clock::Clock;

/// A database handle. Cheap to clone; clones share the connections.
///
/// SQLite has exactly one connection that writes, so writers queue in here, fairly, and never see `database is locked`
/// from their own process; readers have connections of their own and never wait for the writer.
#[derive(Clone, Debug)]
pub struct Database {
    write: DatabaseConnection,
    read: DatabaseConnection,
    clock: Clock,
    location: Arc<Location>,
}

impl Database {
    /// The connection for statements that write.
    #[must_use]
    pub fn write(&self) -> &DatabaseConnection {
        &self.write
    }

    /// The connection for statements that only read. On SQLite it sees what was committed before the statement began.
    #[must_use]
    pub fn read(&self) -> &DatabaseConnection {
        &self.read
    }

    /// The clock that decides.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Where the database is.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Which database this is.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        self.write.get_database_backend()
    }

    /// Begins a transaction that may write: `BEGIN IMMEDIATE` on SQLite, `READ COMMITTED` on Postgres.
    /// Dropped without a commit, it is rolled back.
    ///
    /// # Errors
    /// Whatever the database answers; [`classify`] says what that means.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        self.write
            .begin_with_options(TransactionOptions {
                isolation_level: None,
                access_mode: None,
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            })
            .await
    }

    /// Closes all connections and waits until they are closed. On SQLite the write-ahead log is folded into the file.
    pub async fn close(self) {
        // A connection that cannot be closed any more is as good as closed.
        let _ = self.read.close().await;
        let _ = self.write.close().await;
    }
}

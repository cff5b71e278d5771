//! One database, SQLite or Postgres, with the connections that write and those that read.

mod connection;
mod error;
mod fault;
mod location;
mod options;
mod pool;
mod postgres;
mod rows;
mod server;
mod sqlite;
mod tls;

pub use connection::Connection;
pub use error::DatabaseError;
pub use fault::{Fault, classify, timed_out};
pub use location::Location;
pub use options::{DatabaseOptions, Limits};
pub use postgres::try_connecting;
pub use rows::{Cell, RowSet, Sql, without_nul};
pub use server::{Connections, ServerFacts, facts};
pub use tls::{TlsFault, TlsOptionsError};

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr};

use crate::clock::Clock;

/// A database handle. Cheap to clone; clones share the connections.
///
/// SQLite has exactly one connection that writes, so writers queue in here, fairly, and never see `database is locked`
/// from their own process; readers have connections of their own and never wait for the writer.
#[derive(Clone, Debug)]
pub struct Database {
    write: Connection,
    read: Connection,
    clock: Clock,
    location: Arc<Location>,
    listen_url: Option<Arc<str>>,
}

impl Database {
    /// The connection for statements that write.
    #[must_use]
    pub fn write(&self) -> &Connection {
        &self.write
    }

    /// The connection for statements that only read. On SQLite it sees what was committed before the statement began.
    #[must_use]
    pub fn read(&self) -> &Connection {
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

    /// Where Postgres can be listened to. `None` on SQLite, and behind a pooler unless the options name a way past it. The
    /// URL holds the password.
    #[must_use]
    pub fn listen_url(&self) -> Option<&str> {
        self.listen_url.as_deref()
    }

    /// Begins a transaction that may write: `BEGIN IMMEDIATE` on SQLite, `READ COMMITTED` on Postgres.
    /// Dropped without a commit, it is rolled back.
    ///
    /// # Errors
    /// Whatever the database answers; [`classify`] says what that means.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        self.write.begin().await
    }

    /// The same without limits on its statements and locks: for migrations and for what removes old rows.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn begin_unlimited(&self) -> Result<DatabaseTransaction, DbErr> {
        let transaction = self.begin().await?;
        if self.backend() == DbBackend::Postgres {
            transaction.execute_unprepared(UNLIMITED).await?;
        }
        Ok(transaction)
    }

    /// Runs a unit of work: a transaction from its beginning to its end. On Postgres it ends in time, also when the server has
    /// become silent: then it was given up, and whether its `COMMIT` arrived is for the next look at the rows to say.
    ///
    /// # Errors
    /// Those of the work, and [`Fault::Unavailable`] when it took longer than [`Limits::answer`].
    pub async fn within_limit<T, E: From<DbErr>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.within(Duration::ZERO, work).await
    }

    /// The same for work that may take longer by `more`.
    ///
    /// # Errors
    /// The same.
    pub async fn within<T, E: From<DbErr>>(
        &self,
        more: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        match self.write.pool() {
            Some(pool) => pool.within(pool.answer_timeout() + more, work).await,
            None => work.await,
        }
    }

    /// Closes all connections and waits until they are closed. On SQLite the write-ahead log is folded into the file.
    pub async fn close(self) {
        self.read.close().await;
        self.write.close().await;
    }
}

const UNLIMITED: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

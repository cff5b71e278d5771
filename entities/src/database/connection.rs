//! The connection for statements that stand by themselves, each a transaction of its own.

use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};

use super::pool::PostgresPool;

/// Runs single statements. On Postgres each of them ends: with an answer, or with an error when the server was silent for too
/// long. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connection(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// With how its transactions begin.
    Sqlite(DatabaseConnection, SqliteTransactionMode),
    Postgres(Arc<PostgresPool>),
}

/// One call on whatever connection is the right one at the moment.
macro_rules! once {
    ($self:ident, $connection:ident => $call:expr) => {
        match &$self.0 {
            Kind::Sqlite($connection, _) => $call.await,
            Kind::Postgres(pool) if pool.is_shared() => {
                // A pooler gives the next statement another server connection, except within a transaction.
                let transaction = pool.begin().await?;
                let answer = {
                    let $connection = &transaction;
                    pool.limited($call).await?
                };
                pool.limited(transaction.commit()).await?;
                Ok(answer)
            }
            Kind::Postgres(pool) => {
                let current = pool.current();
                let $connection = &current;
                pool.limited($call).await
            }
        }
    };
}

impl Connection {
    /// The one that writes.
    pub(super) fn sqlite(connection: DatabaseConnection) -> Self {
        Self(Kind::Sqlite(connection, SqliteTransactionMode::Immediate))
    }

    /// One that only reads: its transactions are a snapshot.
    pub(super) fn sqlite_reader(connection: DatabaseConnection) -> Self {
        Self(Kind::Sqlite(connection, SqliteTransactionMode::Deferred))
    }

    pub(super) fn postgres(pool: PostgresPool) -> Self {
        Self(Kind::Postgres(Arc::new(pool)))
    }

    pub(super) fn pool(&self) -> Option<&PostgresPool> {
        match &self.0 {
            Kind::Sqlite(..) => None,
            Kind::Postgres(pool) => Some(pool),
        }
    }

    /// Begins a transaction: on SQLite `BEGIN IMMEDIATE` where it may write and a snapshot where it only reads, `READ COMMITTED` on
    /// Postgres.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        match &self.0 {
            Kind::Postgres(pool) => pool.begin().await,
            Kind::Sqlite(connection, mode) => {
                let options = TransactionOptions {
                    isolation_level: None,
                    access_mode: None,
                    sqlite_transaction_mode: Some(*mode),
                };
                connection.begin_with_options(options).await
            }
        }
    }

    pub(super) async fn close(self) {
        // A connection that cannot be closed any more is as good as closed.
        match self.0 {
            Kind::Sqlite(connection, _) => drop(connection.close().await),
            Kind::Postgres(pool) => pool.close().await,
        }
    }
}

#[async_trait]
impl ConnectionTrait for Connection {
    fn get_database_backend(&self) -> DbBackend {
        match self.0 {
            Kind::Sqlite(..) => DbBackend::Sqlite,
            Kind::Postgres(_) => DbBackend::Postgres,
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        once!(self, connection => connection.execute_raw(statement))
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        once!(self, connection => connection.execute_unprepared(sql))
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        once!(self, connection => connection.query_one_raw(statement))
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        once!(self, connection => connection.query_all_raw(statement))
    }
}

//! The connections to a Postgres server, and how a silent server is noticed.
//!
//! The driver waits for an answer for as long as the kernel keeps the connection, which is a quarter of an hour or for ever where
//! a network swallows packets. So everything that waits here has an end. What ends without an answer leaves a connection
//! behind of which nobody knows what it will say next: then all connections are replaced, and each old one is closed when
//! its user is done with it.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::{self, Connection as _, PgPool};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, RuntimeErr, SqlxPostgresConnector,
    TransactionTrait,
};
use tracing::warn;

/// How long a connection may take to finish what its last user left behind.
const TIDY: Duration = Duration::from_secs(5);
/// `BEGIN` asks nothing of a server that is there.
const BEGIN: Duration = Duration::from_secs(5);

/// How the connections of a pool are made and used.
#[derive(Clone, Debug)]
pub(super) struct PoolOptions {
    pub(super) connect: PgConnectOptions,
    pub(super) max_connections: u32,
    /// How long a caller waits for a free connection, and a new one may take to be made.
    pub(super) acquire_timeout: Duration,
    /// How long anything may take that waits for the server.
    pub(super) answer_timeout: Duration,
    /// What each transaction begins with; for server connections that are shared through a pooler.
    pub(super) preamble: Option<String>,
}

/// The connections.
#[derive(Debug)]
pub(super) struct PostgresPool {
    options: PoolOptions,
    current: RwLock<DatabaseConnection>,
}

impl PostgresPool {
    /// Connects when somebody needs it.
    pub(super) fn new(options: PoolOptions) -> Self {
        let current = RwLock::new(connections(&options));
        Self { options, current }
    }

    /// Whether a pooler lends one server connection to many clients, a transaction at a time.
    pub(super) fn is_shared(&self) -> bool {
        self.options.preamble.is_some()
    }

    /// The connections to use now.
    pub(super) fn current(&self) -> DatabaseConnection {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins a transaction. Whoever stops waiting for it leaves no half-begun one behind: it begins in a task of its own, and
    /// is rolled back there when nobody wants it any more.
    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let connections = self.current();
        let preamble = self.options.preamble.clone();
        let beginning = tokio::spawn(async move {
            let transaction = connections.begin().await?;
            if let Some(preamble) = preamble {
                transaction.execute_unprepared(&preamble).await?;
            }
            Ok(transaction)
        });
        let wait = self.options.acquire_timeout + BEGIN;
        self.within(wait, async {
            beginning.await.unwrap_or_else(|error| {
                Err(DbErr::Conn(RuntimeErr::Internal(format!("a transaction could not begin: {error}"))))
            })
        })
        .await
    }

    /// What `work` answers, or an error when it takes longer than the server may take for anything.
    pub(super) async fn limited<T, E: From<DbErr>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.within(self.options.answer_timeout, work).await
    }

    /// The same with a time of its own.
    pub(super) async fn within<T, E: From<DbErr>>(
        &self,
        wait: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let suspected = self.current();
        if let Ok(answer) = tokio::time::timeout(wait, work).await {
            return answer;
        }
        self.replace(&suspected);
        let text = format!("the database gave no answer within {} s", wait.as_secs_f32());
        Err(DbErr::Conn(RuntimeErr::Internal(text)).into())
    }

    pub(super) fn answer_timeout(&self) -> Duration {
        self.options.answer_timeout
    }

    /// Closes the pool of `suspected`, unless somebody else has replaced it already.
    fn replace(&self, suspected: &DatabaseConnection) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let old = current.get_postgres_connection_pool().clone();
        if old.is_closed() || suspected.get_postgres_connection_pool().is_closed() {
            return;
        }
        *current = connections(&self.options);
        // The call alone closes it: whoever has a connection may finish with it, and it does not come back.
        drop(old.close());
        drop(current);
        warn!("the database is silent; its connections are replaced");
        tokio::spawn(async move { tokio::time::timeout(TIDY, old.close()).await });
    }

    pub(super) async fn close(&self) {
        let _ = self.current().close().await;
    }
}

fn connections(options: &PoolOptions) -> DatabaseConnection {
    let pool: PgPool = PgPoolOptions::new()
        .max_connections(options.max_connections)
        .min_connections(0)
        .acquire_timeout(options.acquire_timeout)
        .test_before_acquire(false)
        .after_release(|connection, _| {
            Box::pin(async move {
                // The rollback of a transaction that was dropped is not sent yet. The driver would wait for its answer without
                // an end, and keep a place in the pool meanwhile.
                if !connection.should_flush() {
                    return Ok(true);
                }
                match tokio::time::timeout(TIDY, connection.ping()).await {
                    Ok(answer) => answer.map(|()| true),
                    Err(_elapsed) => Err(sqlx::Error::Protocol("a rollback got no answer".to_owned())),
                }
            })
        })
        .connect_lazy_with(options.connect.clone());
    SqlxPostgresConnector::from_sqlx_postgres_pool(pool)
}

//! Opening a SQLite file: one connection that writes, four that read.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::Connection as _;
use sea_orm::sqlx::sqlite::{SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, DatabaseConnection};

use super::DatabaseError;
use super::options::STATEMENT_CACHE;

/// How long a writer waits for another process that writes the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a caller waits for the one connection that writes.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);

/// Answers the connection that writes and those that read.
pub(super) async fn open(
    path: &Path,
    create: bool,
) -> Result<(DatabaseConnection, DatabaseConnection), DatabaseError> {
    if create {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|source| DatabaseError::Folder {
                path: folder.to_owned(),
                source: Arc::new(source),
            })?;
        }
    } else if !path.exists() {
        return Err(DatabaseError::Missing { path: path.to_owned() });
    }
    let write = connect(path, create, 1, false).await?;
    let read = connect(path, false, 4, true).await?;
    Ok((write, read))
}

async fn connect(
    path: &Path,
    create: bool,
    connections: u32,
    only_reads: bool,
) -> Result<DatabaseConnection, DatabaseError> {
    let file = path.to_owned();
    let mut options = ConnectOptions::new("sqlite:");
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_pool_opts(|pool| {
            pool.before_acquire(|connection, _| {
                Box::pin(async move { Ok(is_out_of_transactions(connection)) })
            })
        })
        .map_sqlx_sqlite_opts(move |sqlite| {
            let sqlite = sqlite
                .filename(&file)
                .create_if_missing(create)
                .journal_mode(SqliteJournalMode::Wal)
                // FULL: a commit that was answered survives a power cut, not only the death of this process.
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(BUSY_TIMEOUT)
                .statement_cache_capacity(STATEMENT_CACHE);
            if only_reads { sqlite.pragma("query_only", "ON") } else { sqlite }
        });
    sea_orm::Database::connect(options).await.map_err(|source| DatabaseError::sqlite(path, source))
}

/// Whether the driver counts no transaction on a connection that nobody uses.
///
/// A full disk or an I/O error ends a transaction within SQLite, so the driver's own rollback fails and it goes on counting
/// one. The next `BEGIN` would be a savepoint, and sooner or later one in a transaction that is never committed. Such a
/// connection is closed instead, and another one opened.
fn is_out_of_transactions(connection: &SqliteConnection) -> bool {
    !connection.is_in_transaction()
}

//! Opening a database by its URL.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::Connection;
use sea_orm::sqlx::sqlite::{SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, DatabaseConnection};

use super::{Database, DatabaseError};
use crate::clock::Clock;

/// How long a writer waits for another process that writes the same SQLite file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);
/// Prepared statements kept per connection: the engine has about fifty texts, the rest is for handlers.
const STATEMENT_CACHE: usize = 200;

/// Where a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file on this machine.
    Sqlite(PathBuf),
    /// A server. The URL holds the password: never print it, print the location instead.
    Postgres {
        /// The whole URL.
        url: String,
        /// The URL without its credentials.
        public: String,
    },
}

impl FromStr for Location {
    type Err = DatabaseError;

    fn from_str(url: &str) -> Result<Self, DatabaseError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let path = path.split('?').next().unwrap_or_default();
            if path.is_empty() || path.starts_with(":memory:") {
                return Err(DatabaseError::NoPath);
            }
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", ""));
            let public = rest.rsplit_once('@').map_or(rest, |(_credentials, host)| host);
            let public = public.split('?').next().unwrap_or_default();
            return Ok(Self::Postgres { url: url.to_owned(), public: format!("{scheme}://{public}") });
        }
        Err(DatabaseError::UnknownScheme { scheme: url.split(':').next().unwrap_or_default().to_owned() })
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(formatter, "sqlite:{}", path.display()),
            Self::Postgres { public, .. } => formatter.write_str(public),
        }
    }
}

/// How to open a database.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`.
    pub url: String,
    /// Connections that a Postgres server is asked for at most. SQLite has one writer and four readers.
    pub max_connections: u32,
    /// Whether a missing SQLite file (and its folder) is made.
    pub create: bool,
}

impl DatabaseOptions {
    /// Options for `url` with ten connections, making a missing file.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), max_connections: 10, create: true }
    }

    /// Opens the database and proves that it answers.
    ///
    /// # Errors
    /// [`DatabaseError`], which names the file or server and the remedy.
    pub async fn open(self) -> Result<Database, DatabaseError> {
        let location: Location = self.url.parse()?;
        let (write, read) = match &location {
            Location::Sqlite(path) => open_sqlite(path, self.create).await?,
            Location::Postgres { url, .. } => {
                let connection = open_postgres(url, self.max_connections, &location).await?;
                (connection.clone(), connection)
            }
        };
        Ok(Database { write, read, clock: Clock::default(), location: Arc::new(location) })
    }
}

async fn open_sqlite(
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
    let write = connect_sqlite(path, create, 1, false).await?;
    let read = connect_sqlite(path, false, 4, true).await?;
    Ok((write, read))
}

async fn connect_sqlite(
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

async fn open_postgres(
    url: &str,
    connections: u32,
    location: &Location,
) -> Result<DatabaseConnection, DatabaseError> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_postgres_opts(|postgres| {
            postgres.application_name("ackord").statement_cache_capacity(STATEMENT_CACHE)
        });
    sea_orm::Database::connect(options)
        .await
        .map_err(|source| DatabaseError::Unreachable { location: location.to_string(), source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_location_never_shows_the_password() {
        let location: Location =
            "postgres://ackord:s3cr@t@db.example:5432/jobs?sslmode=require".parse().unwrap();
        assert_eq!(location.to_string(), "postgres://db.example:5432/jobs");
    }

    #[test]
    fn an_unknown_scheme_is_named_with_the_remedy() {
        let error = "mysql://localhost/x".parse::<Location>().unwrap_err();
        assert!(error.to_string().contains("mysql") && error.to_string().contains("postgres://"), "{error}");
    }

    #[test]
    fn a_file_is_given_with_or_without_slashes() {
        let plain: Location = "sqlite:data/ackord.db".parse().unwrap();
        let slashes: Location = "sqlite://data/ackord.db".parse().unwrap();
        assert_eq!(plain, slashes);
    }
}

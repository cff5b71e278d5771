//! How a database is opened, and the limits under which it works.

use std::sync::Arc;
use std::time::Duration;

use super::connection::Connection;
use super::{Database, DatabaseError, Location, postgres, sqlite};
use crate::clock::Clock;

/// Prepared statements kept per connection: the engine has about fifty texts, the rest is for handlers.
pub(super) const STATEMENT_CACHE: usize = 200;

/// How to open a database.
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`.
    pub url: String,
    /// Where Postgres can be listened to, if not at `url`: past the pooler that `url` names. Giving it says that there is one.
    pub listen_url: Option<String>,
    /// Connections that a Postgres server is asked for at most. SQLite has one writer and four readers.
    pub max_connections: u32,
    /// Whether a missing SQLite file (and its folder) is made.
    pub create: bool,
    /// The limits on Postgres.
    pub limits: Limits,
}

/// How long things may take on Postgres. A setting that the URL makes itself (`options=-c ..`) stays as it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Making the first connection, before the database counts as unreachable.
    pub connect: Duration,
    /// Waiting for a free connection.
    pub acquire: Duration,
    /// One statement: `statement_timeout`.
    pub statement: Duration,
    /// Waiting for a lock: `lock_timeout`.
    pub lock: Duration,
    /// A transaction between two statements: `idle_in_transaction_session_timeout`. So a machine that vanished keeps no locks.
    pub idle_in_transaction: Duration,
    /// One unit of work, before a server that is silent counts as gone. More than one statement may take.
    pub answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            acquire: Duration::from_secs(15),
            statement: Duration::from_secs(30),
            lock: Duration::from_secs(10),
            idle_in_transaction: Duration::from_secs(60),
            answer: Duration::from_secs(60),
        }
    }
}

impl DatabaseOptions {
    /// Options for `url` with ten connections, making a missing file.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            listen_url: None,
            max_connections: 10,
            create: true,
            limits: Limits::default(),
        }
    }

    /// Opens the database and proves that it answers. A Postgres server is asked once: whoever wants to wait for one asks again.
    ///
    /// # Errors
    /// [`DatabaseError`], which names the file or server and the remedy.
    pub async fn open(self) -> Result<Database, DatabaseError> {
        let location: Location = self.url.parse()?;
        let (write, read, listen_url) = match &location {
            Location::Sqlite(path) => {
                let (write, read) = sqlite::open(path, self.create).await?;
                (Connection::sqlite(write), Connection::sqlite_reader(read), None)
            }
            Location::Postgres { url, .. } => {
                let pool = postgres::open(url, &self, &location).await?;
                let direct = (!pool.is_shared()).then(|| url.clone());
                let connection = Connection::postgres(pool);
                (connection.clone(), connection, self.listen_url.or(direct))
            }
        };
        Ok(Database {
            write,
            read,
            clock: Clock::default(),
            location: Arc::new(location),
            listen_url: listen_url.map(Arc::from),
        })
    }
}

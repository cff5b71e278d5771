//! Private databases for tests: one per test, migrated, gone when it ends. Behind the feature `testing`.
//!
//! A test that runs on both takes `#[values(DbBackend::Sqlite, DbBackend::Postgres)]` from rstest, asks
//! [`TestDatabase::open`] and ends early on `None`. It reads back through [`TestDatabase::reopen`].
//!
//! SQLite gets a file in a temporary folder. Postgres gets a database of its own on the server that
//! `ACKORD_TEST_POSTGRES_URL` names, copied from a migrated template: a schema per test would share NOTIFY and the
//! views on activity with the other tests. The template is made by the first test that misses it and kept for the day.

#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "test support: a test fails by panicking")]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::{Duration, Instant};

use ackord_migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, RuntimeErr, Statement};
use tempfile::TempDir;
use uuid::Uuid;

use crate::clock::machine_now;
use crate::database::{Database, DatabaseOptions};

/// The server that tests may use: `postgres://USER:PASSWORD@HOST/DATABASE`, a user who may create databases.
pub const POSTGRES_URL: &str = "ACKORD_TEST_POSTGRES_URL";
/// `1` makes a missing [`POSTGRES_URL`] a failure. So does `CI=true`.
pub const REQUIRE_POSTGRES: &str = "ACKORD_TEST_REQUIRE_POSTGRES";

/// A database for one test. Dropping it removes the database, also when the test panics.
#[derive(Debug)]
pub struct TestDatabase {
    database: Database,
    url: String,
    // Dropped after the connections above.
    home: Home,
}

#[derive(Debug)]
enum Home {
    Folder(TempDir),
    Server { _removed: ServerDatabase },
    OwnServer,
}

impl TestDatabase {
    /// A migrated SQLite file.
    pub async fn sqlite() -> Self {
        let test = Self::empty_sqlite().await;
        migrate(&test.database).await.expect("the migrations run on SQLite");
        test
    }

    /// A migrated Postgres database, or `None` where no server was given.
    ///
    /// # Panics
    /// When no server was given although `CI` or [`REQUIRE_POSTGRES`] asks for one, or when it cannot be used.
    pub async fn postgres() -> Option<Self> {
        let server = Server::from_environment().await?;
        let database = server.copy_of_template().await;
        Some(Self::on_server(database).await)
    }

    /// The empty database at `url` on a server that the test has started and that goes with it, migrated there and then used with
    /// `options`, which may lead through a proxy or a pooler.
    pub async fn on_own_server(url: String, options: DatabaseOptions) -> Self {
        let direct = connect(&url).await;
        migrate(&direct).await.expect("the migrations run");
        direct.close().await;
        let database = options.open().await.expect("the test's database opens as the test wants it");
        Self { database, url, home: Home::OwnServer }
    }

    /// A migrated database of the given sort; `None` as in [`TestDatabase::postgres`].
    pub async fn open(backend: DbBackend) -> Option<Self> {
        match backend {
            DbBackend::Postgres => Self::postgres().await,
            _ => Some(Self::sqlite().await),
        }
    }

    /// One migrated database of each sort that is available.
    pub async fn each() -> Vec<Self> {
        let mut all = vec![Self::sqlite().await];
        all.extend(Self::postgres().await);
        all
    }

    /// A database without tables, for the tests of the migrations; `None` as in [`TestDatabase::postgres`].
    pub async fn empty(backend: DbBackend) -> Option<Self> {
        match backend {
            DbBackend::Postgres => {
                let server = Server::from_environment().await?;
                let database = server.copy_of("template1").await.expect("an empty database can be made");
                Some(Self::on_server(database).await)
            }
            _ => Some(Self::empty_sqlite().await),
        }
    }

    async fn empty_sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let url = format!("sqlite:{}", folder.path().join("ackord.db").display());
        Self { database: connect(&url).await, url, home: Home::Folder(folder) }
    }

    async fn on_server(server: ServerDatabase) -> Self {
        let url = server.url();
        Self { database: connect(&url).await, url, home: Home::Server { _removed: server } }
    }

    /// The handle of this test.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Fresh connections to the same database, with a clock of their own: what another process would see.
    pub async fn reopen(&self) -> Database {
        connect(&self.url).await
    }

    /// The URL, with its password, for a program that the test starts.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The folder that holds the SQLite file; `None` on Postgres.
    pub fn folder(&self) -> Option<&Path> {
        match &self.home {
            Home::Folder(folder) => Some(folder.path()),
            Home::Server { .. } | Home::OwnServer => None,
        }
    }
}

async fn migrate(database: &Database) -> Result<(), DbErr> {
    let tx = database.begin_unlimited().await?;
    Migrator::up(&tx, None).await?;
    tx.commit().await
}

async fn connect(url: &str) -> Database {
    DatabaseOptions::new(url).open().await.expect("the test's database opens")
}

/// A Postgres server, through one connection to the database that its URL names.
struct Server {
    url: String,
    connection: Database,
}

impl Server {
    async fn from_environment() -> Option<Self> {
        let Ok(url) = std::env::var(POSTGRES_URL) else {
            let required = std::env::var(REQUIRE_POSTGRES).is_ok_and(|value| value == "1")
                || std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(!required, "{POSTGRES_URL} names no server: run the tests with tests/run");
            eprintln!("left out on Postgres: {POSTGRES_URL} is not set");
            return None;
        };
        Some(Self::connect(url).await)
    }

    async fn connect(url: String) -> Self {
        // One connection: an advisory lock belongs to the connection that took it.
        let options = DatabaseOptions { max_connections: 1, ..DatabaseOptions::new(url.as_str()) };
        let connection = options.open().await.expect("the server of ACKORD_TEST_POSTGRES_URL answers");
        Self { url, connection }
    }

    async fn copy_of_template(&self) -> ServerDatabase {
        let template = template_name();
        match self.copy_of(&template).await {
            Ok(database) => database,
            Err(error) if sqlstate(&error).as_deref() == Some("3D000") => {
                self.make_template(&template).await.expect("the template can be made");
                self.copy_of(&template).await.expect("the template can be copied")
            }
            Err(error) => panic!("{template} cannot be copied: {error}"),
        }
    }

    async fn copy_of(&self, template: &str) -> Result<ServerDatabase, DbErr> {
        let name = format!("ackord_test_{}_{}", today(), Uuid::now_v7().simple());
        // By files, not through the log: half the time for a database of a few megabytes (Postgres 15 and later).
        self.execute(&format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")).await?;
        Ok(ServerDatabase { server_url: self.url.clone(), name })
    }

    /// One of the tests that start together makes the template, the others wait for it. It gets its name when it is
    /// complete, and nobody is connected to it from then on: Postgres copies only what nobody uses.
    async fn make_template(&self, template: &str) -> Result<(), DbErr> {
        const LOCK: &str = "hashtext('ackord test template')";
        self.execute(&format!("SELECT pg_advisory_lock({LOCK})")).await?;
        if !self.names_like(template).await?.is_empty() {
            return self.execute(&format!("SELECT pg_advisory_unlock({LOCK})")).await;
        }
        self.remove_left_overs().await?;
        let unfinished = self.copy_of("template1").await?;
        let database = connect(&unfinished.url()).await;
        migrate(&database).await?;
        database.close().await;
        self.execute(&format!("ALTER DATABASE {} RENAME TO {template}", unfinished.name)).await?;
        std::mem::forget(unfinished);
        self.execute(&format!("SELECT pg_advisory_unlock({LOCK})")).await
    }

    /// Databases of tests that were killed before today, on a server that outlives them.
    async fn remove_left_overs(&self) -> Result<(), DbErr> {
        let today = today();
        for name in self.names_like("ackord\\_te%\\_%\\_%").await? {
            let day = name.split('_').nth(2).and_then(|day| day.parse::<i64>().ok());
            if day.is_some_and(|day| day < today - 1) {
                self.remove(&name).await?;
            }
        }
        Ok(())
    }

    /// Removes a database although somebody is connected. FORCE alone would sleep for 100 ms after it has ended them.
    async fn remove(&self, name: &str) -> Result<(), DbErr> {
        const PATIENCE: Duration = Duration::from_millis(500);
        let others = format!("FROM pg_stat_activity WHERE datname = '{name}'");
        let begun = Instant::now();
        self.execute(&format!("SELECT pg_terminate_backend(pid) {others}")).await?;
        while begun.elapsed() < PATIENCE && self.count(&others).await? > 0 {}
        self.execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
    }

    async fn count(&self, of: &str) -> Result<i64, DbErr> {
        let statement = Statement::from_string(DbBackend::Postgres, format!("SELECT count(*) AS n {of}"));
        let row = self.connection.write().query_one_raw(statement).await?;
        row.map_or(Ok(0), |row| row.try_get("", "n"))
    }

    async fn names_like(&self, pattern: &str) -> Result<Vec<String>, DbErr> {
        let sql = "SELECT datname::text AS name FROM pg_database WHERE datname LIKE $1";
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [pattern.into()]);
        let rows = self.connection.write().query_all_raw(statement).await?;
        rows.iter().map(|row| row.try_get("", "name")).collect()
    }

    async fn execute(&self, sql: &str) -> Result<(), DbErr> {
        self.connection.write().execute_unprepared(sql).await.map(|_| ())
    }
}

/// A database on the server that is removed with this value.
#[derive(Debug)]
struct ServerDatabase {
    server_url: String,
    name: String,
}

impl ServerDatabase {
    fn url(&self) -> String {
        with_database(&self.server_url, &self.name)
    }
}

impl Drop for ServerDatabase {
    /// On a thread and a runtime of its own, because the test's runtime may be single-threaded and is being used.
    fn drop(&mut self) {
        let (url, name) = (std::mem::take(&mut self.server_url), std::mem::take(&mut self.name));
        let removed = std::thread::spawn(move || -> Result<(), DbErr> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| DbErr::Custom(error.to_string()))?;
            runtime.block_on(async { Server::connect(url).await.remove(&name).await })
        });
        // A test that killed its server cannot remove anything from it, and a panic here could hide the test's own.
        if !matches!(removed.join(), Ok(Ok(()))) {
            eprintln!("a test's database could not be removed from the server");
        }
    }
}

/// The schema is the test binary's: a build with another schema is another file.
fn template_name() -> String {
    let binary = std::env::current_exe().expect("a test knows its binary");
    let about = binary.metadata().expect("a test can look at its binary");
    let mut hasher = DefaultHasher::new();
    (binary, about.len(), about.modified().ok()).hash(&mut hasher);
    format!("ackord_template_{}_{:016x}", today(), hasher.finish())
}

/// Days since 1970. A name carries its day, so that left-overs are known by their names.
fn today() -> i64 {
    machine_now().timestamp() / 86_400
}

fn with_database(url: &str, name: &str) -> String {
    let (address, options) = url.split_once('?').map_or((url, ""), |(address, options)| (address, options));
    let (server, _database) = address.rsplit_once('/').expect("the URL names a database");
    assert!(
        server.contains("://"),
        "{POSTGRES_URL} must name a database: postgres://USER:PASSWORD@HOST/DATABASE"
    );
    let separator = if options.is_empty() { "" } else { "?" };
    format!("{server}/{name}{separator}{options}")
}

fn sqlstate(error: &DbErr) -> Option<String> {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    Some(error.as_database_error()?.code()?.into_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    async fn job_tables(database: &Database) -> u64 {
        let sql = match database.backend() {
            DbBackend::Postgres => "SELECT count(*) AS n FROM pg_tables WHERE tablename = 'jobs'",
            _ => "SELECT count(*) AS n FROM sqlite_schema WHERE name = 'jobs'",
        };
        let row = database.read().query_one_raw(Statement::from_string(database.backend(), sql)).await;
        let count: i64 = row.expect("the query runs").expect("a row").try_get("", "n").expect("a count");
        count.try_into().expect("no negative count")
    }

    #[rstest]
    #[tokio::test]
    async fn a_test_has_a_migrated_database_of_its_own(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let (Some(first), Some(second)) =
            (TestDatabase::open(backend).await, TestDatabase::open(backend).await)
        else {
            return;
        };
        first.database().write().execute_unprepared("DROP TABLE jobs").await.expect("dropped");
        assert_eq!(job_tables(&first.reopen().await).await, 0);
        assert_eq!(job_tables(&second.reopen().await).await, 1);
    }

    #[rstest]
    #[tokio::test]
    async fn an_empty_database_has_no_tables(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::empty(backend).await else { return };
        assert_eq!(job_tables(test.database()).await, 0);
    }

    #[tokio::test]
    async fn a_dropped_database_is_gone_from_the_server_although_somebody_is_connected() {
        let Some(test) = TestDatabase::postgres().await else { return };
        let (name, other_process) =
            (test.url().rsplit('/').next().expect("a name").to_owned(), test.reopen().await);
        drop(test);
        let server = Server::from_environment().await.expect("it was there a moment ago");
        assert!(server.names_like(&name).await.expect("the query runs").is_empty());
        drop(other_process);
    }

    #[tokio::test]
    async fn a_dropped_file_is_gone() {
        let test = TestDatabase::sqlite().await;
        let folder = test.folder().expect("SQLite has a folder").to_owned();
        drop(test);
        assert!(!folder.exists());
    }

    #[test]
    fn the_name_of_a_database_is_replaced_and_the_options_stay() {
        assert_eq!(
            with_database("postgres://u:p@h:1/postgres?sslmode=disable", "x"),
            "postgres://u:p@h:1/x?sslmode=disable"
        );
    }
}

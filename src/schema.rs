//! Whether a database has the tables that this program works with.

use ackord_entities::database::Database;
use ackord_migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

use crate::exit::Exit;
use crate::problem::Problem;

/// A database's migrations beside the program's.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct SchemaStatus {
    /// Migrations that both know.
    pub(crate) applied: Vec<String>,
    /// Migrations that the database lacks.
    pub(crate) pending: Vec<String>,
    /// Migrations of the database that the program does not know: a newer program made them.
    pub(crate) unknown: Vec<String>,
}

/// Where a schema stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SchemaState {
    /// There are no tables.
    Missing,
    /// Some migrations are missing.
    Older,
    /// It fits.
    Current,
    /// A newer program was here.
    Newer,
}

impl SchemaStatus {
    pub(crate) fn state(&self) -> SchemaState {
        match (self.applied.is_empty(), self.pending.is_empty(), self.unknown.is_empty()) {
            (_, _, false) => SchemaState::Newer,
            (true, ..) => SchemaState::Missing,
            (false, false, true) => SchemaState::Older,
            (false, true, true) => SchemaState::Current,
        }
    }
}

/// Reads which migrations a database has. Writes nothing.
///
/// # Errors
/// Whatever the database answers.
pub(crate) async fn status(database: &Database) -> Result<SchemaStatus, DbErr> {
    let known: Vec<String> =
        Migrator::migrations().iter().map(|migration| migration.name().to_owned()).collect();
    let found = applied_names(database).await?;
    let (applied, pending) = known.iter().cloned().partition(|name| found.contains(name));
    let unknown = found.into_iter().filter(|name| !known.contains(name)).collect();
    Ok(SchemaStatus { applied, pending, unknown })
}

async fn applied_names(database: &Database) -> Result<Vec<String>, DbErr> {
    let backend = database.backend();
    let table = Migrator::migration_table_name().to_string();
    let exists = match backend {
        DbBackend::Postgres => {
            "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1"
        }
        _ => "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?",
    };
    let statement = Statement::from_sql_and_values(backend, exists, [table.clone().into()]);
    if database.read().query_one_raw(statement).await?.is_none() {
        return Ok(Vec::new());
    }
    let statement = Statement::from_string(backend, format!("SELECT version FROM {table} ORDER BY version"));
    database.read().query_all_raw(statement).await?.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Refuses a database whose schema this program cannot work with.
///
/// # Errors
/// Missing, older or newer, each with its remedy.
pub(crate) async fn require_current(database: &Database) -> anyhow::Result<()> {
    let status = status(database).await?;
    let location = database.location();
    let problem = match status.state() {
        SchemaState::Current => return Ok(()),
        SchemaState::Missing => Problem::new(Exit::Database, format!("{location} has no ackord tables"))
            .remedy("`ackord schema up` makes them; `ackord up` and `ackord demo` do so by themselves"),
        SchemaState::Older => Problem::new(
            Exit::Database,
            format!(
                "the schema of {location} is older than this program: {} missing",
                status.pending.join(", ")
            ),
        )
        .remedy("stop the other ackord processes on it, then run `ackord schema up`"),
        SchemaState::Newer => newer(database, &status),
    };
    Err(problem.into())
}

/// Brings the schema up. Answers the migrations that were missing. Several processes may do so at once: one runs them, and the
/// others find them done.
///
/// # Errors
/// A newer schema is left alone; otherwise whatever the database answers.
pub(crate) async fn bring_up(database: &Database) -> anyhow::Result<Vec<String>> {
    let mut missing = status(database).await?;
    loop {
        if missing.state() == SchemaState::Newer {
            return Err(newer(database, &missing).into());
        }
        if missing.pending.is_empty() {
            return Ok(Vec::new());
        }
        let Err(error) = run_missing(database).await else { return Ok(missing.pending) };
        // Whoever loses the race hears of it when the other one has committed.
        let now = status(database).await?;
        if now == missing {
            return Err(error.into());
        }
        missing = now;
    }
}

async fn run_missing(database: &Database) -> Result<(), DbErr> {
    let tx = database.begin_unlimited().await?;
    Migrator::up(&tx, None).await?;
    tx.commit().await
}

fn newer(database: &Database, status: &SchemaStatus) -> Problem {
    Problem::new(
        Exit::Database,
        format!(
            "the schema of {} is newer than this program: it has {}",
            database.location(),
            status.unknown.join(", ")
        ),
    )
    .remedy("update ackord, or take the newer program's schema back with its own `ackord schema down`")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use ackord_entities::testing::TestDatabase;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[tokio::test]
    async fn a_schema_is_missing_then_current_then_newer(
        #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    ) {
        let Some(test) = TestDatabase::empty(backend).await else { return };
        let database = test.database();
        assert_eq!(status(database).await.unwrap().state(), SchemaState::Missing);
        assert!(require_current(database).await.is_err());

        let applied = bring_up(database).await.unwrap();
        assert_eq!(applied.len(), Migrator::migrations().len());
        require_current(&test.reopen().await).await.unwrap();
        assert!(bring_up(database).await.unwrap().is_empty());

        let tx = database.begin_unlimited().await.unwrap();
        Migrator::down(&tx, Some(1)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(status(database).await.unwrap().state(), SchemaState::Older);
        assert_eq!(bring_up(database).await.unwrap().len(), 1);

        let tx = database.begin_unlimited().await.unwrap();
        Migrator::down(&tx, None).await.unwrap();
        tx.commit().await.unwrap();
        let others = test.reopen().await;
        let (one, another) = tokio::join!(bring_up(database), bring_up(&others));
        assert!(!one.unwrap().is_empty() | !another.unwrap().is_empty(), "somebody ran them");
        require_current(database).await.unwrap();

        let later =
            "INSERT INTO ackord_migrations (version, applied_at) VALUES ('m20990101_000001_later', 0)";
        database.write().execute_unprepared(later).await.unwrap();
        assert_eq!(status(database).await.unwrap().state(), SchemaState::Newer);
        assert!(bring_up(database).await.unwrap_err().to_string().contains("m20990101_000001_later"));
    }
}

//! `testbed_effects`: what the kinds do. One row for each time that a job had an effect, and no constraint that would hide a
//! second one.

use ackord_consumers::error::JobError;
use ackord_consumers::handler::Tx;
use ackord_entities::database::{Database, RowSet, Sql};
use ackord_entities::ids::JobId;
use sea_orm::{ConnectionTrait, DbBackend, DbErr};

/// Which half wrote an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The commit half.
    Commit,
    /// The clean-up of a job that ended badly.
    Abandon,
}

impl Half {
    fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Abandon => "abandon",
        }
    }
}

/// Makes the table.
///
/// # Errors
/// Whatever the database answers.
pub async fn make_table(database: &Database) -> Result<(), DbErr> {
    let sql = match database.backend() {
        DbBackend::Sqlite => {
            "CREATE TABLE IF NOT EXISTS testbed_effects (job_id BLOB NOT NULL, half TEXT NOT NULL) STRICT"
        }
        _ => "CREATE TABLE IF NOT EXISTS testbed_effects (job_id UUID NOT NULL, half TEXT NOT NULL)",
    };
    database.write().execute_unprepared(sql).await?;
    Ok(())
}

/// Writes one effect for each of `jobs`, in one statement.
///
/// # Errors
/// Whatever the database answers.
pub async fn write(tx: &Tx<'_>, half: Half, jobs: impl IntoIterator<Item = JobId>) -> Result<(), JobError> {
    let rows = RowSet::new("r").uuid("job_id", jobs.into_iter().map(|job| job.0));
    let statement = Sql::new(tx.get_database_backend())
        .text("INSERT INTO testbed_effects (job_id, half) SELECT job_id, ")
        .bind(half.name())
        .text(" FROM ")
        .rows(rows)
        .build();
    tx.execute_raw(statement).await?;
    Ok(())
}

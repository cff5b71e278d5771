//! The effects of jobs: rows of a table of the domain, one for each time that a commit half had an effect.

use ackord_consumers::error::JobError;
use ackord_consumers::handler::Tx;
use ackord_entities::database::{Database, Sql};
use ackord_entities::ids::JobId;
use sea_orm::ConnectionTrait;

/// Makes the table. `one_of` is unique, for commit halves that break a constraint.
pub(crate) async fn make_effects(database: &Database) {
    database
        .write()
        .execute_unprepared(
            "CREATE TABLE effects (job_id text NOT NULL, note text NOT NULL, one_of text UNIQUE)",
        )
        .await
        .unwrap();
}

/// What the effects of a job say, in the order of their texts.
pub(crate) async fn effects(database: &Database, job: JobId) -> Vec<String> {
    let statement = Sql::new(database.backend())
        .text("SELECT note FROM effects WHERE job_id = ")
        .bind(job.to_string())
        .text(" ORDER BY note")
        .build();
    let rows = database.read().query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

pub(crate) async fn write_effect(tx: &Tx<'_>, job: JobId, note: &str) -> Result<(), JobError> {
    let statement = Sql::new(tx.get_database_backend())
        .text("INSERT INTO effects (job_id, note) VALUES (")
        .bind(job.to_string())
        .text(", ")
        .bind(note.to_owned())
        .text(")")
        .build();
    tx.execute_raw(statement).await?;
    Ok(())
}

/// An effect that only one job can have.
pub(crate) async fn write_unique_effect(tx: &Tx<'_>, job: JobId, one_of: &str) -> Result<(), JobError> {
    let statement = Sql::new(tx.get_database_backend())
        .text("INSERT INTO effects (job_id, note, one_of) VALUES (")
        .bind(job.to_string())
        .text(", 'unique', ")
        .bind(one_of.to_owned())
        .text(")")
        .build();
    tx.execute_raw(statement).await?;
    Ok(())
}

//! Kinds for tests. Their effect is a row in `effects`, one for each time that a commit half had an effect.

use ackord_consumers::error::JobError;
use ackord_consumers::handler::{Context, End, Handler, Outcome, Turn, Tx};
use ackord_entities::database::{Database, Sql};
use ackord_entities::ids::JobId;
use ackord_entities::jobs::Job;
use async_trait::async_trait;
use schemars::JsonSchema;
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};

/// Makes the table of effects.
pub async fn make_effects(database: &Database) {
    database
        .write()
        .execute_unprepared("CREATE TABLE effects (job_id text NOT NULL, note text NOT NULL)")
        .await
        .unwrap();
}

/// What the effects of a job say, as another process reads them.
pub async fn effects(database: &Database, job: JobId) -> Vec<String> {
    let statement = Sql::new(database.backend())
        .text("SELECT note FROM effects WHERE job_id = ")
        .bind(job.to_string())
        .text(" ORDER BY note")
        .build();
    let rows = database.read().query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

async fn write_effect(tx: &Tx<'_>, job: JobId, note: &str) -> Result<(), JobError> {
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

/// A short job without a slow half.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Short {
    pub note: String,
}

impl Job for Short {
    const KIND: &'static str = "short";
    const PERFORMS: bool = false;
}

pub struct ShortHandler;

#[async_trait]
impl Handler for ShortHandler {
    type Job = Short;
    type Output = ();

    async fn commit(&self, turn: &Turn<Short>, (): &(), tx: &Tx<'_>) -> Result<Outcome, JobError> {
        write_effect(tx, turn.id, &turn.job.note).await?;
        Ok(Outcome::succeeded())
    }
}

/// A long job: handed over, with both halves.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Long {
    pub note: String,
}

impl Job for Long {
    const KIND: &'static str = "long";
    const HAND_OVER: bool = true;
}

pub struct LongHandler;

#[async_trait]
impl Handler for LongHandler {
    type Job = Long;
    type Output = String;

    async fn perform(&self, turn: &Turn<Long>, _context: &Context) -> Result<String, JobError> {
        Ok(turn.job.note.to_uppercase())
    }

    async fn commit(&self, turn: &Turn<Long>, output: &String, tx: &Tx<'_>) -> Result<Outcome, JobError> {
        write_effect(tx, turn.id, output).await?;
        Ok(Outcome::succeeded())
    }

    async fn abandon(&self, turn: &Turn<Long>, end: &End, tx: &Tx<'_>) -> Result<(), JobError> {
        write_effect(tx, turn.id, &format!("abandoned: {}", end.error.code)).await
    }
}

//! The kinds that are measured: one payload, with the shape of the work and the size of a group in its type. Also part of
//! `benches/engine`.

use std::sync::Arc;

use ackord_consumers::error::JobError;
use ackord_consumers::handler::{Handler, Outcome, Turn, Tx};
use ackord_entities::database::{Database, RowSet, Sql};
use ackord_entities::ids::JobId;
use ackord_entities::jobs::Job;
use async_trait::async_trait;
use schemars::JsonSchema;
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, ConnectionTrait, DbBackend, DbErr};
use serde::{Deserialize, Serialize};

use super::probe::{Probe, Recorder};

/// No effect: what the engine itself costs.
pub(crate) const EMPTY: u8 = 0;
/// One row for each job, written by one statement for the group.
pub(crate) const SET: u8 = 1;
/// One row for each job, written by the plain commit half: one statement for each.
pub(crate) const EACH: u8 = 2;
/// As `SET`, behind a slow half that has nothing to do.
pub(crate) const PERFORMED: u8 = 3;

/// One row for each job that was committed. The primary key would refuse a second effect.
#[allow(unreachable_pub, reason = "the derive wants its model public")]
pub(crate) mod effect {
    use ackord_entities::ids::JobId;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "effects")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub job_id: JobId,
        pub note: String,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Makes the table of the effects.
pub(crate) async fn make_effects(database: &Database) -> Result<(), DbErr> {
    let statement = match database.backend() {
        DbBackend::Postgres => "CREATE TABLE effects (job_id uuid NOT NULL PRIMARY KEY, note text NOT NULL)",
        _ => "CREATE TABLE effects (job_id blob NOT NULL PRIMARY KEY, note text NOT NULL) STRICT",
    };
    database.write().execute_unprepared(statement).await.map(drop)
}

/// The effects of many jobs in one statement.
pub(crate) async fn write_set(
    connection: &impl ConnectionTrait,
    effects: &[(JobId, String)],
) -> Result<(), DbErr> {
    let rows = RowSet::new("r")
        .uuid("job_id", effects.iter().map(|(id, _)| id.0))
        .string("note", effects.iter().map(|(_, note)| note.clone()));
    let statement = Sql::new(connection.get_database_backend())
        .text("INSERT INTO effects (job_id, note) SELECT job_id, note FROM ")
        .rows(rows)
        .build();
    connection.execute_raw(statement).await?;
    Ok(())
}

/// The effect of one job, as a handler would write it.
pub(crate) async fn write_one(connection: &impl ConnectionTrait, id: JobId, note: &str) -> Result<(), DbErr> {
    effect::ActiveModel { job_id: Set(id), note: Set(note.to_owned()) }.insert(connection).await?;
    Ok(())
}

/// The payload: about 80 bytes of JSON.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Load<const SHAPE: u8, const GROUP: usize> {
    pub(crate) number: usize,
    pub(crate) note: String,
    #[serde(skip)]
    probe: Probe,
}

impl<const SHAPE: u8, const GROUP: usize> Load<SHAPE, GROUP> {
    pub(crate) fn new(number: usize) -> Self {
        Self { number, note: note(number), probe: Probe::default() }
    }
}

/// What is written for job `number`.
pub(crate) fn note(number: usize) -> String {
    format!("the note of job number {number:>8}, of a usual length")
}

/// Each measurement has a database and a broker of its own, so one name is enough.
impl<const SHAPE: u8, const GROUP: usize> Job for Load<SHAPE, GROUP> {
    const KIND: &'static str = "load";
    const MAX_GROUP: usize = GROUP;
    const ACCEPTS_DIRECT: bool = true;
    const PERFORMS: bool = SHAPE == PERFORMED;
}

pub(crate) struct LoadHandler<const SHAPE: u8, const GROUP: usize> {
    pub(crate) recorder: Arc<Recorder>,
}

#[async_trait]
impl<const SHAPE: u8, const GROUP: usize> Handler for LoadHandler<SHAPE, GROUP> {
    type Job = Load<SHAPE, GROUP>;
    type Output = ();

    async fn commit(
        &self,
        turn: &Turn<Load<SHAPE, GROUP>>,
        (): &(),
        tx: &Tx<'_>,
    ) -> Result<Outcome, JobError> {
        turn.job.probe.arm(&self.recorder, turn.job.number);
        if SHAPE != EMPTY {
            write_one(tx.connection(), turn.id, &turn.job.note).await?;
        }
        Ok(Outcome::succeeded())
    }

    async fn commit_group(
        &self,
        work: &[(&Turn<Load<SHAPE, GROUP>>, &())],
        tx: &Tx<'_>,
    ) -> Result<Vec<Outcome>, JobError> {
        if SHAPE == SET || SHAPE == PERFORMED {
            let effects: Vec<(JobId, String)> =
                work.iter().map(|(turn, ())| (turn.id, turn.job.note.clone())).collect();
            for (turn, ()) in work {
                turn.job.probe.arm(&self.recorder, turn.job.number);
            }
            write_set(tx.connection(), &effects).await?;
            return Ok(vec![Outcome::succeeded(); work.len()]);
        }
        let mut outcomes = Vec::with_capacity(work.len());
        for (turn, output) in work {
            outcomes.push(self.commit(turn, output, tx).await?);
        }
        Ok(outcomes)
    }
}

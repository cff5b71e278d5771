//! Syntheses that did not hear of the end of their job: they hear of it now.
//!
//! A job's end is told to its synthesis in the transaction that records it (`abandon`). Where that fails, the end is recorded without
//! it, with an alarm; a synthesis would then be running for ever, and every super-synthesis that it is a part of would wait for it.
//! What stands in `jobs` is the truth: whoever is found here fails with the error of its job, and its parents are combined.

use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::graph::synthesis::{self, Failure, Unheard};
use ackord_entities::graph::synthesis_attempt;
use ackord_entities::queue::job;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::part_ended;
use crate::doorbell::Doorbell;
use crate::enqueue::{EnqueueError, Publish};

/// Syntheses that are told in one look.
const BATCH: u32 = 100;
/// The time between two looks.
const INTERVAL: Duration = Duration::from_secs(5);

/// Looks again and again. Any number may run: the rows they work on are locked.
#[derive(Debug)]
pub struct CatchUp {
    database: Database,
    doorbell: Doorbell,
}

impl CatchUp {
    /// One that is not running yet.
    #[must_use]
    pub fn new(database: Database, doorbell: Doorbell) -> Self {
        Self { database, doorbell }
    }

    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut failing = false;
        loop {
            match catch_up(&self.database, &self.doorbell).await {
                Ok(_) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    error!(
                        error = ackord_entities::error_chain(&error),
                        "syntheses whose jobs have ended cannot be told; it is tried again"
                    );
                }
                Err(_) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }
}

/// Tells every synthesis whose job has ended without its hearing of it. Answers how many were told.
///
/// # Errors
/// Whatever the database answers to the look, or to the first that could not be told; the others are told all the same.
pub async fn catch_up(database: &Database, doorbell: &Doorbell) -> Result<usize, EnqueueError> {
    let (mut told, mut failed) = (0, None);
    for one in synthesis::unheard(database.read(), BATCH).await? {
        match tell(database, one).await {
            Ok(true) => told += 1,
            Ok(false) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if told > 0 {
        doorbell.ring();
    }
    failed.map_or(Ok(told), Err)
}

async fn tell(database: &Database, one: Unheard) -> Result<bool, EnqueueError> {
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    // The row of the job first, as everywhere: it may be about to get another life.
    job::lock(&tx, &[one.job_id]).await?;
    let job = job::find(&tx, one.job_id).await?;
    if job.as_ref().is_some_and(|job| !job.state.is_end()) {
        return Ok(false);
    }
    let failure = failure(job);
    if !synthesis::fail(&tx, one.id, one.job_id, &failure, now).await? {
        return Ok(false);
    }
    synthesis_attempt::end(&tx, one.id, one.job_id, Some(&failure), None, now).await?;
    part_ended(&tx, one.id, &Publish::at(now)).await?;
    tx.commit().await?;
    warn!(job.id = %one.job_id, synthesis.id = %one.id, error.code = failure.code, "a synthesis had not heard of its job's end: it has failed");
    Ok(true)
}

/// What the job died of.
fn failure(job: Option<job::Model>) -> Failure {
    let Some(job) = job else {
        let text = "its job was removed before it was written".to_owned();
        return Failure { code: "job_gone".to_owned(), public: text.clone(), operator: text };
    };
    let ended = format!("its job has ended as {}", job.state);
    Failure {
        code: job.error_code.unwrap_or_else(|| "job_ended".to_owned()),
        operator: job.error.unwrap_or_else(|| ended.clone()),
        public: job.public_error.unwrap_or(ended),
    }
}

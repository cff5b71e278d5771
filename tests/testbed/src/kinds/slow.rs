//! `slow`: a slow half that takes a while, then the effect.

use std::path::PathBuf;
use std::time::Duration;

use ackord_consumers::error::JobError;
use ackord_consumers::handler::{Context, Handler, Outcome, Turn, Tx};
use ackord_entities::jobs::Job;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::effects::{Half, write};

/// The time between two looks for the file.
const LOOK: Duration = Duration::from_millis(10);

/// Takes `milliseconds`, and then as long as the file is not there.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Slow {
    /// How long the slow half takes.
    pub milliseconds: u64,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_file: Option<PathBuf>,
}

impl Job for Slow {
    const KIND: &'static str = "slow";
    const MAX_ATTEMPTS: u32 = super::UNLIMITED;
    const ACCEPTS_DIRECT: bool = true;
}

/// See [`Slow`].
#[derive(Clone, Copy, Debug)]
pub struct SlowHandler;

#[async_trait]
impl Handler for SlowHandler {
    type Job = Slow;
    type Output = ();

    async fn perform(&self, turn: &Turn<Slow>, _context: &Context) -> Result<(), JobError> {
        tokio::time::sleep(Duration::from_millis(turn.job.milliseconds)).await;
        if let Some(file) = &turn.job.until_file {
            info!(job.id = %turn.id, "a slow half waits for a file");
            while !file.exists() {
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    async fn commit(&self, turn: &Turn<Slow>, (): &(), tx: &Tx<'_>) -> Result<Outcome, JobError> {
        write(tx, Half::Commit, [turn.id]).await?;
        Ok(Outcome::succeeded())
    }
}

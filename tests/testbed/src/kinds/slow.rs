//! `slow`: a slow half that takes a while, then the effect.

use std::time::Duration;

use ackord_consumers::error::JobError;
use ackord_consumers::handler::{Context, Handler, Outcome, Turn, Tx};
use ackord_entities::jobs::Job;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::effects::{Half, write};

/// Takes `milliseconds`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Slow {
    /// How long the slow half takes.
    pub milliseconds: u64,
}

impl Job for Slow {
    const KIND: &'static str = "slow";
    const MAX_ATTEMPTS: u32 = super::UNLIMITED;
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
        Ok(())
    }

    async fn commit(&self, turn: &Turn<Slow>, (): &(), tx: &Tx<'_>) -> Result<Outcome, JobError> {
        write(tx, Half::Commit, [turn.id]).await?;
        Ok(Outcome::succeeded())
    }
}

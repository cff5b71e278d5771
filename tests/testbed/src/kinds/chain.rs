//! `chain`: each job publishes the next one with its effect.

use ackord_consumers::error::JobError;
use ackord_consumers::handler::{Handler, Outcome, Turn, Tx};
use ackord_entities::jobs::Job;
use ackord_producer::enqueue;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::effects::{Half, write};

/// Publishes one more, until `further` is zero: one chain is `further` + 1 jobs.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Chain {
    /// How many come behind this one.
    pub further: u32,
}

impl Job for Chain {
    const KIND: &'static str = "chain";
    const PERFORMS: bool = false;
    const MAX_ATTEMPTS: u32 = super::UNLIMITED;
}

/// See [`Chain`].
#[derive(Clone, Copy, Debug)]
pub struct ChainHandler;

#[async_trait]
impl Handler for ChainHandler {
    type Job = Chain;
    type Output = ();

    async fn commit(&self, turn: &Turn<Chain>, (): &(), tx: &Tx<'_>) -> Result<Outcome, JobError> {
        write(tx, Half::Commit, [turn.id]).await?;
        if let Some(further) = turn.job.further.checked_sub(1) {
            enqueue(tx, &Chain { further }, &turn.follow_up(tx)).await?;
        }
        Ok(Outcome::succeeded())
    }
}

//! `flaky`: its first attempt fails after it has written, its second is fine.

use ackord_consumers::error::JobError;
use ackord_consumers::handler::{Failure, Handler, Outcome, Turn, Tx};
use ackord_entities::jobs::{Backoff, Job};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::effects::{Half, write};

/// Fails once.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Flaky {}

impl Job for Flaky {
    const KIND: &'static str = "flaky";
    const MAX_ATTEMPTS: u32 = super::UNLIMITED;
    const BACKOFF: Backoff = super::SOON;
}

/// See [`Flaky`].
#[derive(Clone, Copy, Debug)]
pub struct FlakyHandler;

#[async_trait]
impl Handler for FlakyHandler {
    type Job = Flaky;
    type Output = ();

    async fn commit(&self, turn: &Turn<Flaky>, (): &(), tx: &Tx<'_>) -> Result<Outcome, JobError> {
        write(tx, Half::Commit, [turn.id]).await?;
        if turn.attempt == 1 {
            return Err(JobError::Transient(Failure::new("flaky", "the first attempt fails")));
        }
        Ok(Outcome::succeeded())
    }
}

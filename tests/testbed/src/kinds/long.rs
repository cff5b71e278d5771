//! `long`: handed over, so that a lease answers for it while it runs. Stops when it is told to.

use std::time::Duration;

use ackord_consumers::error::JobError;
use ackord_consumers::handler::{Context, Failure, Handler, Outcome, Turn, Tx};
use ackord_entities::jobs::Job;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::effects::{Half, write};

/// Takes `milliseconds` under its lease.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Long {
    /// How long the slow half takes.
    pub milliseconds: u64,
    /// Only one job with the same key runs at a time.
    pub key: Option<String>,
}

impl Job for Long {
    const KIND: &'static str = "long";
    const HAND_OVER: bool = true;
    const MAX_ATTEMPTS: u32 = super::UNLIMITED;
    const TIMEOUT: Duration = Duration::from_secs(600);

    fn lease_key(&self) -> Option<String> {
        self.key.as_ref().map(|key| format!("testbed:{key}"))
    }
}

/// See [`Long`].
#[derive(Clone, Copy, Debug)]
pub struct LongHandler;

#[async_trait]
impl Handler for LongHandler {
    type Job = Long;
    type Output = ();

    async fn perform(&self, turn: &Turn<Long>, context: &Context) -> Result<(), JobError> {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(turn.job.milliseconds)) => Ok(()),
            () = context.cancelled() => Err(JobError::Transient(Failure::new("stopped", "told to stop"))),
        }
    }

    async fn commit(&self, turn: &Turn<Long>, (): &(), tx: &Tx<'_>) -> Result<Outcome, JobError> {
        write(tx, Half::Commit, [turn.id]).await?;
        Ok(Outcome::succeeded())
    }
}

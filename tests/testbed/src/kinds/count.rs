//! `count`: no slow half, and a set-based commit.

use ackord_consumers::error::JobError;
use ackord_consumers::handler::{Handler, Outcome, Turn, Tx};
use ackord_entities::jobs::Job;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::effects::{Half, write};

/// Does nothing but have its effect.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Count {}

impl Job for Count {
    const KIND: &'static str = "count";
    const PERFORMS: bool = false;
    const MAX_ATTEMPTS: u32 = super::UNLIMITED;
}

/// See [`Count`].
#[derive(Clone, Copy, Debug)]
pub struct CountHandler;

#[async_trait]
impl Handler for CountHandler {
    type Job = Count;
    type Output = ();

    async fn commit(&self, turn: &Turn<Count>, (): &(), tx: &Tx<'_>) -> Result<Outcome, JobError> {
        write(tx, Half::Commit, [turn.id]).await?;
        Ok(Outcome::succeeded())
    }

    async fn commit_group(
        &self,
        work: &[(&Turn<Count>, &())],
        tx: &Tx<'_>,
    ) -> Result<Vec<Outcome>, JobError> {
        write(tx, Half::Commit, work.iter().map(|(turn, ())| turn.id)).await?;
        Ok(vec![Outcome::succeeded(); work.len()])
    }
}

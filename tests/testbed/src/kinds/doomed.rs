//! `doomed`: no attempt can succeed. Its effect is that of its clean-up.

use ackord_consumers::error::JobError;
use ackord_consumers::handler::{Context, End, Failure, Handler, Outcome, Turn, Tx};
use ackord_entities::jobs::Job;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::effects::{Half, write};

/// Dies.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Doomed {}

impl Job for Doomed {
    const KIND: &'static str = "doomed";
}

/// See [`Doomed`].
#[derive(Clone, Copy, Debug)]
pub struct DoomedHandler;

#[async_trait]
impl Handler for DoomedHandler {
    type Job = Doomed;
    type Output = ();

    async fn perform(&self, _turn: &Turn<Doomed>, _context: &Context) -> Result<(), JobError> {
        Err(JobError::Permanent(Failure::new("doomed", "no attempt can succeed")))
    }

    async fn commit(&self, turn: &Turn<Doomed>, (): &(), tx: &Tx<'_>) -> Result<Outcome, JobError> {
        write(tx, Half::Commit, [turn.id]).await?;
        Ok(Outcome::succeeded())
    }

    async fn abandon(&self, turn: &Turn<Doomed>, _end: &End, tx: &Tx<'_>) -> Result<(), JobError> {
        write(tx, Half::Abandon, [turn.id]).await
    }
}

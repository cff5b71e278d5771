//! Kinds that kill their process: in the slow half, in the commit half, and as a job that was handed over.

use ackord_consumers::error::JobError;
use ackord_consumers::handler::{Context, End, Handler, Outcome, Turn, Tx};
use ackord_entities::jobs::Job;
use async_trait::async_trait;
use rustix::process::{Signal, getpid, kill_process};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::effects::{Half, write};

/// Dies as by `kill -9`: what a fault in a C library or the kernel's memory killer does to a worker.
fn kill_the_process() {
    let _ = kill_process(getpid(), Signal::KILL);
}

/// Kills its process in the slow half.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Poison {}

impl Job for Poison {
    const KIND: &'static str = "poison";
}

/// See [`Poison`].
#[derive(Clone, Copy, Debug)]
pub struct PoisonHandler;

#[async_trait]
impl Handler for PoisonHandler {
    type Job = Poison;
    type Output = ();

    async fn perform(&self, _turn: &Turn<Poison>, _context: &Context) -> Result<(), JobError> {
        kill_the_process();
        Ok(())
    }

    async fn commit(&self, turn: &Turn<Poison>, (): &(), tx: &Tx<'_>) -> Result<Outcome, JobError> {
        write(tx, Half::Commit, [turn.id]).await?;
        Ok(Outcome::succeeded())
    }

    async fn abandon(&self, turn: &Turn<Poison>, _end: &End, tx: &Tx<'_>) -> Result<(), JobError> {
        write(tx, Half::Abandon, [turn.id]).await
    }
}

/// Kills its process in the commit half, after it has written.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct PoisonCommit {}

impl Job for PoisonCommit {
    const KIND: &'static str = "poison-commit";
    const PERFORMS: bool = false;
}

/// See [`PoisonCommit`].
#[derive(Clone, Copy, Debug)]
pub struct PoisonCommitHandler;

#[async_trait]
impl Handler for PoisonCommitHandler {
    type Job = PoisonCommit;
    type Output = ();

    async fn commit(&self, turn: &Turn<PoisonCommit>, (): &(), tx: &Tx<'_>) -> Result<Outcome, JobError> {
        write(tx, Half::Commit, [turn.id]).await?;
        kill_the_process();
        Ok(Outcome::succeeded())
    }

    async fn abandon(&self, turn: &Turn<PoisonCommit>, _end: &End, tx: &Tx<'_>) -> Result<(), JobError> {
        write(tx, Half::Abandon, [turn.id]).await
    }
}

/// Kills its process while it runs under its lease. Each death counts as an attempt, so it has more of them than a suspect
/// has starts.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct PoisonLong {}

impl Job for PoisonLong {
    const KIND: &'static str = "poison-long";
    const HAND_OVER: bool = true;
    const MAX_ATTEMPTS: u32 = 10;
}

/// See [`PoisonLong`].
#[derive(Clone, Copy, Debug)]
pub struct PoisonLongHandler;

#[async_trait]
impl Handler for PoisonLongHandler {
    type Job = PoisonLong;
    type Output = ();

    async fn perform(&self, _turn: &Turn<PoisonLong>, _context: &Context) -> Result<(), JobError> {
        kill_the_process();
        Ok(())
    }

    async fn commit(&self, turn: &Turn<PoisonLong>, (): &(), tx: &Tx<'_>) -> Result<Outcome, JobError> {
        write(tx, Half::Commit, [turn.id]).await?;
        Ok(Outcome::succeeded())
    }

    async fn abandon(&self, turn: &Turn<PoisonLong>, _end: &End, tx: &Tx<'_>) -> Result<(), JobError> {
        write(tx, Half::Abandon, [turn.id]).await
    }
}

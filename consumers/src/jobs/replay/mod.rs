//! The kind `replay`: sends the next part of a replay run out, waits for what went out, or ends the run.
//!
//! Each job does one part and publishes the next one with it. While replayed jobs have not ended it is deferred, so it holds no worker;
//! what it does is decided each time from what the tables say ([`ramp`]).

mod part;
mod ramp;

use ackord_entities::jobs::{Catalogue, Replay, catalogue};
use ackord_entities::queue::replay_letter::{self, Fate};
use ackord_entities::queue::replay_run::{self, Move, RunState};
use ackord_producer::operate::{Operator, Why, give_lives};
use ackord_producer::{Enqueued, enqueue};
use async_trait::async_trait;
use serde_json::json;

use self::part::Part;
use self::ramp::Next;
use crate::error::JobError;
use crate::handler::{Context, End, EndKind, Failure, Handler, Outcome, Turn, Tx};

/// The handler.
#[derive(Clone, Debug)]
pub struct ReplayHandler {
    catalogue: Catalogue,
}

impl ReplayHandler {
    /// A handler that replays jobs of the kinds in `catalogue`.
    #[must_use]
    pub fn new(catalogue: Catalogue) -> Self {
        Self { catalogue }
    }
}

impl Default for ReplayHandler {
    /// A handler for the kinds that ackord itself knows.
    fn default() -> Self {
        Self::new(catalogue())
    }
}

/// What the slow half found out.
#[derive(Debug, Default)]
pub enum Output {
    /// It did not run.
    #[default]
    Nothing,
    /// A part is ready to go out.
    Send(Part),
    /// The run must not go on.
    Stop {
        /// Why, for machines.
        code: &'static str,
        /// Why, for people.
        cause: String,
    },
    /// Every letter was dealt with.
    Finish,
}

#[async_trait]
impl Handler for ReplayHandler {
    type Job = Replay;
    type Output = Output;

    async fn perform(&self, turn: &Turn<Replay>, context: &Context) -> Result<Output, JobError> {
        let connection = context.database.read();
        let run = mine(turn, replay_run::find(connection, turn.job.run).await?).map_err(JobError::Failed)?;
        let now = context.database.clock().now(connection).await?;
        match ramp::next(connection, &run).await? {
            Next::Send { step, rung, need } => {
                Ok(Output::Send(part::read(connection, &self.catalogue, &run, step, rung, need).await?))
            }
            Next::Wait(reason) => Err(JobError::deferred(ramp::pause(now - run.step_at), reason)),
            Next::Stop { code, cause } => Ok(Output::Stop { code, cause }),
            Next::Finish => Ok(Output::Finish),
        }
    }

    async fn commit(&self, turn: &Turn<Replay>, output: &Output, tx: &Tx<'_>) -> Result<Outcome, JobError> {
        let run = match mine(turn, replay_run::lock(tx, turn.job.run).await?) {
            Ok(run) => run,
            Err(failure) => return Ok(Outcome::Failed(failure)),
        };
        match output {
            Output::Nothing => Err(JobError::Permanent(Failure::new(
                "nothing_performed",
                "the commit half was called without what the slow half made",
            ))),
            Output::Send(part) => send(turn, &run, part, tx).await,
            Output::Stop { code, cause } => {
                replay_run::change(tx, &run, Move::Stop { code, cause }, tx.now).await?;
                Ok(Outcome::Failed(Failure::new(*code, cause.clone())))
            }
            Output::Finish => {
                replay_run::change(tx, &run, Move::Finish, tx.now).await?;
                Ok(Outcome::with_result(json!({ "replay_run": run.id, "state": RunState::Finished })))
            }
        }
    }

    /// A run whose job ends otherwise must not look as if it went on.
    async fn abandon(&self, turn: &Turn<Replay>, end: &End, tx: &Tx<'_>) -> Result<(), JobError> {
        let Ok(run) = mine(turn, replay_run::lock(tx, turn.job.run).await?) else { return Ok(()) };
        let how = match end.kind {
            EndKind::Cancelled => "was called off".to_owned(),
            EndKind::Dead(reason) => format!("was given up ({reason}): {}", end.error.operator),
            EndKind::Failed => format!("failed: {}", end.error.operator),
        };
        let cause = format!("its job {} {how}", turn.id);
        replay_run::change(tx, &run, Move::Stop { code: &end.error.code, cause: &cause }, tx.now).await?;
        Ok(())
    }
}

/// Sends a part out, and publishes the job of the next one.
async fn send(
    turn: &Turn<Replay>,
    run: &replay_run::Model,
    part: &Part,
    tx: &Tx<'_>,
) -> Result<Outcome, JobError> {
    let operator = Operator { name: run.created_by.clone(), reason: run.reason.clone() };
    let why = Why { operator: &operator, run: Some(run.id) };
    let lives = give_lives(tx, part.letters(), part.need, &why, tx.now).await?;
    let fates = part.fates(lives);
    let replayed = fates.iter().filter(|(_, fate)| matches!(fate, Fate::Replayed(_))).count();
    if replay_letter::settle(tx, run.id, part.step, &fates).await? != fates.len() as u64 {
        return Err(sea_orm::DbErr::RecordNotUpdated.into());
    }
    let publish = turn.follow_up(tx);
    // Where something went out, there is nothing to see before it had a chance to end.
    let publish = if replayed == part.need { publish.due_in(ramp::FIRST_LOOK) } else { publish };
    let Enqueued { id: job, .. } = enqueue(tx, &Replay::of(run.id), &publish).await?;
    let step = Move::Step { step: part.step, rung: part.rung, job };
    replay_run::change(tx, run, step, tx.now).await?;
    Ok(Outcome::with_result(json!({
        "replay_run": run.id,
        "step": part.step + 1,
        "replayed": replayed,
        "left_out": fates.len() - replayed,
    })))
}

/// The run, if it is running and this job is the one that works on it.
fn mine(turn: &Turn<Replay>, run: Option<replay_run::Model>) -> Result<replay_run::Model, Failure> {
    let id = turn.job.run;
    let Some(run) = run else {
        let text = format!("there is no replay run {id}: `ackord dead-letters runs` lists them");
        return Err(Failure::new("unknown_run", text));
    };
    if run.state != RunState::Running {
        let remedy = match run.state {
            RunState::Stopped => format!(": `ackord dead-letters runs resume {id}` lets it go on"),
            RunState::Running | RunState::Finished => String::new(),
        };
        return Err(Failure::new("run_not_running", format!("replay run {id} is {}{remedy}", run.state)));
    }
    if run.job_id != turn.id {
        let text = format!("job {} works on replay run {id}: this one has nothing to do", run.job_id);
        return Err(Failure::new("not_its_job", text));
    }
    Ok(run)
}

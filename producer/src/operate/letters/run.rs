//! Replay runs: starting, stopping and resuming them. Their job (`consumers/src/jobs/replay/`) does the rest.

use ackord_entities::ids::{DeadLetterId, JobId, ReplayRunId};
use ackord_entities::jobs::Replay;
use ackord_entities::queue::audit::{self, Deed, SubjectType};
use ackord_entities::queue::replay_run::{self, Move, NewRun, RunState, selection_key};
use ackord_entities::queue::{job, outbox, replay_letter};
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};

use super::Patch;
use crate::enqueue::{EnqueueError, Publish, enqueue};
use crate::operate::Operator;

/// What is to be replayed.
#[derive(Clone, Copy, Debug)]
pub struct RunRequest<'a> {
    /// What was asked for, as JSON. Two requests that say the same are one while the first one runs.
    pub selection: &'a str,
    /// What is kept of that to be shown.
    pub shown: &'a str,
    /// The letters, as the operator was shown them.
    pub letters: &'a [DeadLetterId],
    /// Applied to each payload. Check it on all letters first.
    pub patch: Option<&'a Patch>,
    /// Percentage of a step that may fail again.
    pub tolerance: u8,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// A new run.
    Run {
        /// It.
        run: ReplayRunId,
        /// Letters in its frozen set. The others were dealt with meanwhile, or wait in another running run.
        letters: u64,
    },
    /// The same request, or one that had all these letters, is running already. Nothing was changed.
    Running(ReplayRunId),
    /// None of the letters is open. Nothing was changed.
    Nothing,
}

/// Starts a run: freezes its set and publishes its job, in one transaction. Ring the doorbell after the commit. Roll back unless it
/// was started.
///
/// # Errors
/// Whatever the database answers.
pub async fn start_run(
    tx: &DatabaseTransaction,
    request: RunRequest<'_>,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<Started, DbErr> {
    replay_run::lock_starts(tx).await?;
    let patch = request.patch.map(Patch::as_json);
    let key = selection_key(request.selection, patch);
    if let Some(running) = replay_run::running_with(tx, &key).await? {
        return Ok(Started::Running(running.id));
    }
    let run = ReplayRunId::new();
    let letters = replay_letter::freeze(tx, run, request.letters).await?;
    if letters == 0 {
        let elsewhere = replay_letter::running_runs_of(tx, request.letters).await?;
        return Ok(elsewhere.first().map_or(Started::Nothing, |run| Started::Running(*run)));
    }
    let job = JobId::new();
    let new = NewRun {
        id: run,
        job_id: job,
        selection: request.shown,
        selection_key: &key,
        patch,
        tolerance: request.tolerance,
        total: i32::try_from(letters).unwrap_or(i32::MAX),
        reason: operator.reason.as_deref(),
        created_by: &operator.name,
    };
    replay_run::insert(tx, new, now).await?;
    publish(tx, run, job, now).await?;
    let details = serde_json::json!({ "letters": letters, "selection": request.shown, "patch": patch });
    write(tx, "replay", run, operator, Some(details.to_string()), now).await?;
    Ok(Started::Run { run, letters })
}

/// What became of a request to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// Nothing more goes out. What went out goes on.
    Stopped,
    /// It did not run.
    NotRunning(RunState),
    /// There is no such run.
    NotFound,
}

/// Stops a run: nothing more of it goes out. What went out goes on; the other letters stay as they are.
///
/// # Errors
/// Whatever the database answers.
pub async fn stop_run(
    tx: &DatabaseTransaction,
    id: ReplayRunId,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<StopOutcome, DbErr> {
    // The job before the run, as its worker locks them.
    let Some(seen) = replay_run::find(tx, id).await? else { return Ok(StopOutcome::NotFound) };
    job::lock(tx, &[seen.job_id]).await?;
    let Some(run) = replay_run::lock(tx, id).await? else { return Ok(StopOutcome::NotFound) };
    if run.state != RunState::Running {
        return Ok(StopOutcome::NotRunning(run.state));
    }
    let why = operator.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
    let cause = format!("stopped by {}{why}", operator.name);
    replay_run::change(tx, &run, Move::Stop { code: "stopped", cause: &cause }, now).await?;
    // So that its job does not wait until its time comes to see that there is nothing to do. Where the run has another job by now,
    // that one is not locked yet; the database tells should its worker be in the way.
    job::request_cancel(tx, run.job_id, now).await?;
    outbox::make_due(tx, run.job_id, now).await?;
    write(tx, "stop", id, operator, None, now).await?;
    Ok(StopOutcome::Stopped)
}

/// What became of a request to resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeOutcome {
    /// It goes on, with one letter first.
    Resumed,
    /// It runs already. Nothing was changed.
    Running,
    /// Every letter of it was dealt with. Nothing was changed.
    Finished,
    /// A newer run with the same selection is running. Nothing was changed.
    Replaced(ReplayRunId),
    /// There is no such run.
    NotFound,
}

/// Lets a stopped run go on with the letters that it has not dealt with, with one letter first. Ring the doorbell after the commit.
///
/// # Errors
/// Whatever the database answers.
pub async fn resume_run(
    tx: &DatabaseTransaction,
    id: ReplayRunId,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<ResumeOutcome, DbErr> {
    // The row first: its worker may hold it and be about to write the table.
    let Some(run) = replay_run::lock(tx, id).await? else { return Ok(ResumeOutcome::NotFound) };
    replay_run::lock_starts(tx).await?;
    match run.state {
        RunState::Running => return Ok(ResumeOutcome::Running),
        RunState::Finished => return Ok(ResumeOutcome::Finished),
        RunState::Stopped => {}
    }
    if let Some(other) = replay_run::running_with(tx, &run.selection_key).await? {
        return Ok(ResumeOutcome::Replaced(other.id));
    }
    replay_letter::leave_to_others(tx, id).await?;
    let job = JobId::new();
    replay_run::change(tx, &run, Move::Resume { job }, now).await?;
    publish(tx, id, job, now).await?;
    write(tx, "resume", id, operator, None, now).await?;
    Ok(ResumeOutcome::Resumed)
}

async fn publish(
    tx: &DatabaseTransaction,
    run: ReplayRunId,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    match enqueue(tx, &Replay::of(run), &Publish::at(now).with_id(job)).await {
        Ok(_) => Ok(()),
        Err(EnqueueError::Database(error)) => Err(error),
        Err(error) => Err(DbErr::Custom(error.to_string())),
    }
}

async fn write(
    tx: &DatabaseTransaction,
    verb: &str,
    run: ReplayRunId,
    operator: &Operator,
    details: Option<String>,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let deed = Deed { details, ..operator.deed(verb, SubjectType::ReplayRun, run.to_string()) };
    audit::record(tx, deed, now).await
}

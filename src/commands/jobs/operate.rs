//! `ackord jobs cancel` and `ackord jobs retry`.

use ackord_entities::ids::JobId;
use ackord_entities::queue::state::JobState;
use ackord_producer::operate::{self, CancelOutcome, Operator, RetryOutcome};
use serde::Serialize;

use super::no_such_job;
use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::{Session, ring};

/// What the verb did. The JSON is a stable interface.
#[derive(Serialize)]
struct Done {
    id: JobId,
    /// `cancel_requested`, `due_now`, `already_queued`, `already_ended`.
    outcome: &'static str,
    /// The state in which it had ended before.
    state: Option<JobState>,
}

pub(super) async fn cancel(session: &Session, id: JobId, operator: &Operator) -> anyhow::Result<Exit> {
    let database = session.database().await?;
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    let outcome = operate::cancel(&tx, id, operator, now).await?;
    tx.commit().await?;
    let (done, text) = match outcome {
        CancelOutcome::NotFound => return Err(no_such_job(id).into()),
        CancelOutcome::AlreadyEnded(JobState::Cancelled) => (
            Done { id, outcome: "already_ended", state: Some(JobState::Cancelled) },
            format!("job {id} was cancelled before"),
        ),
        CancelOutcome::AlreadyEnded(state) => {
            return Err(Problem::refused(format!(
                "job {id} has ended as {state}: there is nothing to call off"
            ))
            .into());
        }
        CancelOutcome::Requested => (
            Done { id, outcome: "cancel_requested", state: None },
            format!("job {id} is called off: a worker ends it\nackord jobs wait {id}"),
        ),
    };
    ring(&database).await;
    session.terminal.answer(&done, || text)?;
    Ok(Exit::Success)
}

pub(super) async fn retry(session: &Session, id: JobId, operator: &Operator) -> anyhow::Result<Exit> {
    let database = session.database().await?;
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    let outcome = operate::retry_now(&tx, id, operator, now).await?;
    tx.commit().await?;
    let (outcome, text) = match outcome {
        RetryOutcome::NotFound => return Err(no_such_job(id).into()),
        RetryOutcome::Ended(state) => return Err(ended(id, state).into()),
        RetryOutcome::DueNow => ("due_now", format!("job {id} is due now")),
        RetryOutcome::AlreadyQueued => (
            "already_queued",
            format!("job {id} does not wait for a time: `ackord jobs show {id}` tells what for"),
        ),
    };
    ring(&database).await;
    session.terminal.answer(&Done { id, outcome, state: None }, || text)?;
    Ok(Exit::Success)
}

/// Why an ended job is not run again by this verb, and which verb does it.
fn ended(id: JobId, state: JobState) -> Problem {
    let problem = Problem::refused(format!("job {id} has ended as {state}"));
    match state {
        JobState::Dead => problem.remedy(format!(
            "`ackord jobs show {id}` names its dead letter, `ackord dead-letters replay` gives it another life"
        )),
        JobState::Failed => problem.remedy(
            "that is its kind's own answer, not an accident: remove the cause, then publish the work again",
        ),
        _ => problem.remedy("publish it again if it is to be done again"),
    }
}

//! Cancelling jobs, and running them now instead of later.

use ackord_entities::ids::JobId;
use ackord_entities::queue::audit::{self, SubjectType};
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{job, outbox};
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};

use super::Operator;

/// What a cancellation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// The job is flagged; a worker ends it.
    Requested,
    /// It had ended before.
    AlreadyEnded(JobState),
    /// There is no such job.
    NotFound,
}

/// Calls a job off. A worker makes the transition, so that the kind's own clean-up runs: within about a second for one that runs, and when its turn comes for one that waits: a scheduled, retrying or deferred
/// job is made due at once, one of a paused kind waits for the kind.
///
/// # Errors
/// Whatever the database answers.
pub async fn cancel(
    tx: &DatabaseTransaction,
    id: JobId,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<CancelOutcome, DbErr> {
    if !job::request_cancel(tx, id, now).await? {
        return Ok(job::find(tx, id)
            .await?
            .map_or(CancelOutcome::NotFound, |job| CancelOutcome::AlreadyEnded(job.state)));
    }
    outbox::make_due(tx, id, now).await?;
    audit::record(tx, operator.deed("cancel", SubjectType::Job, id.to_string()), now).await?;
    Ok(CancelOutcome::Requested)
}

/// What `retry` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOutcome {
    /// The job was waiting and is due now.
    DueNow,
    /// It is not waiting: it is with the broker or a worker already.
    AlreadyQueued,
    /// It has ended. A dead one comes back by a replay of its dead letter, a failed one by its domain's own verb.
    Ended(JobState),
    /// There is no such job.
    NotFound,
}

/// Makes a scheduled, retrying or deferred job due now.
///
/// # Errors
/// Whatever the database answers.
pub async fn retry_now(
    tx: &DatabaseTransaction,
    id: JobId,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<RetryOutcome, DbErr> {
    match job::find(tx, id).await? {
        None => Ok(RetryOutcome::NotFound),
        Some(job) if job.state.is_end() => Ok(RetryOutcome::Ended(job.state)),
        Some(_) if outbox::make_due(tx, id, now).await? => {
            audit::record(tx, operator.deed("retry", SubjectType::Job, id.to_string()), now).await?;
            Ok(RetryOutcome::DueNow)
        }
        Some(_) => Ok(RetryOutcome::AlreadyQueued),
    }
}

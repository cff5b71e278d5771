//! A failed synthesis is to be written again.

use ackord_entities::graph::synthesis::{self, Model, State};
use ackord_entities::graph::synthesis_link;
use ackord_entities::graph::{node, super_synthesis};
use ackord_entities::ids::{JobId, NodeId, SynthesisId};
use ackord_entities::jobs::{
    Job, PayloadError, Recombination, Regeneration, SuperSynthesis, Synthesis, decode,
};
use sea_orm::{ActiveEnum, DatabaseTransaction, DbErr};
use serde::Serialize;

use super::fan_in::{combine, stale, waits_for_parts};
use crate::enqueue::{EnqueueError, Publish, enqueue};

/// What was published for a synthesis that is to be written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Regenerated {
    /// The job.
    pub job: JobId,
    /// Its kind: `regeneration`, or `recombination` for a super-synthesis that has parts.
    pub kind: &'static str,
}

/// A synthesis that is not written again; nothing was changed, unless the database failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegenerateError {
    /// There is nothing with this id.
    #[error("there is no synthesis {0}")]
    NotFound(SynthesisId),
    /// There is something, and it is no synthesis.
    #[error("{0} is a node of another type, not a synthesis")]
    WrongType(SynthesisId),
    /// It has not failed.
    #[error("the synthesis is {}, not in error: only a failed one is written again", .state.to_value())]
    NotInError {
        /// How it stands.
        state: State,
    },
    /// What it was asked for cannot be read any more.
    #[error("the synthesis has no stored input to be written from again: {reason}")]
    NoStoredInput {
        /// What is wrong with what is stored.
        reason: String,
    },
    /// A job works on it, or is going to.
    #[error("job {job} works on the synthesis already")]
    InFlight {
        /// That job; for a super-synthesis that waits for its parts, the job of the first that has not ended.
        job: JobId,
    },
    /// The database failed.
    #[error("the request could not be written")]
    Database(#[from] DbErr),
    /// The job was not published.
    #[error(transparent)]
    Enqueue(#[from] EnqueueError),
}

impl RegenerateError {
    /// Short and stable, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::WrongType(_) => "wrong_type",
            Self::NotInError { .. } => "not_in_error",
            Self::NoStoredInput { .. } => "no_stored_input",
            Self::InFlight { .. } => "in_flight",
            Self::Database(_) => "database",
            Self::Enqueue(_) => "enqueue",
        }
    }
}

/// Has the failed synthesis `id` written again within `tx`: it becomes pending and its job is published, or neither. Ring the
/// doorbell after the commit. Of two requests at once the later one learns the job of the earlier.
///
/// A super-synthesis that has parts is combined again and no part is written again. It need not have failed for that, if its parts have other texts by now than it was made from.
///
/// # Errors
/// Why not; see the variants.
pub async fn regenerate(
    tx: &DatabaseTransaction,
    id: SynthesisId,
    publish: &Publish,
) -> Result<Regenerated, RegenerateError> {
    match super_synthesis::lock(tx, id).await? {
        Some(plan) if plan.planning.is_some() => combine_again(tx, &plan, publish).await,
        Some(_) => write_again::<SuperSynthesis>(tx, id, publish).await,
        None => write_again::<Synthesis>(tx, id, publish).await,
    }
}

async fn combine_again(
    tx: &DatabaseTransaction,
    plan: &super_synthesis::Model,
    publish: &Publish,
) -> Result<Regenerated, RegenerateError> {
    let id = plan.id;
    // Not locked: what leads out of an error begins with the lock that is held, and dedup keys come before this row.
    let row = synthesis::by_id(tx, id).await?.ok_or(RegenerateError::NotFound(id))?;
    let parts = synthesis_link::parts_of(tx, id).await?;
    if waits_for_parts(&row, plan)
        && let Some(job) = parts.iter().filter(|part| !part.has_ended()).find_map(|part| part.job_id)
    {
        return Err(RegenerateError::InFlight { job });
    }
    refuse_in_flight(&row)?;
    if row.state != State::Error && !stale(tx, &row, &parts).await? {
        return Err(RegenerateError::NotInError { state: row.state });
    }
    let enqueued = combine(tx, id, publish).await?;
    Ok(Regenerated { job: enqueued.id, kind: Recombination::KIND })
}

/// `J` is what its stored input must be.
async fn write_again<J: Job>(
    tx: &DatabaseTransaction,
    id: SynthesisId,
    publish: &Publish,
) -> Result<Regenerated, RegenerateError> {
    let Some(row) = synthesis::lock(tx, id).await? else { return Err(no_such(tx, id).await?) };
    refuse_in_flight(&row)?;
    if row.state != State::Error {
        return Err(RegenerateError::NotInError { state: row.state });
    }
    stored_input::<J>(&row).map_err(|error| RegenerateError::NoStoredInput { reason: error.to_string() })?;
    let job = JobId::new();
    if !synthesis::reopen(tx, id, job, publish.now()).await? {
        return Err(RegenerateError::NotInError { state: row.state });
    }
    enqueue(tx, &Regeneration::of(id), &publish.clone().with_id(job)).await?;
    Ok(Regenerated { job, kind: Regeneration::KIND })
}

fn refuse_in_flight(row: &Model) -> Result<(), RegenerateError> {
    match row.job_id {
        Some(job) if row.is_in_flight() => Err(RegenerateError::InFlight { job }),
        _ => Ok(()),
    }
}

/// What the synthesis was asked for.
///
/// # Errors
/// It cannot be read, or breaks its contract.
fn stored_input<J: Job>(row: &Model) -> Result<J, PayloadError> {
    decode(J::VERSION, row.input.as_bytes())
}

async fn no_such(tx: &DatabaseTransaction, id: SynthesisId) -> Result<RegenerateError, DbErr> {
    let nodes = node::by_ids(tx, [NodeId(id.0)]).await?;
    Ok(if nodes.is_empty() { RegenerateError::NotFound(id) } else { RegenerateError::WrongType(id) })
}

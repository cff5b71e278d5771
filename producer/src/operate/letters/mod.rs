//! Replaying and discarding dead letters.
//!
//! A letter is read and checked ([`prepare`]) without a transaction; [`give_lives`] then writes in sets what becomes of many. One
//! letter goes that way at once ([`replay`]), many as a run ([`start_run`]) whose job sends them out little by little.

mod check;
mod discard;
mod error;
mod lives;
mod patch;
mod prepare;
mod run;

pub use check::{Changed, Checked, Failing, check_patch, payload_diff};
pub use discard::discard;
pub use error::ReplayError;
pub use lives::{Replayed, Why, give_lives};
pub use patch::{Patch, PatchError};
pub use prepare::{Edit, Prepared, prepare};
pub use run::{ResumeOutcome, RunRequest, Started, StopOutcome, resume_run, start_run, stop_run};

use ackord_entities::ids::DeadLetterId;
use ackord_entities::jobs::Catalogue;
use ackord_entities::queue::audit::SubjectType;
use ackord_entities::queue::dead_letter::{self, LetterState};
use chrono::{DateTime, Utc};
use sea_orm::DatabaseTransaction;

use super::Operator;

/// Gives an open letter's job another life with as many attempts as its kind allows, at once. The letter keeps the original of
/// an edited payload.
///
/// # Errors
/// [`ReplayError`]; roll the transaction back.
pub async fn replay(
    tx: &DatabaseTransaction,
    catalogue: &Catalogue,
    id: DeadLetterId,
    edit: Edit<'_>,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<Replayed, ReplayError> {
    let letter = dead_letter::find(tx, id).await?.ok_or(ReplayError::NotFound(id))?;
    if letter.state != LetterState::Open {
        return Err(ReplayError::NotOpen { id, state: letter.state, by: letter.resolved_by });
    }
    let prepared = prepare(catalogue, &letter, edit)?;
    let why = Why { operator, run: None };
    let mut lives = give_lives(tx, std::slice::from_ref(&prepared), 1, &why, now).await?;
    lives.pop().map_or(Err(ReplayError::NotFound(id)), |(_, life)| life)
}

/// What a deed on a letter is about: its job where it has one, so that the job's story tells it.
fn subject(letter: DeadLetterId, job: Option<ackord_entities::ids::JobId>) -> (SubjectType, String) {
    job.map_or_else(
        || (SubjectType::DeadLetter, letter.to_string()),
        |job| (SubjectType::Job, job.to_string()),
    )
}

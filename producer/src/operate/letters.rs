//! Replaying and discarding dead letters.

use ackord_entities::ids::{DeadLetterId, JobId};
use ackord_entities::jobs::{Catalogue, CatalogueError, KindSpec, PayloadError};
use ackord_entities::queue::audit::{self, Deed, SubjectType};
use ackord_entities::queue::dead_letter::{self, LetterState};
use ackord_entities::queue::job::{NewJob, Origin};
use ackord_entities::queue::outbox::{Cause, NewMessage};
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{dedup, job, outbox};
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};

use super::Operator;

/// A dead letter that got another life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Its job: the same as before, so the effect still happens at most once.
    pub job: JobId,
    /// The seq of its new message.
    pub seq: i32,
}

/// A letter that was not replayed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// There is no such letter.
    #[error("there is no dead letter {0}: `ackord dead-letters list` shows them")]
    NotFound(DeadLetterId),
    /// It was dealt with before.
    #[error("dead letter {id} was {state} before: only open letters can be replayed")]
    NotOpen {
        /// The letter.
        id: DeadLetterId,
        /// `replayed` or `discarded`.
        state: String,
    },
    /// Its message does not say what it is.
    #[error("the message names no kind: discard it")]
    NoKind,
    /// Its kind is not known.
    #[error(transparent)]
    UnknownKind(#[from] CatalogueError),
    /// The payload does not fit.
    #[error("{0}. Give a corrected payload with --payload")]
    Payload(#[from] PayloadError),
    /// Another unfinished job holds the dedup key.
    #[error(
        "job {holder} holds the dedup key `{key}` at the moment: wait for it or cancel it, then replay again"
    )]
    DedupKeyTaken {
        /// Who holds it.
        holder: JobId,
        /// The key.
        key: String,
    },
    /// The job is alive or done: another life would do it twice.
    #[error("job {job} is {state}: only dead jobs can be replayed. Discard this letter")]
    JobNotDead {
        /// The job.
        job: JobId,
        /// Its state.
        state: JobState,
    },
    /// The database failed.
    #[error("the replay could not be written")]
    Database(#[from] DbErr),
}

/// Gives an open letter's job another life with as many attempts as its kind allows, at once. With `edited`, the job gets
/// that payload; the letter keeps the original.
///
/// # Errors
/// [`ReplayError`]; roll the transaction back.
pub async fn replay(
    tx: &DatabaseTransaction,
    catalogue: &Catalogue,
    id: DeadLetterId,
    edited: Option<&str>,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<Replayed, ReplayError> {
    let letter = open_letter(tx, id).await?;
    let spec = catalogue.require(letter.kind.as_deref().ok_or(ReplayError::NoKind)?)?;
    let body = edited.map_or(letter.body.as_slice(), str::as_bytes);
    let version = if edited.is_some() { spec.version } else { version_of(&letter) };
    let keys = spec.check(version, body)?;
    let job = letter.job_id.unwrap_or_else(JobId::new);
    if let Some(key) = keys.dedup_key.clone() {
        let holder = dedup::take(tx, spec.kind, &key, job, ackord_entities::jobs::OnDuplicate::Drop).await?;
        if holder != job {
            return Err(ReplayError::DedupKeyTaken { holder, key });
        }
    }
    let seq = match job::find(tx, job).await? {
        Some(row) => match job::revive(tx, job, spec.max_attempts, edit(edited, spec, &keys)).await? {
            Some(seq) => seq,
            None => return Err(ReplayError::JobNotDead { job, state: row.state }),
        },
        None => make_row(tx, spec, job, version, body, &letter, keys, now).await?,
    };
    let message = NewMessage {
        job_id: job,
        kind: spec.kind.to_owned(),
        seq,
        cause: Cause::Replay,
        reason: operator.reason.clone(),
        waits_for: None,
        due_at: now,
    };
    outbox::put(tx, &[message], now).await?;
    dead_letter::resolve(tx, id, LetterState::Replayed, &operator.name, edited, now).await?;
    write(tx, "replay", &letter, operator, edited.is_some(), now).await?;
    Ok(Replayed { job, seq })
}

/// Gives an open letter up for good; the row stays until its retention ends. Answers whether it was open before.
///
/// # Errors
/// [`ReplayError::NotFound`], [`ReplayError::Database`].
pub async fn discard(
    tx: &DatabaseTransaction,
    id: DeadLetterId,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<bool, ReplayError> {
    let letter = dead_letter::lock(tx, id).await?.ok_or(ReplayError::NotFound(id))?;
    let changed = dead_letter::resolve(tx, id, LetterState::Discarded, &operator.name, None, now).await?;
    if changed {
        write(tx, "discard", &letter, operator, false, now).await?;
    }
    Ok(changed)
}

/// An edited payload has the newest shape, and brings its own subject and dedup key.
fn edit<'a>(
    edited: Option<&'a str>,
    spec: &KindSpec,
    keys: &ackord_entities::jobs::Keys,
) -> Option<job::Edit<'a>> {
    edited.map(|payload| job::Edit {
        payload,
        version: spec.version,
        subject: keys.subject.clone(),
        dedup_key: keys.dedup_key.clone(),
    })
}

async fn open_letter(tx: &DatabaseTransaction, id: DeadLetterId) -> Result<dead_letter::Model, ReplayError> {
    let letter = dead_letter::lock(tx, id).await?.ok_or(ReplayError::NotFound(id))?;
    match letter.state {
        LetterState::Open => Ok(letter),
        LetterState::Replayed => Err(ReplayError::NotOpen { id, state: "replayed".to_owned() }),
        LetterState::Discarded => Err(ReplayError::NotOpen { id, state: "discarded".to_owned() }),
    }
}

/// The version that the dead message carried.
fn version_of(letter: &dead_letter::Model) -> u16 {
    serde_json::from_str::<serde_json::Value>(&letter.headers)
        .ok()
        .and_then(|headers| headers.get(ackord_entities::envelope::VERSION_HEADER)?.as_u64())
        .and_then(|version| u16::try_from(version).ok())
        .unwrap_or(1)
}

/// A job whose row is gone, or never was: the letter has all that is needed to make one.
#[allow(clippy::too_many_arguments, reason = "one caller; a struct of eight fields would say no more")]
async fn make_row(
    tx: &DatabaseTransaction,
    spec: &KindSpec,
    id: JobId,
    version: u16,
    body: &[u8],
    letter: &dead_letter::Model,
    keys: ackord_entities::jobs::Keys,
    now: DateTime<Utc>,
) -> Result<i32, DbErr> {
    let new = NewJob {
        id,
        kind: spec.kind,
        version,
        origin: Origin::Enqueue,
        max_attempts: spec.max_attempts,
        payload: String::from_utf8_lossy(body).into_owned(),
        subject: keys.subject,
        dedup_key: keys.dedup_key,
        parent_id: None,
        traceparent: None,
    };
    job::insert(tx, &[new], now).await?;
    // Messages of its earlier life may still be about: the new one must outrank them.
    let seq = letter.seq.unwrap_or(1) + 1;
    job::raise_seq(tx, id, seq).await?;
    Ok(seq)
}

async fn write(
    tx: &DatabaseTransaction,
    verb: &str,
    letter: &dead_letter::Model,
    operator: &Operator,
    edited: bool,
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let details =
        serde_json::json!({ "dead_letter": letter.id, "job": letter.job_id, "payload_edited": edited });
    let deed = Deed {
        actor: &operator.name,
        verb,
        subject_type: if letter.job_id.is_some() { SubjectType::Job } else { SubjectType::DeadLetter },
        subject: letter.job_id.map_or_else(|| letter.id.to_string(), |job| job.to_string()),
        reason: operator.reason.as_deref(),
        details: Some(details.to_string()),
    };
    audit::record(tx, deed, now).await
}

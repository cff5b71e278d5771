//! Why a letter is not replayed.

use ackord_entities::ids::{DeadLetterId, JobId};
use ackord_entities::jobs::{CatalogueError, PayloadError};
use ackord_entities::queue::dead_letter::LetterState;
use ackord_entities::queue::state::JobState;
use sea_orm::DbErr;

use super::PatchError;

/// A letter that was not replayed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// There is no such letter.
    #[error("there is no dead letter {0}: `ackord dead-letters list` shows them")]
    NotFound(DeadLetterId),
    /// It was dealt with before.
    #[error("dead letter {id} was {state}{} before: only open letters can be replayed", whom(by.as_deref()))]
    NotOpen {
        /// The letter.
        id: DeadLetterId,
        /// What became of it.
        state: LetterState,
        /// Who did that.
        by: Option<String>,
    },
    /// Its message does not say what it is.
    #[error("the message names no kind: discard it")]
    NoKind,
    /// Its kind is not known.
    #[error(transparent)]
    UnknownKind(#[from] CatalogueError),
    /// The payload does not fit.
    #[error("{0}. Give a corrected payload with --payload, or a patch with --patch")]
    Payload(#[from] PayloadError),
    /// The patch does not fit.
    #[error(transparent)]
    Patch(#[from] PatchError),
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
    /// Two publishers used one id for jobs of two kinds, and the other kind's job came first.
    #[error("job {job} is of kind `{kind}`: this message cannot be that job. Discard this letter")]
    OtherKind {
        /// The job.
        job: JobId,
        /// Its kind.
        kind: String,
    },
    /// The database failed.
    #[error("the replay could not be written")]
    Database(#[from] DbErr),
}

fn whom(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!(" by {name}"))
}

impl ReplayError {
    /// Short stable code, for scripts and for the letters of a run.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::NotOpen { .. } => "not_open",
            Self::NoKind => "no_kind",
            Self::UnknownKind(_) => "unknown_kind",
            Self::Payload(error) => error.code(),
            Self::Patch(_) => "patch_does_not_apply",
            Self::DedupKeyTaken { .. } => "dedup_key_taken",
            Self::JobNotDead { .. } => "job_not_dead",
            Self::OtherKind { .. } => "other_kind",
            Self::Database(_) => "database",
        }
    }
}

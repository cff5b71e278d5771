//! What went wrong in a handler, and what becomes of the job.

use std::time::Duration;

use ackord_entities::database::{Fault, classify};
use ackord_entities::error_chain;
use ackord_entities::jobs::PayloadError;
use ackord_entities::queue::job::ErrorText;
use ackord_producer::EnqueueError;
use chrono::{DateTime, Utc};
use sea_orm::DbErr;

use crate::handler::Failure;

/// A handler's error. The variant decides what becomes of the job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// May pass: retried with backoff, counts as an attempt.
    #[error("{}", .0.operator)]
    Transient(Failure),
    /// May pass, but not sooner than after `wait`: as [`Transient`](Self::Transient), and the next attempt is not due before that, even
    /// where the kind's backoff is shorter. A wait of more than [`LONGEST_WAIT`] counts as that long.
    #[error("{}", .failure.operator)]
    TransientAfter {
        /// What went wrong.
        failure: Failure,
        /// What whoever was asked wants to be left alone for.
        wait: Duration,
    },
    /// Too early: a gate is closed, something is missing. Comes back later, no attempt.
    #[error("deferred: {reason}")]
    Deferred {
        /// When to come back.
        until: Until,
        /// Why, for people.
        reason: String,
    },
    /// No attempt can succeed: a dead letter at once.
    #[error("{}", .0.operator)]
    Permanent(Failure),
    /// The domain says no: what the commit half wrote is rolled back, then the failure is recorded through `abandon`.
    #[error("{}", .0.operator)]
    Failed(Failure),
    /// Our own database or broker is not there, or two transactions were in each other's way: nobody's attempt, the work is held
    /// and tried again.
    #[error("{operator}")]
    Unavailable {
        /// For operators.
        operator: String,
        /// Whether it was only a conflict (a deadlock, a serialization failure): nothing is wrong with the connection.
        conflict: bool,
    },
}

/// What a [`JobError::TransientAfter`] can ask for at most: whoever asks for longer is asked again in between.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// When a deferred job comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// At a time of the database's clock.
    At(DateTime<Utc>),
    /// After a while.
    In(Duration),
}

impl JobError {
    /// May pass. The error's chain is for operators; everybody reads `public`.
    pub fn transient(code: &str, error: &(dyn std::error::Error + 'static), public: &str) -> Self {
        Self::Transient(Failure {
            code: code.to_owned(),
            operator: error_chain(error),
            public: public.to_owned(),
        })
    }

    /// No attempt can succeed. The error's chain is for operators; everybody reads `public`.
    pub fn permanent(code: &str, error: &(dyn std::error::Error + 'static), public: &str) -> Self {
        Self::Permanent(Failure {
            code: code.to_owned(),
            operator: error_chain(error),
            public: public.to_owned(),
        })
    }

    /// Too early; come back after `wait`.
    pub fn deferred(wait: Duration, reason: impl Into<String>) -> Self {
        Self::Deferred { until: Until::In(wait), reason: reason.into() }
    }
}

impl From<DbErr> for JobError {
    fn from(error: DbErr) -> Self {
        let failure = || Failure {
            code: "database".to_owned(),
            operator: error_chain(&error),
            public: "the database refused the work".to_owned(),
        };
        match classify(&error) {
            Fault::Unavailable => Self::Unavailable { operator: error_chain(&error), conflict: false },
            Fault::Conflict => Self::Unavailable { operator: error_chain(&error), conflict: true },
            Fault::Transient => Self::Transient(failure()),
            Fault::Permanent => Self::Permanent(failure()),
        }
    }
}

impl From<PayloadError> for JobError {
    fn from(error: PayloadError) -> Self {
        Self::Permanent(Failure::new(error.code(), error.to_string()))
    }
}

impl From<EnqueueError> for JobError {
    fn from(error: EnqueueError) -> Self {
        match error {
            EnqueueError::Database(error) => error.into(),
            EnqueueError::Payload(error) => error.into(),
            error => Self::Permanent(Failure::new("enqueue", error_chain(&error))),
        }
    }
}

impl From<&Failure> for ErrorText {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code.clone(),
            operator: failure.operator.clone(),
            public: failure.public.clone(),
        }
    }
}

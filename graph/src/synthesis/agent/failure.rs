//! What can come of a call or a talk instead of an answer, and what it means for the job.

use std::time::Duration;

use async_openai::error::OpenAIError;
use sea_orm::DbErr;

use super::rejection::Rejection;
use crate::synthesis::brief::NoText;
use crate::synthesis::writer::{Trouble, WriteError};

/// The client of an endpoint cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// HTTP cannot be set up.
    #[error("the client of the model's endpoint cannot be made: does the system have certificates to trust?")]
    Http(#[from] reqwest::Error),
    /// The key cannot be sent.
    #[error("the key has characters that cannot stand in a header: correct model.api_key")]
    Key,
}

/// No work came of a talk.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is none, and asking again changes nothing.
    NoText(NoText),
    /// Something else went wrong.
    Error(WriteError),
}

impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        Self::Error(error.into())
    }
}

impl From<NoText> for Failure {
    fn from(why: NoText) -> Self {
        Self::NoText(why)
    }
}

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The endpoint did not take it.
    Rejected(Rejection),
    /// It could not be reached.
    Unreachable(String),
    /// Nothing came for too long.
    Silent(Duration),
    /// The answer broke off.
    CutOff(String),
    /// Nobody wants the answer any more.
    Stopped,
}

impl NoAnswer {
    pub(super) fn of(error: OpenAIError, silence: Duration) -> Self {
        match error {
            OpenAIError::Boxed(error) => match error.downcast::<Rejection>() {
                Ok(rejection) => Self::Rejected(*rejection),
                Err(error) => Self::Unreachable(chain(error.as_ref())),
            },
            OpenAIError::Reqwest(error) if error.is_timeout() && !error.is_connect() => Self::Silent(silence),
            OpenAIError::Reqwest(error) => Self::Unreachable(chain(&error.without_url())),
            // Its text is left out: it may be all that the server has sent.
            OpenAIError::JSONDeserialize(error, _) => {
                Self::CutOff(format!("a part of it is no JSON: {error}"))
            }
            other => Self::CutOff(other.to_string()),
        }
    }

    /// What it means for the job. Nothing here knows the key.
    pub(super) fn meaning(self) -> WriteError {
        match self {
            Self::Rejected(rejection) => rejected(&rejection),
            Self::Unreachable(why) => transient(
                "model_unreachable",
                format!("the model's endpoint cannot be reached: {why}; see model.endpoint"),
            ),
            Self::Silent(limit) => transient(
                "model_timed_out",
                format!("nothing came from the model for {} s (model.chunk_timeout)", limit.as_secs_f64()),
            ),
            Self::CutOff(why) => transient("model_cut_off", format!("the model's answer broke off: {why}")),
            Self::Stopped => WriteError::Stopped,
        }
    }
}

fn transient(code: &'static str, operator: String) -> WriteError {
    let public = "The model does not answer at the moment.";
    WriteError::Transient { trouble: Trouble { code, operator, public }, retry_after: None }
}

fn rejected(rejection: &Rejection) -> WriteError {
    let Rejection { status, said, retry_after } = rejection;
    let busy = |code, operator| {
        let public = "The model is busy or out of order at the moment.";
        WriteError::Transient { trouble: Trouble { code, operator, public }, retry_after: *retry_after }
    };
    let remedy = match status {
        429 => {
            return busy(
                "model_busy",
                format!("the model's endpoint takes no more requests for now (429): {said}"),
            );
        }
        408 | 425 | 500.. => {
            return busy("model_failed", format!("the model's endpoint failed ({status}): {said}"));
        }
        401 | 403 => "correct model.api_key",
        404 => "correct model.endpoint, or model.name",
        300..=399 => "it is elsewhere: correct model.endpoint",
        _ => "see whether model.name can call tools and takes texts of this length",
    };
    WriteError::Permanent(Trouble {
        code: "model_rejected",
        operator: format!("the model's endpoint refused the request ({status}): {remedy}; it said: {said}"),
        public: "The model is not set up as it should be. Whoever runs the system can see why.",
    })
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    ackord_entities::error_chain(error)
}

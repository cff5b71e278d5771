//! A dead letter as it is shown.

use std::fmt::Write;

use ackord_entities::ids::{DeadLetterId, JobId};
use ackord_entities::queue::dead_letter::{Group, LetterState, Model, Reason};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::Audience;

/// A dead letter without its body.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = DeadLetter))]
pub struct LetterView {
    /// The letter.
    pub id: DeadLetterId,
    /// What became of it since.
    pub state: LetterState,
    /// Why it was given up.
    pub reason: Reason,
    /// Its kind, where the message named one.
    pub kind: Option<String>,
    /// Its job, where the message named one.
    pub job_id: Option<JobId>,
    /// The message's seq.
    pub seq: Option<i32>,
    /// Code of the error behind it.
    pub error_code: String,
    /// The error: for operators with all its causes.
    pub error: String,
    /// Equal for letters that failed alike.
    pub fingerprint: String,
    /// Attempts made.
    pub attempts: i32,
    /// The queue it came from.
    pub queue: Option<String>,
    /// When the first attempt failed.
    pub first_failed_at: DateTime<Utc>,
    /// When it was given up.
    pub last_failed_at: DateTime<Utc>,
    /// When it was replayed or discarded.
    pub resolved_at: Option<DateTime<Utc>>,
    /// Who did that.
    pub resolved_by: Option<String>,
}

/// A dead letter with everything. For operators.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WholeLetter {
    /// Its head.
    #[serde(flatten)]
    pub letter: LetterView,
    /// Properties and headers of the message.
    pub headers: Value,
    /// The raw body, if it is UTF-8.
    pub body: Option<String>,
    /// The raw body in hexadecimal, if it is not.
    pub body_hex: Option<String>,
    /// The payload with which it was replayed, where that was edited.
    pub edited_payload: Option<String>,
}

/// Letters that failed alike.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = DeadLetterGroup))]
pub struct GroupView {
    /// What they have in common: kind, code, and the error without its numbers.
    pub fingerprint: String,
    /// Their kind, where their messages named one.
    pub kind: Option<String>,
    /// One error can end attempts in several ways.
    pub reasons: Vec<Reason>,
    /// Code of the error behind them.
    pub error_code: String,
    /// The error of one of them. Shown to operators.
    pub example: Option<String>,
    /// How many.
    pub letters: i64,
    /// When the first attempt of the first of them failed.
    pub first_failed_at: DateTime<Utc>,
    /// When the last of them was given up.
    pub last_failed_at: DateTime<Utc>,
}

impl LetterView {
    /// The letter as `audience` may read it.
    #[must_use]
    pub fn new(letter: Model, audience: Audience) -> Self {
        let error = audience.error(Some(&letter.error), Some(&letter.public_error)).cloned();
        Self {
            id: letter.id,
            state: letter.state,
            reason: letter.reason,
            kind: letter.kind,
            job_id: letter.job_id,
            seq: letter.seq,
            error_code: letter.error_code,
            error: error.unwrap_or_default(),
            fingerprint: letter.fingerprint,
            attempts: letter.attempts,
            queue: letter.queue,
            first_failed_at: letter.first_failed_at,
            last_failed_at: letter.last_failed_at,
            resolved_at: letter.resolved_at,
            resolved_by: letter.resolved_by,
        }
    }
}

impl From<Model> for WholeLetter {
    fn from(letter: Model) -> Self {
        let body = String::from_utf8(letter.body.clone()).ok();
        let body_hex = body.is_none().then(|| hex(&letter.body));
        Self {
            headers: serde_json::from_str(&letter.headers).unwrap_or(Value::Null),
            body,
            body_hex,
            edited_payload: letter.edited_payload.clone(),
            letter: LetterView::new(letter, Audience::Operators),
        }
    }
}

impl GroupView {
    /// The group as `audience` may read it.
    #[must_use]
    pub fn new(group: Group, audience: Audience) -> Self {
        Self {
            fingerprint: group.fingerprint,
            kind: group.kind,
            reasons: group.reasons,
            error_code: group.error_code,
            example: audience.only_operators(|| group.example),
            letters: group.letters,
            first_failed_at: group.first_failed_at,
            last_failed_at: group.last_failed_at,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_two_digits_each() {
        assert_eq!(hex(&[0, 0xff, 0x1a]), "00ff1a");
    }
}

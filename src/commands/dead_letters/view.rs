//! A dead letter as it is shown.

use std::fmt::Write;

use ackord_entities::ids::{DeadLetterId, JobId};
use ackord_entities::queue::dead_letter::{Group, LetterState, Model, Reason};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

/// A dead letter without its body. The JSON is a stable interface.
#[derive(Clone, Debug, Serialize)]
pub(super) struct LetterView {
    pub(super) id: DeadLetterId,
    pub(super) state: LetterState,
    pub(super) reason: Reason,
    pub(super) kind: Option<String>,
    pub(super) job_id: Option<JobId>,
    pub(super) seq: Option<i32>,
    pub(super) error_code: String,
    pub(super) error: String,
    /// Equal for letters that failed alike.
    pub(super) fingerprint: String,
    pub(super) attempts: i32,
    pub(super) queue: Option<String>,
    pub(super) first_failed_at: DateTime<Utc>,
    pub(super) last_failed_at: DateTime<Utc>,
    pub(super) resolved_at: Option<DateTime<Utc>>,
    pub(super) resolved_by: Option<String>,
}

/// A dead letter with everything. The JSON is a stable interface.
#[derive(Clone, Debug, Serialize)]
pub(super) struct WholeLetter {
    #[serde(flatten)]
    pub(super) letter: LetterView,
    pub(super) headers: Value,
    /// The raw body, if it is UTF-8.
    pub(super) body: Option<String>,
    /// The raw body in hexadecimal, if it is not.
    pub(super) body_hex: Option<String>,
    /// The payload with which it was replayed, where that was edited.
    pub(super) edited_payload: Option<String>,
}

impl From<Model> for LetterView {
    fn from(letter: Model) -> Self {
        Self {
            id: letter.id,
            state: letter.state,
            reason: letter.reason,
            kind: letter.kind,
            job_id: letter.job_id,
            seq: letter.seq,
            error_code: letter.error_code,
            error: letter.error,
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
            letter: letter.into(),
        }
    }
}

/// Letters that failed alike. The JSON is a stable interface.
#[derive(Clone, Debug, Serialize)]
pub(super) struct GroupView {
    pub(super) fingerprint: String,
    pub(super) kind: Option<String>,
    /// One error can end attempts in several ways.
    pub(super) reasons: Vec<Reason>,
    pub(super) error_code: String,
    /// The error of one of them.
    pub(super) example: String,
    pub(super) letters: i64,
    pub(super) first_failed_at: DateTime<Utc>,
    pub(super) last_failed_at: DateTime<Utc>,
}

impl From<Group> for GroupView {
    fn from(group: Group) -> Self {
        Self {
            fingerprint: group.fingerprint,
            kind: group.kind,
            reasons: group.reasons,
            error_code: group.error_code,
            example: group.example,
            letters: group.letters,
            first_failed_at: group.first_failed_at,
            last_failed_at: group.last_failed_at,
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The word of a letter's state.
pub(super) fn state_word(state: LetterState) -> &'static str {
    match state {
        LetterState::Open => "open",
        LetterState::Replayed => "replayed",
        LetterState::Discarded => "discarded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_two_digits_each() {
        assert_eq!(hex(&[0, 0xff, 0x1a]), "00ff1a");
    }
}

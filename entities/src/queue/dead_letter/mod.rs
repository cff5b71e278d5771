//! `dead_letters`: messages that were given up, with their cause. They stay until an operator replays or discards them.

mod filter;
mod group;
mod resolve;

pub use filter::{Filter, ids, list};
pub use group::{Group, groups};
pub use resolve::{Resolved, Standing, discard, lock, read, resolve, standings};

use std::fmt;

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseTransaction, QueryOrder};

use super::job::ErrorText;
use crate::database::without_nul;
use crate::envelope::Message;
use crate::ids::{DeadLetterId, JobId};

/// A dead letter.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dead_letters")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DeadLetterId,
    /// The job, where the message named one.
    pub job_id: Option<JobId>,
    /// The kind, where the message named one.
    pub kind: Option<String>,
    /// The message's seq.
    pub seq: Option<i32>,
    /// What became of it since.
    pub state: LetterState,
    /// Why it was given up.
    pub reason: Reason,
    /// Code of the error behind it.
    pub error_code: String,
    /// The error for operators.
    pub error: String,
    /// The error for everybody.
    pub public_error: String,
    /// Equal for letters that failed alike: kind, code and the error without its numbers.
    pub fingerprint: String,
    /// What makes the letter one letter, however often it is reported.
    #[sea_orm(unique)]
    pub message_key: String,
    /// The queue it came from.
    pub queue: Option<String>,
    /// The raw body.
    pub body: Vec<u8>,
    /// JSON: properties and headers.
    pub headers: String,
    /// Attempts made.
    pub attempts: i32,
    /// The payload with which it was replayed, where that was edited. The body stays as it was.
    pub edited_payload: Option<String>,
    /// When the first attempt failed.
    pub first_failed_at: DateTime<Utc>,
    /// When it was given up.
    pub last_failed_at: DateTime<Utc>,
    /// When it was replayed or discarded.
    pub resolved_at: Option<DateTime<Utc>>,
    /// Who did that.
    pub resolved_by: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}

/// What became of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = DeadLetterState))]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum LetterState {
    /// It waits for an operator.
    #[sea_orm(string_value = "open")]
    Open,
    /// Its job got another life.
    #[sea_orm(string_value = "replayed")]
    Replayed,
    /// An operator gave it up for good. The row stays.
    #[sea_orm(string_value = "discarded")]
    Discarded,
}

impl fmt::Display for LetterState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_value())
    }
}

/// Why a message was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = DeadLetterReason))]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The last allowed attempt failed.
    #[sea_orm(string_value = "attempts_exhausted")]
    AttemptsExhausted,
    /// The handler said that no attempt can succeed.
    #[sea_orm(string_value = "permanent")]
    Permanent,
    /// It was deferred more often than its kind allows.
    #[sea_orm(string_value = "deferred_too_long")]
    DeferredTooLong,
    /// The process died each time it ran.
    #[sea_orm(string_value = "killed_worker")]
    KilledWorker,
    /// The body is not JSON, or does not fit the kind's schema.
    #[sea_orm(string_value = "undecodable")]
    Undecodable,
    /// Nobody here knows the kind.
    #[sea_orm(string_value = "unknown_kind")]
    UnknownKind,
    /// A newer program wrote it, and none came within the hour.
    #[sea_orm(string_value = "newer_version")]
    NewerVersion,
    /// It has no message id, so its effects could not be recognised.
    #[sea_orm(string_value = "no_message_id")]
    NoMessageId,
    /// The kind takes no messages past `enqueue`.
    #[sea_orm(string_value = "not_accepted")]
    NotAccepted,
    /// It passed `enqueue`, but its job is not there: removed, or the database was restored.
    #[sea_orm(string_value = "orphaned")]
    Orphaned,
    /// Its seq is ahead of its job's: the database was restored.
    #[sea_orm(string_value = "ahead_of_row")]
    AheadOfRow,
    /// The broker handed it over too often.
    #[sea_orm(string_value = "delivery_limit")]
    DeliveryLimit,
    /// The broker dropped it for its age.
    #[sea_orm(string_value = "expired")]
    Expired,
    /// No queue wanted it.
    #[sea_orm(string_value = "unroutable")]
    Unroutable,
    /// Someone else rejected it.
    #[sea_orm(string_value = "rejected")]
    Rejected,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_value())
    }
}

/// A dead letter about to be written.
#[derive(Clone, Debug)]
pub struct NewLetter {
    /// The job, where the message named one.
    pub job_id: Option<JobId>,
    /// The message.
    pub message: Message,
    /// The queue it came from.
    pub queue: Option<String>,
    /// Why it was given up.
    pub reason: Reason,
    /// The error behind it.
    pub error: ErrorText,
    /// Attempts made.
    pub attempts: i32,
    /// When the first attempt failed.
    pub first_failed_at: Option<DateTime<Utc>>,
}

impl NewLetter {
    /// A job's message is one letter per seq. A message without a job id or a seq is one letter per content: the same bytes
    /// given up twice are kept once, and a stranger's message never takes the place of the job's own letter.
    fn message_key(&self) -> String {
        if let (Some(job), Some(seq)) = (self.job_id, self.message.seq) {
            return format!("{job}/{seq}");
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.message.message_id.as_deref().unwrap_or_default().as_bytes());
        hasher.update(&[0]);
        hasher.update(self.message.kind.as_deref().unwrap_or_default().as_bytes());
        hasher.update(&[0]);
        hasher.update(&self.message.body);
        hasher.finalize().to_hex().to_string()
    }
}

/// Equal for failures that are alike: the kind, the error's code, and its text with every run of digits and every id
/// replaced, so that `row 17 is missing` and `row 18 is missing` are one group.
#[must_use]
pub fn fingerprint(kind: &str, error: &ErrorText) -> String {
    let mut text = String::with_capacity(error.operator.len());
    for word in error.operator.split_whitespace().take(40) {
        let bare = word.trim_matches(|letter: char| !letter.is_alphanumeric());
        if Uuid::parse_str(bare).is_ok() {
            text.push('#');
        } else {
            let mut in_number = false;
            for letter in word.chars() {
                if letter.is_ascii_digit() {
                    if !in_number {
                        text.push('#');
                    }
                    in_number = true;
                } else {
                    text.push(letter);
                    in_number = false;
                }
            }
        }
        text.push(' ');
    }
    let hash = blake3::hash(format!("{kind}\0{}\0{text}", error.code).as_bytes());
    hash.to_hex()[..16].to_owned()
}

/// Writes a dead letter. One that is there already (a crash came between commit and reject, or the archive reads it again) is
/// left as it is. Answers whether it was new.
///
/// # Errors
/// Whatever the database answers.
pub async fn insert(tx: &DatabaseTransaction, letter: NewLetter, now: DateTime<Utc>) -> Result<bool, DbErr> {
    let message_key = letter.message_key();
    let kind = letter.message.kind.clone();
    let row = ActiveModel {
        id: Set(DeadLetterId::new()),
        job_id: Set(letter.job_id),
        fingerprint: Set(fingerprint(kind.as_deref().unwrap_or_default(), &letter.error)),
        kind: Set(kind.map(without_nul)),
        seq: Set(letter.message.seq),
        state: Set(LetterState::Open),
        reason: Set(letter.reason),
        error_code: Set(without_nul(letter.error.code)),
        error: Set(without_nul(letter.error.operator)),
        public_error: Set(without_nul(letter.error.public)),
        message_key: Set(message_key),
        queue: Set(letter.queue),
        headers: Set(letter.message.headers_json().to_string()),
        body: Set(letter.message.body.to_vec()),
        attempts: Set(letter.attempts),
        edited_payload: Set(None),
        first_failed_at: Set(letter.first_failed_at.unwrap_or(now)),
        last_failed_at: Set(now),
        resolved_at: Set(None),
        resolved_by: Set(None),
    };
    let on_conflict = OnConflict::column(Column::MessageKey).do_nothing().to_owned();
    match Entity::insert(row).on_conflict(on_conflict).exec_without_returning(tx).await {
        Ok(written) => Ok(written == 1),
        Err(DbErr::RecordNotInserted) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The letter of that id.
///
/// # Errors
/// Whatever the database answers.
pub async fn find(connection: &impl ConnectionTrait, id: DeadLetterId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(connection).await
}

/// The letters of a job, oldest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn of_job(connection: &impl ConnectionTrait, job: JobId) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::JobId.eq(job)).order_by_asc(Column::Id).all(connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> ErrorText {
        ErrorText { code: "missing".to_owned(), operator: text.to_owned(), public: String::new() }
    }

    #[test]
    fn failures_that_differ_in_numbers_and_ids_are_alike() {
        let first = fingerprint("order", &error("row 17 of 01890a5d-ac96-774b-bcce-b302099a8057 is missing"));
        let second =
            fingerprint("order", &error("row 1834 of 01890a5d-ac96-774b-bcce-b302099a8058 is missing"));
        assert_eq!(first, second);
        assert_ne!(first, fingerprint("order", &error("column 17 is missing")));
        assert_ne!(
            first,
            fingerprint("invoice", &error("row 17 of 01890a5d-ac96-774b-bcce-b302099a8057 is missing"))
        );
    }
}

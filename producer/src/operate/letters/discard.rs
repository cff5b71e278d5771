//! Giving letters up for good.

use ackord_entities::ids::DeadLetterId;
use ackord_entities::queue::audit::{self, Deed};
use ackord_entities::queue::dead_letter::{self, LetterState, Standing};
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};

use super::subject;
use crate::operate::Operator;

/// Gives the open ones of `ids` up for good; their rows stay until their retention ends. Answers how many were open: pressing it
/// twice changes nothing.
///
/// # Errors
/// Whatever the database answers.
pub async fn discard(
    tx: &DatabaseTransaction,
    ids: &[DeadLetterId],
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<u64, DbErr> {
    let letters = dead_letter::lock(tx, ids).await?;
    let open: Vec<&Standing> = letters.iter().filter(|letter| letter.state == LetterState::Open).collect();
    let open_ids: Vec<DeadLetterId> = open.iter().map(|letter| letter.id).collect();
    let discarded = dead_letter::discard(tx, &open_ids, &operator.name, now).await?;
    let deeds: Vec<Deed<'_>> = open.into_iter().map(|letter| deed(letter, operator)).collect();
    audit::record_all(tx, &deeds, now).await?;
    Ok(discarded)
}

fn deed<'a>(letter: &Standing, operator: &'a Operator) -> Deed<'a> {
    let (subject_type, subject) = subject(letter.id, letter.job_id);
    let details = serde_json::json!({ "dead_letter": letter.id, "job": letter.job_id });
    Deed { details: Some(details.to_string()), ..operator.deed("discard", subject_type, subject) }
}

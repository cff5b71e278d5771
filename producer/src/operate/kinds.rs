//! Pausing and resuming kinds.

use ackord_entities::queue::audit::{self, SubjectType};
use ackord_entities::queue::pause as pauses;
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};

use super::Operator;

/// Pauses a kind: workers stop taking its messages, what they perform already goes on. Answers whether it was running before.
///
/// # Errors
/// Whatever the database answers.
pub async fn pause(
    tx: &DatabaseTransaction,
    kind: &str,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let reason = operator.reason.as_deref().unwrap_or_default();
    let changed = pauses::pause(tx, kind, &operator.name, reason, now).await?;
    if changed {
        audit::record(tx, operator.deed("pause", SubjectType::Kind, kind.to_owned()), now).await?;
    }
    Ok(changed)
}

/// Resumes a kind. Answers whether it was paused before.
///
/// # Errors
/// Whatever the database answers.
pub async fn resume(
    tx: &DatabaseTransaction,
    kind: &str,
    operator: &Operator,
    now: DateTime<Utc>,
) -> Result<bool, DbErr> {
    let changed = pauses::resume(tx, kind).await?;
    if changed {
        audit::record(tx, operator.deed("resume", SubjectType::Kind, kind.to_owned()), now).await?;
    }
    Ok(changed)
}

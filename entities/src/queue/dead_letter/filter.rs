//! Which letters: for lists, groups, replays and discards alike.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveEnum, Condition, ConnectionTrait, QueryOrder, QuerySelect};
use serde::Serialize;

use super::{Column, Entity, LetterState, Model, Reason};
use crate::ids::DeadLetterId;

/// Which letters. What is not given does not narrow. As JSON it says what was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Filter {
    /// Only this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only this reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Only this code of the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Only letters from this queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Only letters that failed alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Only letters given up at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// Only letters given up before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// Only this state; `None` means all.
    #[serde(skip)]
    pub state: Option<LetterState>,
    /// Only letters older than this one: the last id of the page before.
    #[serde(skip)]
    pub before: Option<DeadLetterId>,
}

impl Filter {
    pub(super) fn condition(&self) -> Condition {
        Condition::all()
            .add_option(self.kind.as_ref().map(|kind| Column::Kind.eq(kind)))
            .add_option(self.reason.map(|reason| Column::Reason.eq(reason)))
            .add_option(self.error_code.as_ref().map(|code| Column::ErrorCode.eq(code)))
            .add_option(self.queue.as_ref().map(|queue| Column::Queue.eq(queue)))
            .add_option(self.fingerprint.as_ref().map(|fingerprint| Column::Fingerprint.eq(fingerprint)))
            .add_option(self.since.map(|since| Column::LastFailedAt.gte(since)))
            .add_option(self.until.map(|until| Column::LastFailedAt.lt(until)))
            // Written out: a prepared statement uses the index over the open ones only where it can read that they are meant.
            .add_option(self.state.map(|state| Expr::cust(format!("state = '{}'", state.to_value()))))
            .add_option(self.before.map(|before| Column::Id.lt(before)))
    }
}

/// A page of letters, newest first.
///
/// # Errors
/// Whatever the database answers.
pub async fn list(
    connection: &impl ConnectionTrait,
    filter: &Filter,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(filter.condition()).order_by_desc(Column::Id).limit(limit).all(connection).await
}

/// The ids of all letters, oldest first. An id is 16 bytes, so a million of them are no burden; bodies would be.
///
/// # Errors
/// Whatever the database answers.
pub async fn ids(connection: &impl ConnectionTrait, filter: &Filter) -> Result<Vec<DeadLetterId>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(filter.condition())
        .order_by_asc(Column::Id)
        .into_tuple()
        .all(connection)
        .await
}

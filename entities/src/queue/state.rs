//! The states of a job: stored ones, and those shown to people.

use std::fmt;

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

/// The state stored in `jobs.state`.
///
/// `pending` → `running` (hand-over kinds only) → one of the four ends. A retry, a deferral, an expired lease and a replay
/// lead back to `pending`, each with a higher seq.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for a worker, or is with one that has not committed anything yet.
    #[sea_orm(string_value = "pending")]
    Pending,
    /// Claimed by a worker that holds its lease.
    #[sea_orm(string_value = "running")]
    Running,
    /// Its effects are committed.
    #[sea_orm(string_value = "succeeded")]
    Succeeded,
    /// The domain said no, and that is recorded.
    #[sea_orm(string_value = "failed")]
    Failed,
    /// Given up; its dead letter says why.
    #[sea_orm(string_value = "dead")]
    Dead,
    /// Called off before it had an effect.
    #[sea_orm(string_value = "cancelled")]
    Cancelled,
}

impl JobState {
    /// Whether nothing more happens by itself.
    #[must_use]
    pub fn is_end(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_value())
    }
}

/// The state shown to people: the stored one, told apart by what the outbox says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = JobState))]
#[serde(rename_all = "snake_case")]
pub enum ShownState {
    /// Published for later.
    Scheduled,
    /// Failed, and waits for its next attempt.
    Retrying,
    /// Came too early: a gate is closed, a lease taken, something missing.
    Deferred,
    /// With the broker or on its way there.
    Queued,
    /// Running under a lease.
    Running,
    /// See [`JobState::Succeeded`].
    Succeeded,
    /// See [`JobState::Failed`].
    Failed,
    /// See [`JobState::Dead`].
    Dead,
    /// See [`JobState::Cancelled`].
    Cancelled,
}

impl ShownState {
    /// The shown state of a job with the given stored state and, if it has one, the cause of its outbox row and whether that
    /// row is due.
    #[must_use]
    pub fn derive(state: JobState, outbox: Option<(super::outbox::Cause, bool)>) -> Self {
        use super::outbox::Cause;
        match (state, outbox) {
            (JobState::Running, _) => Self::Running,
            (JobState::Succeeded, _) => Self::Succeeded,
            (JobState::Failed, _) => Self::Failed,
            (JobState::Dead, _) => Self::Dead,
            (JobState::Cancelled, _) => Self::Cancelled,
            (JobState::Pending, None | Some((_, true))) => Self::Queued,
            (JobState::Pending, Some((Cause::Retry | Cause::LeaseExpired, false))) => Self::Retrying,
            (JobState::Pending, Some((Cause::Deferral, false))) => Self::Deferred,
            (JobState::Pending, Some((_, false))) => Self::Scheduled,
        }
    }

    /// The stored state behind it.
    #[must_use]
    pub fn stored(self) -> JobState {
        match self {
            Self::Scheduled | Self::Retrying | Self::Deferred | Self::Queued => JobState::Pending,
            Self::Running => JobState::Running,
            Self::Succeeded => JobState::Succeeded,
            Self::Failed => JobState::Failed,
            Self::Dead => JobState::Dead,
            Self::Cancelled => JobState::Cancelled,
        }
    }
}

impl fmt::Display for ShownState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Scheduled => "scheduled",
            Self::Retrying => "retrying",
            Self::Deferred => "deferred",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        })
    }
}

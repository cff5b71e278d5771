//! What a notice says.

use std::fmt;

use ackord_entities::ids::JobId;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::broker::Notice;

/// A job has come into another state. Sent after the commit that brought it there, best effort: some may be missing, and of
/// two notices about one job the later one may come first. The higher `seq` is the newer one; of two with the same `seq`, an
/// end is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobNotice {
    /// Version of this object's shape. Fields may be added to a version; a reader ignores those that it does not know.
    #[schemars(range(min = JobNotice::VERSION, max = JobNotice::VERSION))]
    pub version: u16,
    /// The job.
    pub job_id: JobId,
    /// Its kind.
    pub kind: String,
    /// Where it stands now.
    pub state: NoticeState,
    /// Attempts that were counted so far.
    pub attempt: i32,
    /// The fence: rises with every new message of the job.
    pub seq: i32,
    /// When, by the database's clock.
    pub time: DateTime<Utc>,
    /// Why, unless all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<NoticeError>,
    /// W3C trace context of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoticeState {
    /// A worker has claimed it.
    Running,
    /// An attempt failed; the next one is to come.
    Retrying,
    /// It came too early and comes back.
    Deferred,
    /// Its worker was stopped and has put it back.
    Queued,
    /// Its effects are committed.
    Succeeded,
    /// The domain said no, and that is recorded.
    Failed,
    /// Given up; its dead letter says why.
    Dead,
    /// Called off before it had an effect.
    Cancelled,
}

/// What went wrong, for everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoticeError {
    /// Short and stable.
    pub code: String,
    /// A sentence without servers, paths, statements or secrets.
    pub text: String,
}

impl NoticeState {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 8] = [
        Self::Running,
        Self::Retrying,
        Self::Deferred,
        Self::Queued,
        Self::Succeeded,
        Self::Failed,
        Self::Dead,
        Self::Cancelled,
    ];
}

impl fmt::Display for NoticeState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Deferred => "deferred",
            Self::Queued => "queued",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        })
    }
}

impl JobNotice {
    /// The version of the shape above.
    pub const VERSION: u16 = 1;

    /// `job.<kind>.<state>`: what listeners bind by.
    #[must_use]
    pub fn routing_key(&self) -> String {
        format!("job.{}.{}", self.kind, self.state)
    }

    /// As the broker takes it.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn notice(&self) -> serde_json::Result<Notice> {
        Ok(Notice { routing_key: self.routing_key(), body: serde_json::to_vec(self)?.into() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_state_is_spelt_alike_in_keys_and_in_bodies() {
        for state in NoticeState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.to_string());
        }
    }

    #[test]
    fn listeners_bind_by_kind_and_state() {
        let notice = JobNotice {
            version: JobNotice::VERSION,
            job_id: JobId::new(),
            kind: "order".to_owned(),
            state: NoticeState::Dead,
            attempt: 5,
            seq: 6,
            time: ackord_entities::clock::machine_now(),
            error: Some(NoticeError { code: "timed_out".to_owned(), text: "took too long".to_owned() }),
            traceparent: None,
        };
        let sent = notice.notice().unwrap();
        assert_eq!(sent.routing_key, "job.order.dead");
        assert_eq!(serde_json::from_slice::<JobNotice>(&sent.body).unwrap(), notice);
    }
}

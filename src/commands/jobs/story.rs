//! Everything that is known about one job.

use ackord_entities::database::Database;
use ackord_entities::ids::{DeadLetterId, JobId};
use ackord_entities::queue::attempt::{self, Outcome};
use ackord_entities::queue::dead_letter::{self, LetterState, Reason as DeathReason};
use ackord_entities::queue::job::{self, Filter};
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{audit, lease, outbox, pause};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::timeline::{Event, timeline};
use super::view::{ErrorView, JobView, json_or_text};
use super::why::{Circumstances, Reason, why_not_running};
use crate::lock;
use crate::session::sqlite_file;

/// Follow-up jobs that a story tells of at most.
const FOLLOW_UPS: u64 = 100;

/// The whole story of a job. The JSON is a stable interface.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Story {
    pub(crate) job: JobView,
    /// Empty when it runs or has ended.
    pub(crate) why_not_running: Vec<Reason>,
    pub(crate) timeline: Vec<Event>,
    pub(crate) attempts: Vec<AttemptView>,
    pub(crate) parent: Option<JobView>,
    /// The newest first, one hundred at most.
    pub(crate) follow_ups: Vec<JobView>,
    pub(crate) dead_letters: Vec<LetterBrief>,
    /// The lease under which it runs.
    pub(crate) lease: Option<LeaseView>,
    pub(crate) payload: Value,
    pub(crate) payload_version: i32,
    pub(crate) traceparent: Option<String>,
    /// When the story was read.
    pub(crate) at: DateTime<Utc>,
}

/// One try.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AttemptView {
    pub(crate) attempt: i32,
    pub(crate) seq: i32,
    pub(crate) worker: String,
    pub(crate) outcome: Outcome,
    pub(crate) error: Option<ErrorView>,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) ended_at: Option<DateTime<Utc>>,
}

/// A dead letter of the job.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LetterBrief {
    pub(crate) id: DeadLetterId,
    pub(crate) state: LetterState,
    pub(crate) reason: DeathReason,
    pub(crate) seq: Option<i32>,
    pub(crate) error: String,
}

/// A lease that the job holds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LeaseView {
    pub(crate) key: String,
    pub(crate) term: i64,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

impl Story {
    /// Reads the story of a job; `None` if there is no such job.
    ///
    /// # Errors
    /// Whatever the database answers.
    pub(crate) async fn read(database: &Database, id: JobId) -> anyhow::Result<Option<Self>> {
        let read = database.read();
        let Some(row) = job::find(read, id).await? else { return Ok(None) };
        let now = database.clock().now(read).await?;
        let message = outbox::of_jobs(read, &[id]).await?.pop();
        let attempts = attempt::of_job(read, id).await?;
        let letters = dead_letter::of_job(read, id).await?;
        let deeds = audit::of_subject(read, &id.to_string()).await?;
        let runs_under = lease::find(read, &lease::run_key(id)).await?;
        let why_not_running = Self::why(database, &row, message.as_ref(), runs_under.as_ref(), now).await?;
        let children = Filter { parent: Some(id), ..Filter::default() };
        let follow_ups = job::list(read, &children, FOLLOW_UPS).await?;
        let parent = match row.parent_id {
            Some(parent) => job::find(read, parent).await?,
            None => None,
        };
        Ok(Some(Self {
            job: JobView::new(&row, message.as_ref(), now),
            why_not_running,
            timeline: timeline(&row, &attempts, &letters, &deeds),
            attempts: attempts.into_iter().map(attempt_view).collect(),
            parent: JobView::of_all(database, parent.as_slice(), now).await?.pop(),
            follow_ups: JobView::of_all(database, &follow_ups, now).await?,
            dead_letters: letters.into_iter().map(letter_brief).collect(),
            lease: runs_under.filter(|lease| lease.owner == Some(id)).map(lease_view),
            payload: json_or_text(&row.payload),
            payload_version: row.version,
            traceparent: row.traceparent,
            at: now,
        }))
    }

    async fn why(
        database: &Database,
        row: &job::Model,
        message: Option<&outbox::Model>,
        runs_under: Option<&lease::Model>,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Vec<Reason>> {
        if !matches!(row.state, JobState::Pending | JobState::Running) {
            return Ok(Vec::new());
        }
        let paused = pause::all(database.read()).await?;
        let waits_for = match message.and_then(|message| message.waits_for.as_deref()) {
            Some(key) => lease::find(database.read(), key).await?,
            None => None,
        };
        Ok(why_not_running(&Circumstances {
            job: row,
            message,
            paused: paused.iter().find(|pause| pause.kind == row.kind),
            waits_for: waits_for.as_ref(),
            runs_under,
            worker: sqlite_file(database).map(|path| lock::holder(path).is_some()),
            now,
        }))
    }
}

fn attempt_view(attempt: attempt::Model) -> AttemptView {
    AttemptView {
        attempt: attempt.attempt,
        seq: attempt.seq,
        error: ErrorView::of(attempt.error_code.as_ref(), attempt.error.as_ref()),
        worker: attempt.worker,
        outcome: attempt.outcome,
        started_at: attempt.started_at,
        ended_at: attempt.ended_at,
    }
}

fn letter_brief(letter: dead_letter::Model) -> LetterBrief {
    LetterBrief {
        id: letter.id,
        state: letter.state,
        reason: letter.reason,
        seq: letter.seq,
        error: letter.error,
    }
}

fn lease_view(lease: lease::Model) -> LeaseView {
    LeaseView { key: lease.lease_key, term: lease.term, expires_at: lease.expires_at }
}

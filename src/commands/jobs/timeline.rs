//! What happened to a job, in the order in which it happened.

use ackord_entities::queue::attempt::{self, Outcome};
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{audit, dead_letter, job};
use chrono::{DateTime, Utc};
use sea_orm::ActiveEnum;
use serde::Serialize;

/// One event. The codes are a stable interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Event {
    pub(crate) at: DateTime<Utc>,
    /// `published`, `attempt_started`, `attempt_<outcome>`, `dead_letter`, `called_off`, `succeeded`, `failed`, `dead`,
    /// `cancelled`, or an operator's verb.
    pub(crate) what: String,
    pub(crate) text: String,
}

/// All that was recorded about a job.
pub(super) fn timeline(
    job: &job::Model,
    attempts: &[attempt::Model],
    letters: &[dead_letter::Model],
    deeds: &[audit::Model],
) -> Vec<Event> {
    let mut events = vec![published(job)];
    events.extend(attempts.iter().flat_map(of_attempt));
    // An attempt that simply succeeds leaves its start on the job's row only.
    let newest = job.started_at.filter(|start| attempts.iter().all(|attempt| attempt.started_at < *start));
    events.extend(newest.map(|at| event(at, "attempt_started", format!("attempt {} started", job.attempt))));
    events.extend(letters.iter().map(given_up));
    events.extend(deeds.iter().map(done_by_operator));
    events.extend(end(job));
    events.sort_by_key(|event| event.at);
    events
}

fn event(at: DateTime<Utc>, what: &str, text: impl Into<String>) -> Event {
    Event { at, what: what.to_owned(), text: text.into() }
}

fn published(job: &job::Model) -> Event {
    let by = match (job.parent_id, job.origin) {
        (Some(parent), _) => format!("published by job {parent}"),
        (None, job::Origin::Enqueue) => "published".to_owned(),
        (None, job::Origin::Direct) => "published straight over the broker".to_owned(),
    };
    event(job.created_at, "published", by)
}

fn of_attempt(attempt: &attempt::Model) -> Vec<Event> {
    let number = attempt.attempt;
    let mut events = vec![event(
        attempt.started_at,
        "attempt_started",
        format!("attempt {number} started on {}", attempt.worker),
    )];
    let Some(ended) = attempt.ended_at else { return events };
    let why = match (&attempt.error, &attempt.error_code) {
        (Some(error), Some(code)) => format!(": {error} ({code})"),
        (Some(error), None) => format!(": {error}"),
        _ => String::new(),
    };
    let how = match attempt.outcome {
        Outcome::Running => "goes on",
        Outcome::Succeeded => "succeeded",
        Outcome::Failed => "ended with a recorded failure",
        Outcome::Errored => "failed",
        Outcome::TimedOut => "took too long",
        Outcome::Panicked => "panicked",
        Outcome::Lost => "was lost with its worker",
        Outcome::Cancelled => "was called off",
        Outcome::Deferred => "came too early and is not counted",
        Outcome::HandedBack => "was handed back by a worker that stopped, and is not counted",
    };
    let what = format!("attempt_{}", attempt.outcome.to_value());
    events.push(event(ended, &what, format!("attempt {number} {how}{why}")));
    events
}

fn given_up(letter: &dead_letter::Model) -> Event {
    let text = format!("given up as dead letter {} ({}): {}", letter.id, letter.reason, letter.error);
    event(letter.last_failed_at, "dead_letter", text)
}

fn done_by_operator(deed: &audit::Model) -> Event {
    let why = deed.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
    event(deed.at, &deed.verb, format!("{} by {}{why}", deed.verb, deed.actor))
}

fn end(job: &job::Model) -> Option<Event> {
    let at = job.finished_at?;
    let why = match (&job.error, &job.error_code) {
        (Some(error), Some(code)) => format!(": {error} ({code})"),
        _ => String::new(),
    };
    Some(event(at, &job.state.to_value(), format!("the job {}{why}", ended_as(job.state))))
}

fn ended_as(state: JobState) -> String {
    match state {
        JobState::Cancelled => "is cancelled".to_owned(),
        JobState::Dead => "is dead".to_owned(),
        state => state.to_string(),
    }
}

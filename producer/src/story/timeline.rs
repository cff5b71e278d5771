//! What happened to a job, in the order in which it happened.

use ackord_entities::queue::attempt::{self, Outcome};
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{audit, dead_letter, job};
use chrono::{DateTime, Utc};
use sea_orm::ActiveEnum;
use serde::Serialize;

use super::Audience;
use super::schedule::ScheduledBy;

/// One event. The codes are a stable interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = TimelineEvent))]
pub struct Event {
    /// When.
    pub at: DateTime<Utc>,
    /// `published`, `attempt_started`, `attempt_<outcome>`, `dead_letter`, `called_off`, `succeeded`, `failed`, `dead`,
    /// `cancelled`, or an operator's verb.
    pub what: String,
    /// For people.
    pub text: String,
}

/// All that was recorded about a job.
pub(super) fn timeline(
    job: &job::Model,
    schedule: Option<&ScheduledBy>,
    attempts: &[attempt::Model],
    letters: &[dead_letter::Model],
    deeds: &[audit::Model],
    audience: Audience,
) -> Vec<Event> {
    let mut events = vec![published(job, schedule)];
    events.extend(attempts.iter().flat_map(|attempt| of_attempt(attempt, audience)));
    // An attempt that simply succeeds leaves its start on the job's row only.
    let newest = job.started_at.filter(|start| attempts.iter().all(|attempt| attempt.started_at < *start));
    events.extend(newest.map(|at| event(at, "attempt_started", format!("attempt {} started", job.attempt))));
    events.extend(letters.iter().map(|letter| given_up(letter, audience)));
    events.extend(deeds.iter().map(done_by_operator));
    events.extend(end(job, audience));
    events.sort_by_key(|event| event.at);
    events
}

fn event(at: DateTime<Utc>, what: &str, text: impl Into<String>) -> Event {
    Event { at, what: what.to_owned(), text: text.into() }
}

fn published(job: &job::Model, schedule: Option<&ScheduledBy>) -> Event {
    let by = match (schedule, job.parent_id, job.origin) {
        (Some(schedule), ..) => format!("published by {}", schedule.sentence()),
        (None, Some(parent), _) => format!("published by job {parent}"),
        (None, None, job::Origin::Enqueue) => "published".to_owned(),
        (None, None, job::Origin::Direct) => "published straight over the broker".to_owned(),
    };
    event(job.created_at, "published", by)
}

fn of_attempt(attempt: &attempt::Model, audience: Audience) -> Vec<Event> {
    let number = attempt.attempt;
    let mut events = vec![event(
        attempt.started_at,
        "attempt_started",
        match audience {
            Audience::Operators => format!("attempt {number} started on {}", attempt.worker),
            Audience::Everybody => format!("attempt {number} started"),
        },
    )];
    let Some(ended) = attempt.ended_at else { return events };
    let error = audience.error(attempt.error.as_ref(), attempt.public_error.as_ref());
    let why = because(error, attempt.error_code.as_ref());
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

fn given_up(letter: &dead_letter::Model, audience: Audience) -> Event {
    let error = audience.error(Some(&letter.error), Some(&letter.public_error));
    let text = format!("given up as dead letter {} ({}){}", letter.id, letter.reason, because(error, None));
    event(letter.last_failed_at, "dead_letter", text)
}

fn done_by_operator(deed: &audit::Model) -> Event {
    let why = deed.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
    event(deed.at, &deed.verb, format!("{} by {}{why}", deed.verb, deed.actor))
}

fn end(job: &job::Model, audience: Audience) -> Option<Event> {
    let at = job.finished_at?;
    let error = audience.error(job.error.as_ref(), job.public_error.as_ref());
    let why = because(error, job.error_code.as_ref());
    Some(event(at, &job.state.to_value(), format!("the job {}{why}", ended_as(job.state))))
}

fn because(error: Option<&String>, code: Option<&String>) -> String {
    match (error, code) {
        (Some(error), Some(code)) => format!(": {error} ({code})"),
        (Some(error), None) => format!(": {error}"),
        (None, Some(code)) => format!(" ({code})"),
        (None, None) => String::new(),
    }
}

fn ended_as(state: JobState) -> String {
    match state {
        JobState::Cancelled => "is cancelled".to_owned(),
        JobState::Dead => "is dead".to_owned(),
        state => state.to_string(),
    }
}

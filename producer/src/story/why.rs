//! Why a job is not running.

use ackord_entities::queue::job::Model;
use ackord_entities::queue::outbox::Cause;
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{lease, outbox, pause};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Audience;
use super::words::{ago, moment};

/// What is known about a job that has not ended.
#[derive(Clone, Debug)]
pub(super) struct Circumstances<'a> {
    pub(super) job: &'a Model,
    pub(super) message: Option<&'a outbox::Model>,
    pub(super) paused: Option<&'a pause::Model>,
    /// The lease whose freeing makes its message due.
    pub(super) waits_for: Option<&'a lease::Model>,
    /// The lease under which it runs.
    pub(super) runs_under: Option<&'a lease::Model>,
    /// Whether a worker runs on this database; `None` where that cannot be seen.
    pub(super) worker: Option<bool>,
    pub(super) audience: Audience,
    pub(super) now: DateTime<Utc>,
}

/// One reason. The codes are a stable interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = WhyNotRunning))]
pub struct Reason {
    /// `scheduled`, `retrying`, `deferred`, `waits_for_lease`, `refused_by_broker`, `unanswered_by_broker`, `sending`, `with_broker`,
    /// `paused`, `no_worker`, `called_off`, `lease_expired`.
    pub code: &'static str,
    /// For people.
    pub text: String,
}

/// Why the job is not running, the nearest reason first. Empty for one that runs or has ended.
pub(super) fn why_not_running(about: &Circumstances<'_>) -> Vec<Reason> {
    let reasons = match about.job.state {
        JobState::Pending => [
            called_off(about),
            waits_for_lease(about),
            waits_for_time(about),
            waits_for_broker(about),
            paused(about),
            no_worker(about),
        ],
        JobState::Running => [called_off(about), lease_expired(about), no_worker(about), None, None, None],
        JobState::Succeeded | JobState::Failed | JobState::Dead | JobState::Cancelled => {
            return Vec::new();
        }
    };
    reasons.into_iter().flatten().collect()
}

#[allow(clippy::unnecessary_wraps, reason = "every reason of the list above is an option")]
fn reason(code: &'static str, text: impl Into<String>) -> Option<Reason> {
    Some(Reason { code, text: text.into() })
}

fn called_off(about: &Circumstances<'_>) -> Option<Reason> {
    let since = about.job.cancel_requested_at?;
    reason(
        "called_off",
        format!("called off {}: the worker that gets its message ends it", ago(since, about.now)),
    )
}

fn waits_for_lease(about: &Circumstances<'_>) -> Option<Reason> {
    let key = about.message?.waits_for.as_deref()?;
    match about.waits_for {
        Some(lease::Model { owner: Some(owner), expires_at: Some(until), .. }) => reason(
            "waits_for_lease",
            format!(
                "waits for the lease `{key}`, which job {owner} holds until {} unless it renews",
                moment(*until)
            ),
        ),
        _ => reason("waits_for_lease", format!("waits for the lease `{key}`, which is free now")),
    }
}

fn waits_for_time(about: &Circumstances<'_>) -> Option<Reason> {
    let message = about.message.filter(|message| message.due_at > about.now)?;
    let when = format!("{} ({})", moment(message.due_at), ago(message.due_at, about.now));
    match message.cause {
        Cause::Retry => reason(
            "retrying",
            format!(
                "attempt {} of {} failed, the next one starts at {when}{}",
                about.job.attempt,
                about.job.max_attempts,
                because(about)
            ),
        ),
        Cause::LeaseExpired => {
            reason("retrying", format!("its worker was lost, the next attempt starts at {when}"))
        }
        Cause::Deferral => {
            let why = about.audience.only_operators(|| message.reason.as_deref()).flatten();
            let why = why.unwrap_or("it came too early");
            reason("deferred", format!("deferred until {when}: {why}"))
        }
        Cause::Publish | Cause::Replay | Cause::HandedBack | Cause::Reconcile => {
            reason("scheduled", format!("scheduled for {when}"))
        }
    }
}

fn because(about: &Circumstances<'_>) -> String {
    let error = about.audience.error(about.job.error.as_ref(), about.job.public_error.as_ref());
    match (&about.job.error_code, error) {
        (Some(code), Some(error)) => format!(" because: {error} ({code})"),
        _ => String::new(),
    }
}

fn waits_for_broker(about: &Circumstances<'_>) -> Option<Reason> {
    let Some(message) = about.message else {
        return reason("with_broker", "its message is with the broker, or a worker is at it this moment");
    };
    if message.sends > 0 {
        let said = about.audience.only_operators(|| message.last_error.as_deref()).flatten();
        let said = said.unwrap_or("it did not say why");
        return reason(
            "refused_by_broker",
            format!("the broker refused its message {} times, last because: {said}", message.sends),
        );
    }
    if message.due_at > about.now {
        return None;
    }
    if let Some(said) = &message.last_error {
        return reason(
            "unanswered_by_broker",
            match about.audience {
                Audience::Operators => format!("its message is sent again when the broker answers: {said}"),
                Audience::Everybody => "its message is sent again when the broker answers".to_owned(),
            },
        );
    }
    reason("sending", "its message is about to be sent to the broker")
}

fn paused(about: &Circumstances<'_>) -> Option<Reason> {
    let pause = about.paused?;
    let why = if pause.reason.is_empty() { String::new() } else { format!(": {}", pause.reason) };
    reason(
        "paused",
        format!(
            "the kind `{kind}` is paused by {} since {}{why}; `ackord resume {kind}` lets it go on",
            pause.paused_by,
            moment(pause.paused_at),
            kind = pause.kind
        ),
    )
}

fn no_worker(about: &Circumstances<'_>) -> Option<Reason> {
    if about.worker == Some(false) {
        return reason("no_worker", "no worker runs on this database: start one with `ackord up`");
    }
    None
}

fn lease_expired(about: &Circumstances<'_>) -> Option<Reason> {
    let until = about.runs_under?.expires_at.filter(|until| *until <= about.now)?;
    reason(
        "lease_expired",
        format!(
            "its worker has not renewed its lease since {}: it is put back within seconds of a worker's start",
            ago(until, about.now)
        ),
    )
}

#[cfg(test)]
mod tests {
    use ackord_entities::ids::JobId;
    use ackord_entities::queue::job::Origin;
    use chrono::TimeDelta;

    use super::*;

    fn job(state: JobState) -> Model {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        Model {
            id: JobId::new(),
            kind: "order".to_owned(),
            version: 1,
            state,
            seq: 2,
            origin: Origin::Enqueue,
            attempt: 1,
            max_attempts: 5,
            deferrals: 0,
            payload: "{}".to_owned(),
            subject: None,
            dedup_key: None,
            parent_id: None,
            traceparent: None,
            error_code: Some("refused".to_owned()),
            error: Some("the server said no".to_owned()),
            public_error: None,
            result: None,
            cancel_requested_at: None,
            created_at: now,
            started_at: None,
            finished_at: None,
        }
    }

    fn message(cause: Cause, due_in: i64) -> outbox::Model {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        outbox::Model {
            job_id: JobId::new(),
            kind: "order".to_owned(),
            seq: 2,
            cause,
            reason: Some("the gate is closed".to_owned()),
            waits_for: None,
            due_at: now + TimeDelta::seconds(due_in),
            sends: 0,
            last_error: None,
            created_at: now,
        }
    }

    fn reasons(job: &Model, message: Option<&outbox::Model>, worker: Option<bool>) -> Vec<Reason> {
        why_not_running(&Circumstances {
            job,
            message,
            paused: None,
            waits_for: None,
            runs_under: None,
            worker,
            audience: Audience::Operators,
            now: DateTime::<Utc>::UNIX_EPOCH,
        })
    }

    fn codes(reasons: &[Reason]) -> Vec<&str> {
        reasons.iter().map(|reason| reason.code).collect()
    }

    #[test]
    fn a_waiting_message_says_for_what_it_waits() {
        let job = job(JobState::Pending);
        let told = reasons(&job, Some(&message(Cause::Retry, 60)), Some(true));
        assert_eq!(codes(&told), ["retrying"]);
        assert!(
            told[0].text.contains("attempt 1 of 5") && told[0].text.contains("the server said no"),
            "{told:?}"
        );
        let told = reasons(&job, Some(&message(Cause::Deferral, 60)), None);
        assert_eq!(codes(&told), ["deferred"]);
        assert!(told[0].text.contains("the gate is closed"), "{told:?}");
        assert_eq!(codes(&reasons(&job, Some(&message(Cause::Publish, 60)), None)), ["scheduled"]);
        assert_eq!(codes(&reasons(&job, Some(&message(Cause::Publish, 0)), None)), ["sending"]);
        assert_eq!(codes(&reasons(&job, None, None)), ["with_broker"]);
    }

    #[test]
    fn a_missing_worker_is_named_beside_the_nearer_reason() {
        let told = reasons(&job(JobState::Pending), Some(&message(Cause::Publish, 0)), Some(false));
        assert_eq!(codes(&told), ["sending", "no_worker"]);
    }

    #[test]
    fn a_refusal_of_the_broker_is_told_while_the_message_waits() {
        let mut message = message(Cause::Publish, 3);
        message.sends = 2;
        message.last_error = Some("no queue is bound".to_owned());
        let told = reasons(&job(JobState::Pending), Some(&message), None);
        assert!(
            told.iter().any(|one| one.code == "refused_by_broker" && one.text.contains("no queue")),
            "{told:?}"
        );
    }

    #[test]
    fn a_message_that_the_broker_did_not_answer_for_is_told_apart_from_a_refused_one() {
        let mut message = message(Cause::Publish, 0);
        message.last_error = Some("its queue may have no leader".to_owned());
        let told = reasons(&job(JobState::Pending), Some(&message), None);
        assert_eq!(codes(&told), ["unanswered_by_broker"]);
        assert!(told[0].text.contains("no leader"), "{told:?}");
    }

    #[test]
    fn a_held_lease_and_a_pause_are_told_with_their_holder() {
        let job = job(JobState::Pending);
        let mut message = message(Cause::Deferral, 3600);
        message.waits_for = Some("graph:default".to_owned());
        let holder = JobId::new();
        let lease = lease::Model {
            lease_key: "graph:default".to_owned(),
            owner: Some(holder),
            term: 3,
            expires_at: Some(DateTime::<Utc>::UNIX_EPOCH),
        };
        let paused = pause::Model {
            kind: "order".to_owned(),
            paused_at: DateTime::<Utc>::UNIX_EPOCH,
            paused_by: "ada".to_owned(),
            reason: "stocktaking".to_owned(),
        };
        let told = why_not_running(&Circumstances {
            job: &job,
            message: Some(&message),
            paused: Some(&paused),
            waits_for: Some(&lease),
            runs_under: None,
            worker: None,
            audience: Audience::Operators,
            now: DateTime::<Utc>::UNIX_EPOCH,
        });
        assert_eq!(codes(&told), ["waits_for_lease", "deferred", "paused"]);
        assert!(told[0].text.contains(&holder.to_string()), "{told:?}");
        assert!(told[2].text.contains("ada") && told[2].text.contains("stocktaking"), "{told:?}");
    }

    #[test]
    fn a_job_that_runs_or_has_ended_has_no_reason() {
        assert!(reasons(&job(JobState::Running), None, Some(true)).is_empty());
        assert!(reasons(&job(JobState::Dead), None, Some(false)).is_empty());
    }
}

//! What operators do to jobs, dead letters, kinds and schedules. Every verb is one transaction, may be pressed twice without harm, and is
//! written to the audit: who, when, why.

mod jobs;
mod kinds;
mod letters;
mod schedules;
mod sync;
mod tokens;

pub use jobs::{CancelOutcome, RetryOutcome, cancel, retry_now};
pub use kinds::{pause, resume};
pub use letters::{
    Changed, Checked, Edit, Failing, Patch, PatchError, Prepared, ReplayError, Replayed, ResumeOutcome,
    RunRequest, Started, StopOutcome, Why, check_patch, discard, give_lives, payload_diff, prepare, replay,
    resume_run, start_run, stop_run,
};
pub use schedules::{
    ScheduleError, ScheduleSet, ScheduleWish, enable_schedule, fire_schedule, remove_schedule, set_schedule,
};
pub use sync::{discard_failures, requeue_failures, set_sync_provider};
pub use tokens::{Secret, TokenRequest, create_token, revoke_token};

use ackord_entities::queue::audit::{Deed, SubjectType};

/// Who does it, and why.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Who: a user name, a token's name.
    pub name: String,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

impl Operator {
    /// What the audit is told of the operator's doing `verb` to `subject`.
    fn deed<'a>(&'a self, verb: &'a str, subject_type: SubjectType, subject: String) -> Deed<'a> {
        Deed { actor: &self.name, verb, subject_type, subject, reason: self.reason.as_deref(), details: None }
    }
}

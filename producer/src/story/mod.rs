//! What is known about jobs, dead letters and schedules, as people and programs read it: the command line and the HTTP API show the same.
//! The JSON of everything here is a stable interface.

mod job;
mod letter;
mod model;
mod run;
mod schedule;
mod sync;
mod timeline;
mod token;
mod whole;
mod why;
mod words;

pub use job::{ErrorView, JobView};
pub use letter::{GroupView, LetterView, WholeLetter};
pub use model::{AttemptUse, ModelCallView, ModelSum, ModelUse};
pub use run::{JobCounts, LeftBehind, LetterCounts, RunView, StepView, Stop};
pub use schedule::{NextTick, ScheduleView, ScheduledBy, TickView, WholeSchedule, next_ticks};
pub use sync::{
    CycleView, FailureState, FailureView, HeldRows, OutcomeView, ResolutionView, SyncStatus, SyncStory,
    TableView,
};
pub use timeline::Event;
pub use token::TokenView;
pub use whole::{AttemptView, LeaseView, LetterBrief, Story};
pub use why::Reason;
pub use words::{ago, clock_time, length, moment};

/// Who reads. What an error says depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Whoever looks after the system: errors with all their causes, payloads, names of machines.
    Operators,
    /// Everybody else: nothing that names a server, a path or a statement, and no payload.
    Everybody,
}

impl Audience {
    /// The text of an error for this audience.
    fn error<'t>(self, operator: Option<&'t String>, public: Option<&'t String>) -> Option<&'t String> {
        match self {
            Self::Operators => operator,
            Self::Everybody => public.filter(|text| !text.is_empty()),
        }
    }

    /// What only operators may read.
    fn only_operators<T>(self, what: impl FnOnce() -> T) -> Option<T> {
        (self == Self::Operators).then(what)
    }
}

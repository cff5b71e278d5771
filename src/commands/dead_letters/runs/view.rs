//! A replay run as it is shown.

use std::fmt::Write;

use ackord_entities::database::Database;
use ackord_entities::ids::{DeadLetterId, JobId, ReplayRunId};
use ackord_entities::queue::replay_letter::{self, RunLetterState, Step};
use ackord_entities::queue::replay_run::{self, Model, RunState};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::no_such_run;
use crate::exit::Exit;
use crate::terminal::{Column, ago, bad, bold, dim, good, moment, table, waiting};

/// Letters that did not go out, as far as they are shown.
const LEFT_BEHIND: u64 = 20;

/// A run. The JSON is a stable interface.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RunView {
    pub(crate) id: ReplayRunId,
    pub(crate) state: RunState,
    /// Why it was stopped.
    pub(crate) stop: Option<Stop>,
    pub(crate) letters: Letters,
    pub(crate) jobs: Jobs,
    pub(crate) steps: Vec<StepView>,
    /// The first letters that did not go out, and why.
    pub(crate) left_behind: Vec<LeftBehind>,
    /// Percentage of a step that may fail again.
    pub(crate) tolerate: i32,
    pub(crate) selection: Value,
    pub(crate) patch: Option<Value>,
    /// The job that works on it, or did so last.
    pub(crate) job_id: JobId,
    pub(crate) reason: Option<String>,
    pub(crate) created_by: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) ended_at: Option<DateTime<Utc>>,
}

/// Why a run was stopped.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Stop {
    pub(crate) code: String,
    pub(crate) cause: String,
}

/// The letters of its frozen set.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Letters {
    pub(crate) total: i64,
    /// Their turn has not come.
    pub(crate) waiting: i64,
    /// Their jobs got another life.
    pub(crate) replayed: i64,
    /// They cannot be replayed as they are, and are still open.
    pub(crate) refused: i64,
    /// Somebody else dealt with them.
    pub(crate) skipped: i64,
}

/// The jobs that got another life.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Jobs {
    pub(crate) unfinished: i64,
    pub(crate) succeeded: i64,
    /// Dead or failed.
    pub(crate) failed_again: i64,
    pub(crate) cancelled: i64,
    /// Ended so long ago that their rows are gone.
    pub(crate) removed: i64,
}

/// One step of the ramp.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct StepView {
    /// From 1.
    pub(crate) step: i32,
    pub(crate) replayed: i64,
    #[serde(flatten)]
    pub(crate) jobs: Jobs,
}

/// A letter that did not go out.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LeftBehind {
    pub(crate) id: DeadLetterId,
    pub(crate) state: RunLetterState,
    pub(crate) code: Option<String>,
    pub(crate) note: Option<String>,
}

impl From<&Step> for Jobs {
    fn from(step: &Step) -> Self {
        Self {
            unfinished: step.unfinished,
            succeeded: step.succeeded,
            failed_again: step.failed_again,
            cancelled: step.cancelled,
            removed: step.removed,
        }
    }
}

impl Jobs {
    fn and(self, other: Self) -> Self {
        Self {
            unfinished: self.unfinished + other.unfinished,
            succeeded: self.succeeded + other.succeeded,
            failed_again: self.failed_again + other.failed_again,
            cancelled: self.cancelled + other.cancelled,
            removed: self.removed + other.removed,
        }
    }
}

impl RunView {
    /// The run of that id.
    ///
    /// # Errors
    /// There is none; whatever the database answers.
    pub(crate) async fn of(database: &Database, id: ReplayRunId) -> anyhow::Result<Self> {
        let run = replay_run::find(database.read(), id).await?.ok_or_else(|| no_such_run(id))?;
        Self::read(database, run).await
    }

    pub(super) async fn read(database: &Database, run: Model) -> anyhow::Result<Self> {
        let read = database.read();
        let mut letters = Letters { total: i64::from(run.total), ..Letters::default() };
        for (state, count) in replay_letter::count(read, run.id).await? {
            *match state {
                RunLetterState::Waiting => &mut letters.waiting,
                RunLetterState::Replayed => &mut letters.replayed,
                RunLetterState::Refused => &mut letters.refused,
                RunLetterState::Skipped => &mut letters.skipped,
            } = count;
        }
        let steps = replay_letter::steps(read, run.id, None).await?;
        let left_behind = if letters.refused + letters.skipped > 0 {
            replay_letter::left_behind(read, run.id, LEFT_BEHIND).await?
        } else {
            Vec::new()
        };
        Ok(Self {
            id: run.id,
            state: run.state,
            stop: run.stop_code.zip(run.stop_cause).map(|(code, cause)| Stop { code, cause }),
            letters,
            jobs: steps.iter().map(Jobs::from).fold(Jobs::default(), Jobs::and),
            steps: steps.iter().map(step_view).collect(),
            left_behind: left_behind.into_iter().map(left_behind_view).collect(),
            tolerate: run.tolerance,
            selection: json(&run.selection),
            patch: run.patch.as_deref().map(json),
            job_id: run.job_id,
            reason: run.reason,
            created_by: run.created_by,
            created_at: run.created_at,
            ended_at: run.ended_at,
        })
    }

    /// What the shell is told about an ended run.
    pub(crate) fn exit(&self) -> Exit {
        match self.state {
            RunState::Finished => Exit::Success,
            RunState::Running | RunState::Stopped => Exit::JobEndedBadly,
        }
    }

    /// How it stands, in one line.
    pub(crate) fn sentence(&self) -> String {
        let why = self.stop.as_ref().map_or_else(String::new, |stop| format!(": {}", stop.cause));
        format!("replay run {} is {}; {}{why}", self.id, coloured(self.state), self.counts())
    }

    /// How many, as far as it is not none.
    pub(super) fn counts(&self) -> String {
        let counts = [
            (self.letters.waiting, "waiting"),
            (self.jobs.unfinished, "replayed and not ended"),
            (self.jobs.succeeded, "succeeded"),
            (self.jobs.failed_again, "failed again"),
            (self.jobs.cancelled, "cancelled"),
            (self.jobs.removed, "ended and removed"),
            (self.letters.refused, "refused"),
            (self.letters.skipped, "skipped"),
        ];
        let counts: Vec<String> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        format!("of {} dead letters {}", self.letters.total, counts.join(", "))
    }

    /// Everything, for people.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{} {}  {}\n", bold("replay run"), self.id, coloured(self.state));
        let mut line = |label: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {} {value}", dim(format!("{label:<10}")));
        };
        line("letters", &self.counts());
        if let Some(stop) = &self.stop {
            line("stopped", &stop.cause);
        }
        let reason = self.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
        line("begun", &format!("{} by {}{reason}", moment(self.created_at), self.created_by));
        if let Some(at) = self.ended_at {
            line("ended", &moment(at));
        }
        line("selection", &self.selection.to_string());
        if let Some(patch) = &self.patch {
            line("patch", &patch.to_string());
        }
        line("tolerates", &format!("{} % of a step failing again", self.tolerate));
        line("job", &self.job_id.to_string());
        text + &self.steps_text() + &self.left_behind_text() + &self.remedy()
    }

    fn steps_text(&self) -> String {
        if self.steps.is_empty() {
            return String::new();
        }
        let columns = [
            Column::numbers("STEP"),
            Column::numbers("REPLAYED"),
            Column::numbers("NOT ENDED"),
            Column::numbers("SUCCEEDED"),
            Column::numbers("FAILED AGAIN"),
            Column::numbers("CANCELLED"),
        ];
        let row = |step: &StepView| {
            let jobs = step.jobs;
            let numbers = [step.replayed, jobs.unfinished, jobs.succeeded, jobs.failed_again, jobs.cancelled];
            std::iter::once(step.step.to_string()).chain(numbers.map(|number| number.to_string())).collect()
        };
        format!("\n{}", table(&columns, self.steps.iter().map(row).collect()))
    }

    fn left_behind_text(&self) -> String {
        let mut text = String::new();
        for left in &self.left_behind {
            let word = match left.state {
                RunLetterState::Skipped => "skipped",
                _ => "refused",
            };
            let _ = write!(text, "\n{} {word}: {}", left.id, left.note.as_deref().unwrap_or_default());
        }
        let shown = i64::try_from(self.left_behind.len()).unwrap_or(i64::MAX);
        let more = self.letters.refused + self.letters.skipped - shown;
        if more > 0 {
            let _ = write!(text, "\nand {more} more");
        }
        if text.is_empty() { text } else { text + "\n" }
    }

    fn remedy(&self) -> String {
        let id = self.id;
        match self.state {
            RunState::Running => {
                format!("\n{}", dim(format!("ackord dead-letters runs stop {id}   or   wait {id}")))
            }
            RunState::Stopped => format!("\n{}", dim(format!("ackord dead-letters runs resume {id}"))),
            RunState::Finished => String::new(),
        }
    }
}

/// Runs for people, one line each.
pub(super) fn list(runs: &[RunView], now: DateTime<Utc>) -> String {
    if runs.is_empty() {
        return "no replay runs\n".to_owned();
    }
    let columns = [
        Column::text("RUN"),
        Column::text("STATE"),
        Column::numbers("LETTERS"),
        Column::numbers("WAITING"),
        Column::numbers("SUCCEEDED"),
        Column::numbers("FAILED AGAIN"),
        Column::numbers("LEFT OUT"),
        Column::text("BEGUN"),
        Column::text("BY"),
        Column::text("SELECTION"),
    ];
    let row = |run: &RunView| {
        vec![
            run.id.to_string(),
            coloured(run.state),
            run.letters.total.to_string(),
            (run.letters.waiting + run.jobs.unfinished).to_string(),
            run.jobs.succeeded.to_string(),
            run.jobs.failed_again.to_string(),
            (run.letters.refused + run.letters.skipped).to_string(),
            ago(run.created_at, now),
            run.created_by.clone(),
            run.selection.to_string(),
        ]
    };
    table(&columns, runs.iter().map(row).collect())
}

fn coloured(state: RunState) -> String {
    match state {
        RunState::Running => waiting(state),
        RunState::Stopped => bad(state),
        RunState::Finished => good(state),
    }
}

fn step_view(step: &Step) -> StepView {
    StepView { step: step.step + 1, replayed: step.replayed, jobs: step.into() }
}

fn left_behind_view(letter: replay_letter::Model) -> LeftBehind {
    LeftBehind { id: letter.letter_id, state: letter.state, code: letter.code, note: letter.note }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

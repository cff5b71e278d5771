//! A replay run on the terminal.

use std::fmt::Write;

use ackord_entities::queue::replay_letter::RunLetterState;
use ackord_entities::queue::replay_run::RunState;
use ackord_producer::story::{RunView, StepView};
use chrono::{DateTime, Utc};

use crate::exit::Exit;
use crate::terminal::{Column, ago, bad, bold, dim, good, moment, table, waiting};

/// A run for people.
pub(crate) trait RunText {
    /// What the shell is told about an ended run.
    fn exit(&self) -> Exit;
    /// How it stands, in one line.
    fn sentence(&self) -> String;
    /// How many, as far as it is not none.
    fn counts(&self) -> String;
    /// Everything.
    fn text(&self) -> String;
}

impl RunText for RunView {
    fn exit(&self) -> Exit {
        match self.state {
            RunState::Finished => Exit::Success,
            RunState::Running | RunState::Stopped => Exit::JobEndedBadly,
        }
    }

    fn sentence(&self) -> String {
        let why = self.stop.as_ref().map_or_else(String::new, |stop| format!(": {}", stop.cause));
        format!("replay run {} is {}; {}{why}", self.id, coloured(self.state), self.counts())
    }

    fn counts(&self) -> String {
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

    fn text(&self) -> String {
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
        text + &steps_text(self) + &left_behind_text(self) + &remedy(self)
    }
}

fn steps_text(run: &RunView) -> String {
    if run.steps.is_empty() {
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
    format!("\n{}", table(&columns, run.steps.iter().map(row).collect()))
}

fn left_behind_text(run: &RunView) -> String {
    let mut text = String::new();
    for left in &run.left_behind {
        let word = match left.state {
            RunLetterState::Skipped => "skipped",
            _ => "refused",
        };
        let _ = write!(text, "\n{} {word}: {}", left.id, left.note.as_deref().unwrap_or_default());
    }
    let shown = i64::try_from(run.left_behind.len()).unwrap_or(i64::MAX);
    let more = run.letters.refused + run.letters.skipped - shown;
    if more > 0 {
        let _ = write!(text, "\nand {more} more");
    }
    if text.is_empty() { text } else { text + "\n" }
}

fn remedy(run: &RunView) -> String {
    let id = run.id;
    match run.state {
        RunState::Running => {
            format!("\n{}", dim(format!("ackord dead-letters runs stop {id}   or   wait {id}")))
        }
        RunState::Stopped => format!("\n{}", dim(format!("ackord dead-letters runs resume {id}"))),
        RunState::Finished => String::new(),
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

//! What people and scripts see: answers on stdout, problems on stderr, colour and bars on a terminal only.

pub(crate) mod diff;
mod table;

pub(crate) use ackord_producer::story::{ago, clock_time, length, moment};
pub(crate) use table::{Column, table};

use std::io::{self, BufRead, IsTerminal, Write};

use console::Style;
use serde::Serialize;

use crate::problem::Problem;

/// Where answers go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    json: bool,
}

impl Terminal {
    /// Answers as text, or as one JSON value.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether the caller is a script.
    pub(crate) fn json(self) -> bool {
        self.json
    }

    /// Whether progress may be drawn: a person watches.
    pub(crate) fn draws(self) -> bool {
        !self.json && io::stderr().is_terminal()
    }

    /// Prints an answer: `value` for scripts, what `text` makes for people.
    ///
    /// # Errors
    /// Stdout cannot be written. A reader that went away is none.
    pub(crate) fn answer<T: Serialize>(self, value: &T, text: impl FnOnce() -> String) -> io::Result<()> {
        if self.json {
            let mut json = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
            json.push('\n');
            return print(&json);
        }
        self.say(&text())
    }

    /// Prints a text for people; nothing when the caller is a script.
    ///
    /// # Errors
    /// Stdout cannot be written. A reader that went away is none.
    pub(crate) fn say(self, text: &str) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
        print(&format!("{text}{end}"))
    }

    /// Says on stderr what is wrong and what to do about it.
    pub(crate) fn complain(self, problem: &Problem) {
        let text = if self.json { complaint_json(problem) } else { complaint(problem) };
        // Nobody is left to be told.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Asks on the terminal. Without a terminal there is nobody to ask.
    ///
    /// # Errors
    /// Stdin cannot be read.
    pub(crate) fn asks(self, question: &str) -> io::Result<Asked> {
        if self.json || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Ok(Asked::Nobody);
        }
        write!(io::stderr(), "{question} [y/N] ")?;
        io::stderr().flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(if matches!(answer.trim(), "y" | "Y" | "yes" | "Yes") { Asked::Yes } else { Asked::No })
    }
}

/// What the person said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Yes,
    No,
    /// There is no terminal.
    Nobody,
}

/// Writes to stdout. `ackord jobs list | head` closes it early, which is no error.
fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn complaint(problem: &Problem) -> String {
    let label = |style: Style, text: &str| style.for_stderr().apply_to(text).to_string();
    let mut text = format!("{} {}", label(Style::new().red().bold(), "error:"), problem.message);
    if let Some(remedy) = &problem.remedy {
        text += "\n ";
        text += &label(Style::new().cyan().bold(), "help:");
        text += " ";
        text += remedy;
    }
    text
}

fn complaint_json(problem: &Problem) -> String {
    let error = serde_json::json!({
        "code": problem.exit.name(),
        "exit_code": problem.exit.code(),
        "message": problem.message,
        "remedy": problem.remedy,
    });
    serde_json::json!({ "error": error }).to_string()
}

/// Bold, on a terminal.
pub(crate) fn bold(text: impl std::fmt::Display) -> String {
    Style::new().bold().apply_to(text).to_string()
}

/// Grey, on a terminal: what stands beside the answer.
pub(crate) fn dim(text: impl std::fmt::Display) -> String {
    Style::new().dim().apply_to(text).to_string()
}

/// Green, on a terminal: it went well.
pub(crate) fn good(text: impl std::fmt::Display) -> String {
    Style::new().green().apply_to(text).to_string()
}

/// Red, on a terminal: it did not.
pub(crate) fn bad(text: impl std::fmt::Display) -> String {
    Style::new().red().apply_to(text).to_string()
}

/// Yellow, on a terminal: it waits.
pub(crate) fn waiting(text: impl std::fmt::Display) -> String {
    Style::new().yellow().apply_to(text).to_string()
}

//! `ackord jobs wait`, and waiting for a job elsewhere in the program.

use std::time::{Duration, Instant};

use ackord_entities::database::Database;
use ackord_entities::ids::JobId;
use ackord_entities::queue::job;
use ackord_entities::queue::state::ShownState;
use ackord_producer::story::{Audience, JobView};
use indicatif::{ProgressBar, ProgressStyle};

use super::no_such_job;
use super::view::coloured;
use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::Session;
use crate::terminal::{Terminal, length};

/// The first look is soon, since most jobs are short; the longest is what a person does not mind.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_secs(1);

/// Wait until a job has ended; the exit code tells how: 0 succeeded, 6 failed, dead or cancelled, 7 too late
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  ackord jobs wait ID\n  ackord jobs wait ID --timeout 5m && echo done")]
pub(super) struct WaitArgs {
    /// The job
    id: JobId,
    /// How long at most, for example 30s or 5m [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
}

impl WaitArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let database = session.database().await?;
        let ended = wait_for(&database, self.id, self.timeout, session.terminal).await?;
        session.terminal.answer(&ended, || sentence(&ended))?;
        Ok(exit_of(&ended))
    }
}

/// What the shell is told about an ended job.
pub(crate) fn exit_of(ended: &JobView) -> Exit {
    match ended.state {
        ShownState::Succeeded => Exit::Success,
        _ => Exit::JobEndedBadly,
    }
}

fn too_late(id: JobId, timeout: Duration) -> Problem {
    Problem::new(Exit::TimedOut, format!("job {id} has not ended within {}", length(timeout)))
        .remedy(format!("it goes on; `ackord jobs show {id}` tells what it waits for"))
}

/// Looks at a job until it has ended, ever less often.
///
/// # Errors
/// There is no such job; the time is over first; whatever the database answers.
pub(crate) async fn wait_for(
    database: &Database,
    id: JobId,
    timeout: Option<Duration>,
    terminal: Terminal,
) -> anyhow::Result<JobView> {
    let started = Instant::now();
    let spinner = spinner(terminal);
    let mut pause = FIRST_LOOK;
    loop {
        let row = job::find(database.read(), id).await?.ok_or_else(|| no_such_job(id))?;
        let now = database.clock().now(database.read()).await?;
        let view =
            JobView::of_all(database, std::slice::from_ref(&row), Audience::Operators, now).await?.remove(0);
        if row.state.is_end() {
            spinner.finish_and_clear();
            return Ok(view);
        }
        spinner.set_message(format!("{} {id} is {}", view.kind, view.state));
        let left = timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
        if left == Some(Duration::ZERO) {
            spinner.finish_and_clear();
            return Err(too_late(id, timeout.unwrap_or_default()).into());
        }
        tokio::time::sleep(left.map_or(pause, |left| left.min(pause))).await;
        pause = pause.mul_f64(1.5).min(LONGEST);
    }
}

fn spinner(terminal: Terminal) -> ProgressBar {
    if !terminal.draws() {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}

/// How it ended, in one line.
pub(crate) fn sentence(view: &JobView) -> String {
    let took = view
        .finished_at
        .and_then(|finished| (finished - view.created_at).to_std().ok())
        .map_or_else(String::new, |took| format!(" {} after it was published", length(took)));
    let why = match &view.error {
        Some(error) => format!(": {} ({})", error.message, error.code),
        None => String::new(),
    };
    format!("{} {} {}{took}{why}", view.kind, view.id, coloured(view.state))
}

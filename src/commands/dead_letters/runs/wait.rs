//! Waiting for a run, with its progress.

use std::time::{Duration, Instant};

use ackord_entities::database::Database;
use ackord_entities::ids::ReplayRunId;
use ackord_entities::queue::replay_run::RunState;
use ackord_producer::story::RunView;
use indicatif::{ProgressBar, ProgressStyle};

use super::{RunText, known};
use crate::exit::Exit;
use crate::problem::Problem;
use crate::terminal::{Terminal, length};

/// The first look is soon, since a small run is short; the longest is what a person does not mind.
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// Looks at a run until it has ended, ever less often.
///
/// # Errors
/// There is no such run; the time is over first; whatever the database answers.
pub(crate) async fn wait_for_run(
    database: &Database,
    id: ReplayRunId,
    timeout: Option<Duration>,
    terminal: Terminal,
) -> anyhow::Result<RunView> {
    let started = Instant::now();
    let mut bar: Option<ProgressBar> = None;
    let mut pause = FIRST_LOOK;
    loop {
        let look = Instant::now();
        let run = known(database, id).await?;
        let bar = bar.get_or_insert_with(|| progress(terminal, &run));
        if run.state != RunState::Running {
            bar.finish_and_clear();
            return Ok(run);
        }
        show(bar, &run);
        let left = timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
        if left == Some(Duration::ZERO) {
            bar.finish_and_clear();
            return Err(too_late(&run, timeout.unwrap_or_default()).into());
        }
        // A look at a large run costs the database something: it is a small share of the time.
        let pause_now = pause.max(look.elapsed() * 10);
        tokio::time::sleep(left.map_or(pause_now, |left| left.min(pause_now))).await;
        pause = pause.mul_f64(1.5).min(LONGEST);
    }
}

fn progress(terminal: Terminal, run: &RunView) -> ProgressBar {
    if !terminal.draws() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(run.letters.total.unsigned_abs());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// A letter is done with when its job has ended, or when it did not go out.
fn show(bar: &ProgressBar, run: &RunView) {
    let open = run.letters.waiting + run.jobs.unfinished;
    bar.set_position((run.letters.total - open).unsigned_abs());
    let step = run.steps.last().map_or(1, |step| step.step);
    bar.set_message(format!(
        "step {step}, {} running, {} failed again",
        run.jobs.unfinished, run.jobs.failed_again
    ));
}

fn too_late(run: &RunView, timeout: Duration) -> Problem {
    let text = format!("replay run {} has not ended within {}: {}", run.id, length(timeout), run.counts());
    Problem::new(Exit::TimedOut, text).remedy(format!(
        "it goes on; `ackord dead-letters runs show {id}` tells how far it is, `ackord jobs show {job}` what it waits for",
        id = run.id,
        job = run.job_id
    ))
}

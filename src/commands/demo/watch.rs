//! Progress of the jobs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ackord_entities::database::Database;
use ackord_entities::ids::JobId;
use ackord_entities::queue::job;
use ackord_producer::story::{Audience, JobView};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Asked;
use crate::terminal::Terminal;

/// Between two looks at the jobs.
pub(super) const LOOK: Duration = Duration::from_millis(40);

/// Watches the jobs until all have ended. Answers them as they ended.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn all(
    database: &Database,
    left_over: &[Asked],
    asked: &[Asked],
    terminal: Terminal,
) -> anyhow::Result<HashMap<JobId, JobView>> {
    let bars = Bars::new(terminal, left_over.iter().chain(asked));
    let mut open: Vec<JobId> = left_over.iter().chain(asked).map(|one| one.job).collect();
    let mut ended = HashMap::new();
    while !open.is_empty() {
        let mut still_open = Vec::new();
        for id in open {
            // Removed by a retention meanwhile: as ended as can be.
            let Some(row) = job::find(database.read(), id).await? else { continue };
            let now = database.clock().now(database.read()).await?;
            let view = JobView::of_all(database, std::slice::from_ref(&row), Audience::Operators, now)
                .await?
                .remove(0);
            bars.show(&view);
            if row.state.is_end() {
                ended.insert(id, view);
            } else {
                still_open.push(id);
            }
        }
        open = still_open;
        if !open.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
    }
    bars.clear();
    Ok(ended)
}

/// One line for each job, on a terminal.
struct Bars {
    all: MultiProgress,
    by_job: HashMap<JobId, (String, ProgressBar)>,
    started: Instant,
}

impl Bars {
    fn new<'a>(terminal: Terminal, jobs: impl Iterator<Item = &'a Asked>) -> Self {
        let all = MultiProgress::new();
        let mut by_job = HashMap::new();
        if terminal.draws() {
            for one in jobs {
                let bar = all.add(ProgressBar::new_spinner());
                if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg}") {
                    bar.set_style(style);
                }
                bar.enable_steady_tick(Duration::from_millis(100));
                by_job.insert(one.job, (one.topic.clone(), bar));
            }
        }
        Self { all, by_job, started: Instant::now() }
    }

    fn show(&self, view: &JobView) {
        let Some((topic, bar)) = self.by_job.get(&view.id) else { return };
        let seconds = self.started.elapsed().as_secs_f64();
        bar.set_message(format!("{topic:<40} {:<10} {seconds:.1}s", view.state.to_string()));
    }

    /// The result is printed as text, which stays.
    fn clear(&self) {
        for (_, bar) in self.by_job.values() {
            bar.finish_and_clear();
        }
        // A terminal that went away needs no clearing.
        let _ = self.all.clear();
    }
}

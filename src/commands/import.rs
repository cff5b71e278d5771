//! `ackord import`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use ackord_entities::graph::graphs;
use ackord_graph::import::{Event, Import, ImportError, ImportOptions, Progress, Report};
use indicatif::{ProgressBar, ProgressStyle};

use crate::exit::Exit;
use crate::problem::Problem;
use crate::schema;
use crate::session::Session;
use crate::terminal::{Column, Terminal, bad, dim, length, table};

/// Refused files and lines that are shown by name; `--json` names more.
const SHOWN: usize = 40;

/// Take documents into a graph: Markdown, plain text and JSONL become sources, facts, nodes and edges
///
/// What has not changed since the last import is passed over; what has changed is replaced, without leftovers. A file that
/// cannot be read as text is refused with the reason, and the others are taken. Files that .gitignore or .ackordignore name, and
/// hidden ones, are left out. May be interrupted at any time: the next import goes on.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ackord import docs README.md\n  ackord import notes --exclude 'drafts/' --prune\n  \
                        ackord import records.jsonl --graph research --json"
)]
pub(crate) struct ImportArgs {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The graph; it is made when it is not there
    #[arg(long, value_name = "NAME", default_value = graphs::DEFAULT)]
    graph: String,
    /// Leave out what fits this pattern, written as in a .gitignore; may be given several times
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Remove the sources under these folders whose files are gone
    #[arg(long)]
    prune: bool,
    /// The largest file that is taken, in MiB; of a JSONL file, the longest line
    #[arg(long, value_name = "MIB", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1024))]
    max_file_size: u64,
}

impl ImportArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let database = session.open(true).await?;
        schema::bring_up(&database).await?;
        let elsewhere = session.config().written_elsewhere(&self.graph);
        let written = match &elsewhere {
            Some(other) => other.bring_up().await?.0,
            None => database.clone(),
        };
        let graph = self.graph.clone();
        let options = ImportOptions {
            graph: self.graph,
            most_bytes: self.max_file_size * 1024 * 1024,
            excludes: self.exclude,
            prune: self.prune,
            ..ImportOptions::default()
        };
        let bar = bar(session.terminal);
        let import = Import::new(written, options).with_progress(Arc::new(Bar(bar.clone())));
        let ended = import.run(&self.paths).await;
        bar.finish_and_clear();
        let report = ended.map_err(with_exit)?;
        if elsewhere.is_some() {
            // Where the jobs are it has to be known, too: nobody would copy it otherwise.
            let now = database.clock().now(database.read()).await?;
            graphs::ensure(database.write(), &graph, now).await?;
        }
        session.terminal.answer(&report, || text(&report))?;
        let nothing = report.refused > 0 && report.taken + report.updated + report.unchanged == 0;
        Ok(if nothing { Exit::Failure } else { Exit::Success })
    }
}

/// What is wrong with the command line is the user's to mend.
fn with_exit(error: ImportError) -> anyhow::Error {
    match error {
        ImportError::Pattern { .. } | ImportError::GraphName { .. } => {
            Problem::usage(error.to_string()).into()
        }
        other => other.into(),
    }
}

/// Bytes done of bytes found; hidden where nobody watches.
pub(crate) fn bar(terminal: Terminal) -> ProgressBar {
    if !terminal.draws() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}  {bytes_per_sec}  {wide_msg}")
    {
        bar.set_style(style);
    }
    bar
}

/// Moves a bar as an import goes on.
pub(crate) struct Bar(pub(crate) ProgressBar);

impl Progress for Bar {
    fn on(&self, event: Event<'_>) {
        match event {
            Event::Found { bytes } => self.0.inc_length(bytes),
            Event::Done { bytes } => self.0.inc(bytes),
            Event::File { path, .. } if !self.0.is_hidden() => {
                let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
                self.0.set_message(name);
            }
            _ => {}
        }
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{} new, {} changed, {} unchanged, {} refused; {} facts from {} in {}",
        report.taken,
        report.updated,
        report.unchanged,
        report.refused,
        report.facts,
        megabytes(report.bytes),
        length(report.duration),
    );
    for (count, what) in [
        (report.removed, "sources were removed: their files are gone"),
        (report.gone, "sources have lost their files; --prune removes them"),
        (report.passed_over, "files of other kinds were passed over"),
    ] {
        if count > 0 {
            let _ = writeln!(text, "{}", dim(format!("{count} {what}")));
        }
    }
    let refused = refused(report);
    let more = (report.refused + report.refused_lines).saturating_sub(refused.len() as u64);
    if !refused.is_empty() {
        let _ = write!(text, "\n{}\n{}", bad("Refused"), table(&COLUMNS, refused));
    }
    if more > 0 {
        let _ = writeln!(text, "and {more} more; --json names them");
    }
    text
}

const COLUMNS: [Column; 3] = [Column::text("FILE"), Column::text("LINE"), Column::text("WHY")];

fn refused(report: &Report) -> Vec<Vec<String>> {
    let files = report
        .refused_files
        .iter()
        .map(|file| vec![file.path.display().to_string(), String::new(), file.refusal.to_string()]);
    let lines = report
        .lines
        .iter()
        .map(|line| vec![line.path.display().to_string(), line.line.to_string(), line.refusal.to_string()]);
    files.chain(lines).take(SHOWN).collect()
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_counts_and_reasons() {
        let report = Report { taken: 2, refused: 41, facts: 7, bytes: 1_500_000, ..Report::default() };
        let text = text(&report);
        assert!(text.starts_with("2 new, 0 changed, 0 unchanged, 41 refused; 7 facts from 1.5 MB"), "{text}");
        assert!(text.contains("and 41 more"), "{text}");
    }

    #[test]
    fn a_wrong_pattern_is_a_usage_error() {
        let error = ImportError::Pattern { pattern: "a[".into(), reason: "unclosed".into() };
        assert_eq!(Problem::of(&with_exit(error), None).exit, Exit::Usage);
    }
}

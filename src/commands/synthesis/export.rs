//! `ackord synthesis export`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use ackord_graph::synthesis::render::{html, markdown};
use ackord_graph::synthesis::{Stored, StoredText};
use anyhow::Context as _;
use clap::ValueEnum;

use super::Which;
use super::show::{about, readable};
use super::view::{Shown, SynthesisView};
use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::Session;

/// Write a synthesis to a file: Markdown with footnotes, a page of HTML that needs nothing else, or JSON with all of it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ackord synthesis export outbox --format html -o outbox.html
  ackord synthesis export outbox > outbox.md")]
pub(super) struct ExportArgs {
    #[command(flatten)]
    which: Which,
    /// As what
    #[arg(long, value_enum, default_value_t = Format::Md)]
    format: Format,
    /// The file to write, replacing what is there [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Markdown, citations as footnotes
    Md,
    /// One page of HTML
    Html,
    /// JSON: row, text, structure, attempts
    Json,
}

impl ExportArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let database = session.database().await?;
        let id = self.which.id(&database).await?;
        let shown = Shown::read(&database, id).await?.ok_or_else(|| self.which.no_such())?;
        let Some(text) = &shown.stored.text else { return Err(no_text(&shown.stored).into()) };
        let exported = render(self.format, &shown, text)?;
        match &self.output {
            Some(path) => {
                write(path, &exported)?;
                let answer = serde_json::json!({ "file": path, "bytes": exported.len() });
                session.terminal.answer(&answer, || format!("{} written", path.display()))?;
            }
            None => match std::io::stdout().lock().write_all(exported.as_bytes()) {
                // `ackord synthesis export outbox | head` closes it early.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
                result => result?,
            },
        }
        Ok(Exit::Success)
    }
}

fn render(format: Format, shown: &Shown, text: &StoredText) -> anyhow::Result<String> {
    let about = about(text);
    let readable = readable(&shown.stored, text, &about);
    Ok(match format {
        Format::Md => markdown(&readable),
        Format::Html => html(&readable),
        Format::Json => serde_json::to_string_pretty(&SynthesisView::of(shown))? + "\n",
    })
}

/// Written beside it and moved into its place: a reader never sees half of it.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let name = path.file_name().ok_or_else(|| Problem::usage(format!("{} names no file", path.display())))?;
    let beside = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // The error says what matters; what is left of the attempt goes.
        let _ = std::fs::remove_file(&beside);
    }
    written.with_context(|| format!("{} cannot be written", path.display()))
}

fn no_text(stored: &Stored) -> Problem {
    let row = &stored.synthesis;
    let cause = row.error_public.as_deref().unwrap_or("It is not written yet.");
    Problem::refused(format!("the synthesis {} has no text: {cause}", row.id))
}

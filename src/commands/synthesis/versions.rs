//! `ackord synthesis versions`.

use std::fmt::Write;

use ackord_entities::ids::{JobId, SynthesisId};
use ackord_graph::synthesis::document::visible;
use ackord_graph::synthesis::{VersionRead, versions};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Which;
use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::Session;
use crate::terminal::{Column, bold, diff, moment, table};

/// Lines that are shown around a change.
const AROUND: usize = 1;

/// List the versions of a text, with what each was made from, and show what changed from one to another
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ackord synthesis versions engines
  ackord synthesis versions engines --diff
  ackord synthesis versions engines --diff --from 1 --to 3")]
pub(super) struct VersionsArgs {
    #[command(flatten)]
    which: Which,
    /// Show what changed, sentence by sentence
    #[arg(long)]
    diff: bool,
    /// The older version [default: the one before]
    #[arg(long, value_name = "N", requires = "diff")]
    from: Option<i32>,
    /// The newer version [default: the newest]
    #[arg(long, value_name = "N", requires = "diff")]
    to: Option<i32>,
}

/// The versions. The JSON is a stable interface.
#[derive(Serialize)]
struct VersionsView<'a> {
    id: SynthesisId,
    versions: Vec<VersionView<'a>>,
    diff: Option<DiffView>,
}

#[derive(Serialize)]
struct VersionView<'a> {
    version: i32,
    producer: &'a str,
    job_id: JobId,
    created_at: DateTime<Utc>,
    sentences_count: i32,
    facts_linked: i32,
    /// Of a super-synthesis: what it was made from.
    parts: Vec<PartView<'a>>,
}

#[derive(Serialize)]
struct PartView<'a> {
    id: SynthesisId,
    topic: &'a str,
    /// None if it was missing.
    version: Option<i32>,
    missing: Option<&'a str>,
}

#[derive(Serialize)]
struct DiffView {
    from: i32,
    to: i32,
    unified: String,
}

impl VersionsArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let database = session.database().await?;
        let id = self.which.id(&database).await?;
        let all = versions(database.read(), id).await?;
        let pair = if self.diff { Some(self.pair(&all)?) } else { None };
        let view = VersionsView {
            id,
            versions: all.iter().map(VersionView::of).collect(),
            diff: pair.map(|(from, to)| DiffView {
                from: from.version.version,
                to: to.version.version,
                unified: diff::unified((&name(from), &in_lines(from)), (&name(to), &in_lines(to))),
            }),
        };
        session.terminal.answer(&view, || match pair {
            Some((from, to)) => compared(from, to),
            None => listed(&all),
        })?;
        Ok(Exit::Success)
    }

    fn pair<'a>(&self, all: &'a [VersionRead]) -> Result<(&'a VersionRead, &'a VersionRead), Problem> {
        let Some(newest) = all.last() else {
            return Err(Problem::refused("there is no version to compare: the synthesis has no text"));
        };
        let to = self.to.unwrap_or(newest.version.version);
        let from = self.from.unwrap_or(to - 1);
        let known = |number: i32| all.iter().find(|one| one.version.version == number);
        let missing = |number: i32| {
            let text = format!("there is no version {number}: there are 1 to {}", newest.version.version);
            Problem::not_found(text).remedy("name two of them with --from and --to")
        };
        Ok((known(from).ok_or_else(|| missing(from))?, known(to).ok_or_else(|| missing(to))?))
    }
}

impl<'a> VersionView<'a> {
    fn of(one: &'a VersionRead) -> Self {
        let row = &one.version;
        Self {
            version: row.version,
            producer: &row.producer,
            job_id: row.job_id,
            created_at: row.created_at,
            sentences_count: row.sentences_count,
            facts_linked: row.facts_linked,
            parts: one
                .read
                .iter()
                .map(|part| PartView {
                    id: part.sub_id,
                    topic: &part.topic,
                    version: part.sub_version,
                    missing: part.missing_public.as_deref(),
                })
                .collect(),
        }
    }
}

fn listed(all: &[VersionRead]) -> String {
    if all.is_empty() {
        return "no version yet\n".to_owned();
    }
    let columns = [
        Column::numbers("VERSION"),
        Column::text("WRITTEN"),
        Column::text("WRITER"),
        Column::numbers("SENTENCES"),
        Column::numbers("FACTS"),
        Column::text("PARTS"),
    ];
    let row = |one: &VersionRead| {
        let version = &one.version;
        let parts: Vec<String> = one.read.iter().map(part).collect();
        vec![
            version.version.to_string(),
            moment(version.created_at),
            version.producer.clone(),
            version.sentences_count.to_string(),
            version.facts_linked.to_string(),
            parts.join(", "),
        ]
    };
    table(&columns, all.iter().map(row).collect())
}

fn part(part: &ackord_entities::graph::synthesis_part_read::Model) -> String {
    match part.sub_version {
        Some(version) => format!("{} v{version}", part.topic),
        None => format!("{} missing", part.topic),
    }
}

/// What changed, for people.
pub(crate) fn compared(from: &VersionRead, to: &VersionRead) -> String {
    let mut text = format!("{}\n", bold(format!("{} -> {}", name(from), name(to))));
    let changes = diff::changes(&in_lines(from), &in_lines(to), AROUND);
    let _ = writeln!(text, "{}", if changes.is_empty() { "nothing changed" } else { changes.trim_end() });
    text
}

fn name(one: &VersionRead) -> String {
    format!("version {}", one.version.version)
}

/// One sentence a line, as a reader sees it, with the headings between.
fn in_lines(one: &VersionRead) -> String {
    let headings: Vec<&str> =
        one.version.markdown.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let lines = one.document.sentences.iter().map(|sentence| {
        if headings.contains(&sentence.text.as_str()) {
            format!("## {}", sentence.text)
        } else {
            visible(&sentence.text)
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

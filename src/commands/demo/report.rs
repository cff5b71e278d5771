//! What the demo prints.

use std::fmt::Write;

use ackord_entities::database::Database;
use ackord_entities::graph::synthesis::State;
use ackord_entities::queue::state::ShownState;
use ackord_graph::import::Report;
use ackord_graph::synthesis::StoredText;
use ackord_producer::story::Story;
use sea_orm::ActiveEnum;
use serde_json::{Value, json};

use super::documents::Documents;
use super::missing::Missing;
use super::texts::Text;
use super::whole::{Outcome, Whole};
use crate::commands::jobs::{self, timeline_lines};
use crate::commands::synthesis::{compared, stored_text};
use crate::terminal::{bad, bold, dim, good, length};

/// Refused files that are named; the rest is counted.
const NAMED: usize = 5;

pub(super) fn welcome(url: &str, documents: &Documents) -> String {
    let which = if documents.own { "ackord's own documents" } else { "your documents" };
    let what =
        format!("Everything runs in this process: a broker in memory, a worker, a SQLite file ({url}).");
    format!("{}  {which} in, texts with citations out\n{}\n", bold("ackord demo"), dim(what))
}

fn heading(number: u8, title: &str) -> String {
    format!("\n{}\n", bold(format!("{number}. {title}")))
}

pub(super) fn imported(report: &Report) -> String {
    let mut text = heading(1, "Import");
    let new = report.taken + report.updated;
    let _ = match (new, report.unchanged) {
        (0, unchanged) => writeln!(text, "  {unchanged} files, unchanged since the last time: nothing to do"),
        (new, 0) => {
            writeln!(
                text,
                "  {} became {} facts in {}",
                of(new, "file"),
                report.facts,
                length(report.duration)
            )
        }
        (new, unchanged) => writeln!(
            text,
            "  {} became {} facts in {}; {unchanged} unchanged",
            of(new, "file"),
            report.facts,
            length(report.duration)
        ),
    };
    for refused in report.refused_files.iter().take(NAMED) {
        let _ = writeln!(text, "  {} {} {}", bad("refused:"), refused.path.display(), refused.refusal);
    }
    let more = report.refused.saturating_sub(NAMED as u64);
    if more > 0 {
        let _ = writeln!(text, "  {} {more} more files", bad("refused:"));
    }
    text
}

pub(super) fn published(asked: usize, left_over: usize) -> String {
    let mut text =
        heading(2, &format!("One text in {asked} parts: a job for each, written at the same time"));
    if left_over > 0 {
        let _ =
            writeln!(text, "  {left_over} more were left over from a run that was cut off; they go on now");
    }
    text
}

/// One line per job.
pub(super) fn texts(texts: &[Text]) -> String {
    let mut all = String::new();
    let widest = texts.iter().map(|text| text.topic.chars().count()).max().unwrap_or_default().min(60);
    for text in texts {
        let job = &text.job;
        let took = job
            .finished_at
            .and_then(|at| (at - job.created_at).to_std().ok())
            .map(length)
            .unwrap_or_default();
        let (mark, what) = match (text.written(), &job.error) {
            (Some(written), _) => (good("ok    "), counts(written)),
            (None, Some(error)) => (bad("failed"), error.code.clone()),
            (None, None) => (bad("failed"), job.state.to_string()),
        };
        let _ = writeln!(all, "  {mark}  {topic:<widest$}  {took:>6}  {}", dim(what), topic = text.topic);
    }
    all
}

fn of(count: u64, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

fn counts(written: &StoredText) -> String {
    let stats = written.document.stats;
    format!(
        "{} from {} in {}",
        of(u64::from(stats.sentences_count), "sentence"),
        of(u64::from(stats.facts_linked), "fact"),
        of(written.document.sources.len() as u64, "source")
    )
}

/// The first text that was written, in whole.
pub(super) fn finished(texts: &[Text]) -> String {
    let Some(stored) =
        texts.iter().find(|text| text.written().is_some()).and_then(|text| text.stored.as_ref())
    else {
        return String::new();
    };
    let mut text = heading(3, "One of the parts: every sentence cites the facts behind it");
    text.push('\n');
    for line in stored_text(stored).lines() {
        let _ = writeln!(text, "{}", format!("  {line}").trim_end());
    }
    text
}

pub(super) fn failed(texts: &[Text]) -> String {
    let Some(failed) = texts.iter().rev().find(|text| text.job.state == ShownState::Failed) else {
        return String::new();
    };
    let mut text = heading(4, "The one that failed");
    let _ = writeln!(text, "  {}", bold(&failed.topic));
    let public = failed.stored.as_ref().and_then(|stored| stored.synthesis.error_public.as_ref());
    if let Some(public) = public {
        let _ = writeln!(text, "  {public}");
    }
    if let Some(error) = &failed.job.error {
        let _ = writeln!(text, "  {} {}: {}", dim("cause"), error.code, error.message);
    }
    let _ = writeln!(
        text,
        "\n  No text was made up. The failure is recorded with what was asked for, and is no dead letter:\n  \
         running it again would give the same answer, until a document tells something about it.\n  \
         The other parts were combined without it, and the whole says what is missing."
    );
    text
}

/// The story of the job whose text is shown.
///
/// # Errors
/// Whatever the database answers.
pub(super) async fn story(database: &Database, texts: &[Text]) -> anyhow::Result<Option<Story>> {
    match texts.iter().find(|text| text.written().is_some()).or(texts.first()) {
        Some(text) => Ok(jobs::story(database, text.job.id).await?),
        None => Ok(None),
    }
}

pub(super) fn timeline(story: Option<&Story>) -> String {
    let Some(story) = story else { return String::new() };
    let mut text = heading(6, "What happened to the first part's job");
    let _ = writeln!(text, "  {} {}", story.job.kind, story.job.id);
    for line in timeline_lines(&story.timeline) {
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// The missing document came in, and what that changed.
pub(super) fn completed(whole: &Whole, missing: &Missing, outcome: &Outcome) -> String {
    let mut text = heading(5, "The missing document comes in");
    let _ = writeln!(
        text,
        "  Imported: a document about “{}”. Its part was written again, in place, and with the same commit\n  \
         the whole was to be combined again: “{}”.\n",
        missing.topic, whole.topic
    );
    if let [.., before, after] = outcome.versions.as_slice() {
        for line in compared(before, after).lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    let mark = if outcome.row.state == State::Completed {
        good("completed")
    } else {
        bad(outcome.row.state.to_value())
    };
    let _ = writeln!(text, "\n  The whole is {mark}: {}", of(outcome.parts.len() as u64, "part"));
    text
}

pub(super) fn next(url: &str, documents: &Documents, texts: &[Text], whole: &Whole) -> String {
    let mut text = heading(7, "What to try next");
    let graph = if documents.own { String::new() } else { format!(" --graph {}", documents.graph) };
    let mut line = |command: String, what: &str| {
        let _ = writeln!(text, "  {command}\n      {}", dim(what));
    };
    if let Some(written) = texts.iter().find(|text| text.written().is_some()) {
        line(format!("ackord jobs show {} --database {url}", written.job.id), "the whole story of that job");
    }
    line(format!("ackord synthesis show {} --database {url}", whole.id), "the whole, with its parts");
    line(format!("ackord synthesis export {} --database {url}", whole.id), "the same as Markdown or HTML");
    line(format!("ackord jobs list --database {url}"), "every job so far");
    line(format!("ackord up --database {url}"), "keep a worker running; then, from another terminal:");
    line(format!("ackord synthesis create leases{graph} --wait --database {url}"), "a text of your own");
    line("ackord demo ~/notes".to_owned(), "the same with your own documents");
    let _ = writeln!(
        text,
        "\n  {}",
        dim(
            "Stop it as rudely as you like (kill -9), start it again: every accepted job finishes, none has its effect twice."
        )
    );
    text
}

/// All of it for scripts. The JSON is a stable interface.
pub(super) fn json(report: &Report, texts: &[Text], story: Option<&Story>, outcome: &Outcome) -> Value {
    let texts: Vec<Value> = texts
        .iter()
        .map(|text| {
            json!({
                "topic": text.topic,
                "job": text.job,
                "synthesis_id": text.synthesis,
                "markdown": text.written().map(|written| &written.version.markdown),
                "document": text.written().map(|written| &written.document),
            })
        })
        .collect();
    let versions: Vec<&str> =
        outcome.versions.iter().map(|version| version.version.markdown.as_str()).collect();
    let whole = json!({
        "synthesis_id": outcome.row.id,
        "topic": outcome.row.topic,
        "state": outcome.row.state,
        "versions": versions,
    });
    json!({ "import": report, "texts": texts, "story": story, "whole": whole })
}

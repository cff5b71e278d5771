//! `ackord synthesis show`.

use std::fmt::Write;

use ackord_entities::graph::synthesis::State;
use ackord_graph::synthesis::document::visible;
use ackord_graph::synthesis::render::{Readable, Style, terminal};
use ackord_graph::synthesis::{Stored, StoredText};
use sea_orm::ActiveEnum;

use super::Which;
use super::family::{parents, parts};
use super::view::{Shown, SynthesisView};
use crate::exit::Exit;
use crate::session::Session;
use crate::terminal::{bad, bold, dim, moment, waiting};

/// Print a synthesis: its text with citations and sources, or why there is none
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ackord synthesis show outbox
  ackord synthesis show 01890a5d-ac96-774b-bcce-b302099a8057 --sentences
  ackord synthesis show outbox --json | jq .version.document.stats")]
pub(super) struct ShowArgs {
    #[command(flatten)]
    which: Which,
    /// List the sentences with the facts and nodes behind each
    #[arg(long)]
    sentences: bool,
}

impl ShowArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let database = session.database().await?;
        let id = self.which.id(&database).await?;
        let shown = Shown::read(&database, id).await?.ok_or_else(|| self.which.no_such())?;
        session.terminal.answer(&SynthesisView::of(&shown), || match &shown.stored.text {
            Some(text) if self.sentences => sentences(&shown.stored, text),
            _ => shown.text(),
        })?;
        Ok(Exit::Success)
    }
}

/// The synthesis for people: its text, and what is wrong with it.
pub(crate) fn stored_text(stored: &Stored) -> String {
    let row = &stored.synthesis;
    let mut out = String::new();
    if let Some(text) = &stored.text {
        let screen = console::Term::stdout();
        let style = Style { width: usize::from(screen.size().1), colour: console::colors_enabled() };
        let readable = readable(stored, text, "");
        out.push_str(&terminal(&readable, style));
        let _ = writeln!(out, "\n{}", dim(about(text)));
    } else {
        let _ = writeln!(out, "{}\n", bold(&row.topic));
    }
    if let (Some(code), Some(message), Some(public)) =
        (&row.error_code, &row.error_message, &row.error_public)
    {
        let what = match (&stored.text, row.state) {
            (None, _) => "There is no text.",
            (Some(_), State::Partial) => "It is not whole.",
            (Some(_), _) => "The last attempt gave no newer text.",
        };
        let _ = writeln!(out, "{} {public}", bad(what));
        let _ = writeln!(out, "  {} {code}: {message}", dim("cause"));
    } else if stored.text.is_none() {
        let _ =
            writeln!(out, "{}", waiting(format!("It is {}: there is no text yet.", row.state.to_value())));
    }
    let _ = writeln!(out, "{}", dim(format!("{}  {}", row.id, row.node_key)));
    out
}

impl Shown {
    /// The same, with its parts and with what it is a part of.
    pub(super) fn text(&self) -> String {
        let mut out = stored_text(&self.stored);
        out.push_str(&parts(&self.family));
        out.push_str(&parents(&self.family));
        out
    }
}

/// The text with all that a reader is shown.
pub(super) fn readable<'a>(stored: &'a Stored, text: &'a StoredText, about: &'a str) -> Readable<'a> {
    Readable {
        title: &stored.synthesis.topic,
        about,
        markdown: &text.version.markdown,
        document: &text.document,
        quotes: &text.quotes,
    }
}

/// A line about the making of a text.
pub(super) fn about(text: &StoredText) -> String {
    let stats = text.document.stats;
    format!(
        "Version {} of {}, {} writer, {} sentences from {} facts in {} sources",
        text.version.version,
        moment(text.version.created_at),
        text.version.producer,
        stats.sentences_count,
        stats.facts_linked,
        text.document.sources.len(),
    )
}

fn sentences(stored: &Stored, text: &StoredText) -> String {
    let mut out = format!("{}\n\n", bold(&stored.synthesis.topic));
    let concept = |id| text.document.referenced_nodes.iter().find(|node| node.node_id == id);
    for sentence in &text.document.sentences {
        let _ = writeln!(out, "{:>4}  {}", sentence.position, visible(&sentence.text));
        for link in &sentence.fact_links {
            let number = text.document.number_of(link.fact_id).unwrap_or_default();
            let quote = text.quotes.get(&link.fact_id).map_or("(no longer in the graph)", String::as_str);
            let line = format!("[{number}] {:.2} {}  {quote}", link.similarity, link.fact_id);
            let _ = writeln!(out, "      {}", dim(line));
        }
        let nodes: Vec<&str> = sentence
            .node_ids
            .iter()
            .filter_map(|id| concept(*id))
            .map(|node| node.concept.as_str())
            .collect();
        if !nodes.is_empty() {
            let _ = writeln!(out, "      {}", dim(format!("about {}", nodes.join(", "))));
        }
    }
    let _ = writeln!(out, "\n{}", dim(about(text)));
    out
}

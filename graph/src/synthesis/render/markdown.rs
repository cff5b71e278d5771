//! As Markdown that stands alone: citations are footnotes.

use std::fmt::Write as _;

use super::Readable;
use crate::synthesis::document::{Target, links};
use crate::synthesis::escape_markdown;

/// The text as one Markdown document: its title, the text with a footnote for each citation, and the sources as those
/// footnotes.
#[must_use]
pub fn markdown(readable: &Readable<'_>) -> String {
    let mut out = format!("# {}\n\n", escape_markdown(readable.title));
    if !readable.about.is_empty() {
        let _ = write!(out, "*{}*\n\n", escape_markdown(readable.about));
    }
    out.push_str(&with_footnotes(readable));
    out.push_str("\n\n");
    for source in &readable.document.sources {
        let title = escape_markdown(&source.title);
        let uri = if source.uri == source.title { String::new() } else { format!(", <{}>", source.uri) };
        let _ = writeln!(out, "[^{}]: {title}{uri}", source.number);
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn with_footnotes(readable: &Readable<'_>) -> String {
    let text = readable.markdown;
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for link in links(text) {
        out.push_str(&text[copied..link.start]);
        if link.is_mark() {
            out.truncate(out.trim_end_matches([' ', '\u{a0}']).len());
        } else {
            out.push_str(link.label);
        }
        if let Target::Fact(id) = link.target
            && let Some(number) = readable.document.number_of(id)
        {
            let _ = write!(out, "[^{number}]");
        }
        copied = link.end;
    }
    out.push_str(&text[copied..]);
    out
}

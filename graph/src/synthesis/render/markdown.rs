//! As Markdown that stands alone: citations are footnotes.

use std::fmt::Write as _;

use super::Readable;
use crate::synthesis::document::{Target, visible_with};
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
    visible_with(readable.markdown, |out, link| {
        if let Target::Fact(id) = link.target
            && let Some(number) = readable.document.number_of(id)
        {
            let _ = write!(out, "[^{number}]");
        }
    })
}

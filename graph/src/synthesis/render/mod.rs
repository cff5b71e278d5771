//! Texts for readers: on a terminal, as Markdown, as a page of HTML.

mod cited;
mod html;
mod markdown;
mod terminal;

pub use html::html;
pub use markdown::markdown;
pub use terminal::{Style, terminal};

use std::collections::HashMap;

use ackord_entities::ids::FactId;

use super::document::Document;

/// A text with everything that a reader is shown.
#[derive(Clone, Debug)]
pub struct Readable<'a> {
    /// Its title: the topic.
    pub title: &'a str,
    /// A line about its making, for people; empty for none.
    pub about: &'a str,
    /// The text, with canonical links.
    pub markdown: &'a str,
    /// Its structure.
    pub document: &'a Document,
    /// The sentences of the cited facts, as far as they are known.
    pub quotes: &'a HashMap<FactId, String>,
}

#[cfg(test)]
mod tests;

//! What a document is made of before its sentences are told apart.

use super::document::SentenceKind;
use super::mapped::MappedText;

/// A stretch of running text: a paragraph, a list item, a row of a table.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) kind: SentenceKind,
    pub(super) text: MappedText,
    /// Which section it stands in, by its number in [`Outline::sections`].
    pub(super) section: usize,
}

/// A part of a document under one heading. Section 0 is what stands above the first heading.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// The headings from the outermost to its own.
    pub(super) path: Vec<String>,
    level: usize,
}

/// A document's blocks and sections, in order.
#[derive(Debug)]
pub(super) struct Outline {
    pub(super) title: Option<String>,
    pub(super) canonical_url: Option<String>,
    pub(super) doi: Option<String>,
    pub(super) sections: Vec<Section>,
    pub(super) blocks: Vec<Block>,
}

impl Outline {
    pub(super) fn new() -> Self {
        Self {
            title: None,
            canonical_url: None,
            doi: None,
            sections: vec![Section::default()],
            blocks: Vec::new(),
        }
    }

    /// Begins a section under `heading`; `level` counts from 1, the outermost.
    pub(super) fn begin_section(&mut self, heading: &str, level: usize) {
        let mut path = Vec::new();
        // The nearest section above with a lower level is the parent.
        if let Some(parent) = self.sections.iter().rev().find(|section| section.level < level) {
            path.clone_from(&parent.path);
        }
        path.push(heading.to_owned());
        if self.title.is_none() {
            self.title = Some(heading.to_owned());
        }
        self.sections.push(Section { path, level });
    }

    /// Adds a block to the current section, unless nothing is in it.
    pub(super) fn push(&mut self, kind: SentenceKind, text: MappedText) {
        if !text.is_blank() {
            self.blocks.push(Block { kind, text, section: self.sections.len() - 1 });
        }
    }
}

/// `text` on one line: every run of white space is one space, control characters are gone.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        if word.bytes().any(|byte| byte.is_ascii_control()) {
            line.extend(word.chars().filter(|character| !character.is_control()));
        } else {
            line.push_str(word);
        }
    }
    line
}

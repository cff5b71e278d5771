//! A document: its sentences with their places, and its nodes.

use std::ops::Range;
use std::sync::Arc;

use super::analyse::Analysis;
use super::block::{Block, Outline, one_line};
use super::lexicon::Lexicon;
use super::words::is_unspaced;
use super::{markdown, mentions, plain, sentence};

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `CommonMark` with tables, footnotes, task lists, strikethrough and front matter.
    Markdown,
    /// Paragraphs with blank lines between.
    Plain,
}

/// What a sentence is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SentenceKind {
    /// Running text.
    Sentence,
    /// A list item.
    ListItem,
    /// A row of a table, written out.
    TableRow,
}

/// What makes a phrase a node, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeKind {
    /// It is a heading.
    Heading,
    /// It is a proper name or an identifier.
    Name,
    /// It recurs.
    Term,
}

/// A document that was read.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// From the front matter, or the first heading.
    pub title: Option<String>,
    /// From the front matter.
    pub canonical_url: Option<String>,
    /// From the front matter.
    pub doi: Option<String>,
    /// In the order of the text.
    pub sentences: Vec<DocumentSentence>,
    /// What the sentences mention.
    pub nodes: Vec<DocumentNode>,
}

/// A sentence that can stand as a fact.
#[derive(Clone, Debug)]
pub struct DocumentSentence {
    /// Plain text on one line.
    pub text: String,
    /// What it is part of.
    pub kind: SentenceKind,
    /// Its place in the source, in bytes: the smallest piece that holds it, markup inside it included.
    pub span: Range<usize>,
    /// The line it begins in, from 1.
    pub line: u32,
    /// The headings above it, outermost first, with ` > ` between.
    pub heading: Option<Arc<str>>,
    /// Its search terms with a space between, see [`super::terms_of`].
    pub terms: String,
    /// The nodes it mentions, by their numbers in [`Document::nodes`], most telling first.
    pub nodes: Vec<usize>,
}

/// A node that the document's sentences mention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentNode {
    /// Its key: the slug of the concept, in the singular where the document uses both.
    pub key: String,
    /// The form that the document uses most.
    pub concept: String,
    /// What makes it a node.
    pub kind: NodeKind,
    /// How many sentences mention it.
    pub sentences: u32,
}

/// Reads documents one after the other. What it keeps between them are facts about words, so that reading is fast; what a
/// document gives does not depend on it.
pub struct Reader {
    lexicon: Lexicon,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Reader {
    /// A reader that has read nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { lexicon: Lexicon::new() }
    }

    /// Reads one document. A byte order mark at its beginning is not part of it, but counts in the spans.
    pub fn read(&mut self, format: Format, source: &str) -> Document {
        self.lexicon.trim();
        let offset = if source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let text = &source[offset..];
        let outline = match format {
            Format::Markdown => markdown::read(text),
            Format::Plain => plain::read(text),
        };
        let mut document = self.assemble(text, &outline);
        for sentence in &mut document.sentences {
            sentence.span.start += offset;
            sentence.span.end += offset;
        }
        document
    }

    /// The search terms of a text, like [`super::terms_of`], but with a space between, and faster over many texts.
    pub fn terms(&mut self, text: &str) -> String {
        Analysis::default().push(text, &[], &mut self.lexicon)
    }

    fn assemble(&mut self, source: &str, outline: &Outline) -> Document {
        let lines = line_starts(source);
        let headings: Vec<Option<Arc<str>>> = outline
            .sections
            .iter()
            .map(|section| (!section.path.is_empty()).then(|| Arc::from(section.path.join(" > "))))
            .collect();
        let mut analysis = Analysis::default();
        let mut sentences = Vec::new();
        let mut sections = Vec::new();
        for block in &outline.blocks {
            for range in sentence::split_around(block.text.text(), block.text.code()) {
                let Some((text, code)) = readable(block, &range) else { continue };
                let span = block.text.source_span(&range);
                let line = lines.partition_point(|start| *start <= span.start);
                let terms = analysis.push(&text, &code, &mut self.lexicon);
                sections.push(block.section);
                sentences.push(DocumentSentence {
                    text,
                    kind: block.kind,
                    span,
                    line: u32::try_from(line).unwrap_or(u32::MAX),
                    heading: headings[block.section].clone(),
                    terms,
                    nodes: Vec::new(),
                });
            }
        }
        let texts: Vec<(&str, usize)> = sentences
            .iter()
            .zip(&sections)
            .map(|(sentence, section)| (sentence.text.as_str(), *section))
            .collect();
        let mentions = mentions::find(&analysis, &texts, &outline.sections, &mut self.lexicon);
        for (sentence, nodes) in sentences.iter_mut().zip(mentions.of_sentences) {
            sentence.nodes = nodes;
        }
        Document {
            title: outline.title.clone(),
            canonical_url: outline.canonical_url.clone(),
            doi: outline.doi.clone(),
            sentences,
            nodes: mentions.nodes,
        }
    }
}

/// The sentence on one line with the places of code in it, or `None` when it cannot stand alone as a fact.
fn readable(block: &Block, range: &Range<usize>) -> Option<(String, Vec<Range<usize>>)> {
    let raw = &block.text.text()[range.clone()];
    // What a colon announces follows in another block: a list, code, a table.
    if raw.ends_with([':', '：']) && range.end == block.text.text().trim_end().len() {
        return None;
    }
    let text = one_line(raw);
    if !says_something(&text) {
        return None;
    }
    let inside = block.text.code().iter().filter(|code| code.start >= range.start && code.end <= range.end);
    let code = if text.len() == raw.len() {
        inside.map(|code| code.start - range.start..code.end - range.start).collect()
    } else {
        find_code(&text, inside.map(|code| &block.text.text()[code.clone()]))
    };
    Some((text, code))
}

/// The places of `pieces`, which come in this order, in a text whose white space was folded.
fn find_code<'a>(text: &str, pieces: impl Iterator<Item = &'a str>) -> Vec<Range<usize>> {
    let mut at = 0;
    let mut places = Vec::new();
    for piece in pieces {
        if let Some(offset) = text[at..].find(piece) {
            places.push(at + offset..at + offset + piece.len());
            at += offset + piece.len();
        }
    }
    places
}

/// At least two words with letters, or four characters of a script without spaces; and more letters than anything else.
fn says_something(text: &str) -> bool {
    let mut words = 0;
    let mut in_word = false;
    let mut letters = 0;
    let mut others = 0;
    let mut unspaced = 0;
    for character in text.chars() {
        if character.is_whitespace() {
            in_word = false;
            continue;
        }
        if character.is_alphabetic() {
            words += usize::from(!in_word);
            in_word = true;
            letters += 1;
            unspaced += usize::from(is_unspaced(character));
        } else {
            others += 1;
        }
    }
    (words >= 2 || unspaced >= 4) && letters >= others
}

fn line_starts(source: &str) -> Vec<usize> {
    let breaks = source.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(index, _)| index + 1);
    std::iter::once(0).chain(breaks).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    const GUIDE: &str = include_str!("testdata/guide.md");

    fn guide() -> Document {
        Reader::new().read(Format::Markdown, GUIDE)
    }

    #[test]
    fn a_document_gives_readable_facts_with_their_places() {
        let document = guide();
        let facts: Vec<(u32, &str)> = document.sentences.iter().map(|s| (s.line, s.text.as_str())).collect();
        insta::assert_debug_snapshot!(facts);
    }

    #[test]
    fn a_document_gives_nodes_from_headings_names_and_terms() {
        let document = guide();
        let mut nodes: Vec<(&str, &str, NodeKind, u32)> = document
            .nodes
            .iter()
            .map(|n| (n.key.as_str(), n.concept.as_str(), n.kind, n.sentences))
            .collect();
        nodes.sort_unstable();
        insta::assert_debug_snapshot!(nodes);
    }

    #[test]
    fn the_slice_at_a_span_holds_the_words_of_its_sentence() {
        for sentence in guide().sentences.iter().filter(|sentence| sentence.kind != SentenceKind::TableRow) {
            let slice = &GUIDE[sentence.span.clone()];
            for word in sentence.text.split(|c: char| !c.is_alphanumeric()) {
                assert!(slice.contains(word), "{word:?} is not in {slice:?}");
            }
        }
    }

    #[test]
    fn headings_form_a_path() {
        let document = guide();
        let sentence =
            document.sentences.iter().find(|sentence| sentence.text.starts_with("The relay")).unwrap();
        assert_eq!(sentence.heading.as_deref(), Some("A guide to ackord > 2. The outbox"));
    }

    #[test]
    fn what_was_read_before_changes_nothing() {
        let mut reader = Reader::new();
        reader.read(Format::Plain, "Zebras eat outbox relays. The Outbox is a Zebra. Jobs, jobs, the job.");
        let again = reader.read(Format::Markdown, GUIDE);
        assert_eq!(format!("{again:?}"), format!("{:?}", guide()));
    }

    #[test]
    fn a_byte_order_mark_counts_in_spans_only() {
        let source = "\u{feff}# Title\n\nOne sentence stands here.\n";
        let document = Reader::new().read(Format::Markdown, source);
        assert_eq!(document.title.as_deref(), Some("Title"));
        assert_eq!(&source[document.sentences[0].span.clone()], "One sentence stands here.");
        assert_eq!(document.sentences[0].line, 3);
    }

    #[test]
    fn windows_line_ends_are_line_ends() {
        let source = "# Title\r\n\r\nOne sentence\r\nstands here. Two stands here.\r\n";
        for format in [Format::Markdown, Format::Plain] {
            let document = Reader::new().read(format, source);
            let texts: Vec<&str> = document.sentences.iter().map(|s| s.text.as_str()).collect();
            assert_eq!(texts, ["One sentence stands here.", "Two stands here."], "{format:?}");
            assert_eq!(document.sentences[1].line, 4);
        }
    }

    #[test]
    fn terms_of_a_sentence_are_those_that_a_question_is_made_of() {
        for sentence in guide().sentences {
            assert_eq!(sentence.terms, super::super::terms_of(&sentence.text).join(" "));
        }
    }

    fn check(format: Format, source: &str) -> Result<(), TestCaseError> {
        let document = Reader::new().read(format, source);
        for sentence in &document.sentences {
            prop_assert!(source.get(sentence.span.clone()).is_some_and(|slice| !slice.is_empty()));
            prop_assert!(!sentence.text.contains(['\n', '\r', '\t']));
            prop_assert!(sentence.nodes.iter().all(|node| *node < document.nodes.len()));
            let line = source[..sentence.span.start].matches('\n').count() + 1;
            prop_assert_eq!(sentence.line as usize, line);
        }
        for node in &document.nodes {
            prop_assert_eq!(super::super::slug(&node.key), node.key.clone());
            prop_assert!(node.sentences > 0);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(source in any::<String>()) {
            check(Format::Markdown, &source)?;
            check(Format::Plain, &source)?;
        }

        #[test]
        fn any_markup_is_read_without_a_panic(source in "([ab Z知é.!?:|#>*_`~\\[\\]()&;\\\\<-]|\n|\n\n|- |\\| |---|```|# |& amp;|\r\n){0,60}") {
            check(Format::Markdown, &source)?;
            check(Format::Plain, &source)?;
        }

        #[test]
        fn spans_hold_the_words_of_their_sentences(
            paragraphs in prop::collection::vec(prop::collection::vec("[A-Z][a-z]{2,8}( (\\*[a-zé]{1,9}\\*|`[a-z_]{1,9}`|\\[[a-z]{1,5}\\]\\(x\\)|[a-z]{1,9}|[0-9]\\.[0-9]|\n[a-z]{2,9})){2,9}[.!?]", 1..4), 1..5),
            item in any::<bool>(),
        ) {
            let mark = if item { "- " } else { "" };
            let source: String = paragraphs.iter().flat_map(|sentences| [mark.to_owned(), sentences.join(" "), "\n\n".to_owned()]).collect();
            check(Format::Markdown, &source)?;
            let document = Reader::new().read(Format::Markdown, &source);
            for sentence in &document.sentences {
                let slice = &source[sentence.span.clone()];
                for word in sentence.text.split(|c: char| !c.is_alphanumeric()) {
                    prop_assert!(slice.contains(word), "{:?} is not in {:?}", word, slice);
                }
            }
        }
    }
}

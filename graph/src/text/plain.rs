//! Plain text to blocks.

use std::ops::Range;

use super::block::{Outline, one_line};
use super::document::SentenceKind;
use super::mapped::MappedText;

/// A line longer than this, in bytes, is no heading.
const LONGEST_HEADING: usize = 72;

/// Reads plain text: blank lines end a paragraph, a line that begins like a list item begins one of its own, and a short
/// line that stands alone without a full stop is a heading.
pub(super) fn read(source: &str) -> Outline {
    let mut outline = Outline::new();
    let paragraphs = paragraphs(source);
    for (index, paragraph) in paragraphs.iter().enumerate() {
        let has_text_below = paragraphs.get(index + 1).is_some_and(|next| next.alone_below(source));
        if has_text_below && is_heading(source[paragraph.span.clone()].trim()) && !paragraph.is_item {
            outline.begin_section(&one_line(&source[paragraph.span.clone()]), 1);
            continue;
        }
        let kind = if paragraph.is_item { SentenceKind::ListItem } else { SentenceKind::Sentence };
        outline.push(kind, MappedText::verbatim(source, paragraph.span.clone()));
    }
    outline
}

#[derive(Debug)]
struct Paragraph {
    span: Range<usize>,
    is_item: bool,
}

impl Paragraph {
    /// Whether it is running text and not another heading or a line of a list.
    fn alone_below(&self, source: &str) -> bool {
        self.is_item || !is_heading(source[self.span.clone()].trim())
    }
}

fn paragraphs(source: &str) -> Vec<Paragraph> {
    let mut paragraphs: Vec<Paragraph> = Vec::new();
    let mut open = false;
    let mut start = 0;
    for line in source.split_inclusive('\n') {
        let span = start..start + line.trim_end().len();
        start += line.len();
        if line.trim().is_empty() || is_rule(line) {
            open = false;
            continue;
        }
        let marker = item_marker(line.trim_end());
        match paragraphs.last_mut() {
            Some(last) if open && marker == 0 => last.span.end = span.end,
            _ => paragraphs.push(Paragraph { span: span.start + marker..span.end, is_item: marker > 0 }),
        }
        open = true;
    }
    paragraphs
}

/// How long the marker of a list item at the beginning of `line` is, 0 when there is none.
fn item_marker(line: &str) -> usize {
    let indent = line.len() - line.trim_start().len();
    let rest = &line[indent..];
    for marker in ["- ", "* ", "+ ", "• "] {
        if let Some(text) = rest.strip_prefix(marker) {
            return indent + marker.len() + (text.len() - text.trim_start().len());
        }
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let behind = &rest[digits..];
    if (1..=3).contains(&digits) && (behind.starts_with(". ") || behind.starts_with(") ")) {
        return indent + digits + 2 + (behind[2..].len() - behind[2..].trim_start().len());
    }
    0
}

fn is_rule(line: &str) -> bool {
    let line = line.trim();
    line.len() >= 3 && line.bytes().all(|byte| matches!(byte, b'-' | b'=' | b'*' | b'_' | b'~' | b'#'))
}

fn is_heading(paragraph: &str) -> bool {
    paragraph.len() <= LONGEST_HEADING
        && !paragraph.contains('\n')
        && paragraph.chars().next().is_some_and(|first| first.is_uppercase() || first.is_numeric())
        && paragraph.chars().any(char::is_alphabetic)
        && !paragraph.ends_with(['.', '!', '?', ':', ';', ',', '"', '”', '。'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_items_and_headings_are_told_apart() {
        let text = "CHAPTER I\n\nIt was late.\nThe lamp was out.\n\n- first thing to do\n  goes on here\n- second thing to do\n\nTHE END\n";
        let outline = read(text);
        let blocks: Vec<(SentenceKind, &str)> =
            outline.blocks.iter().map(|block| (block.kind, block.text.text())).collect();
        assert_eq!(
            blocks,
            [
                (SentenceKind::Sentence, "It was late.\nThe lamp was out."),
                (SentenceKind::ListItem, "first thing to do\n  goes on here"),
                (SentenceKind::ListItem, "second thing to do"),
                (SentenceKind::Sentence, "THE END"),
            ]
        );
        assert_eq!(outline.title.as_deref(), Some("CHAPTER I"));
        assert_eq!(outline.blocks[0].section, 1);
    }
}

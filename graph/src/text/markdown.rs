//! Markdown to blocks: `CommonMark` with tables, footnotes, task lists, strikethrough and front matter.

use std::ops::Range;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::block::{Outline, one_line};
use super::document::SentenceKind;
use super::front_matter;
use super::mapped::MappedText;

/// Reads Markdown. Code blocks, HTML and images are no text; links are their text; a row of a table is written out with
/// the headings of its columns.
pub(super) fn read(source: &str) -> Outline {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_GFM
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS;
    let mut walk = Walk::new(source);
    for (event, span) in Parser::new_ext(source, options).into_offset_iter() {
        walk.event(event, span);
    }
    walk.finish()
}

struct Walk<'a> {
    source: &'a str,
    outline: Outline,
    current: MappedText,
    kind: SentenceKind,
    lists: usize,
    /// How many elements around us are no text.
    hidden: usize,
    front_matter: Option<String>,
    table: Table,
}

#[derive(Default)]
struct Table {
    headings: Vec<String>,
    row: Vec<(String, Range<usize>)>,
    in_head: bool,
}

impl<'a> Walk<'a> {
    fn new(source: &'a str) -> Self {
        Self {
            source,
            outline: Outline::new(),
            current: MappedText::default(),
            kind: SentenceKind::Sentence,
            lists: 0,
            hidden: 0,
            front_matter: None,
            table: Table::default(),
        }
    }

    fn event(&mut self, event: Event<'_>, span: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag, span),
            Event::Code(code) => self.code(&code, span),
            Event::SoftBreak | Event::HardBreak => self.space(span),
            Event::Text(text) | Event::InlineMath(text) | Event::DisplayMath(text) => self.text(&text, span),
            Event::Rule => self.flush(),
            Event::Html(_)
            | Event::InlineHtml(_)
            | Event::FootnoteReference(_)
            | Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::Heading { .. } | Tag::TableCell => self.flush(),
            Tag::Item => {
                self.flush();
                self.kind = SentenceKind::ListItem;
            }
            Tag::List(_) => {
                self.flush();
                self.lists += 1;
            }
            Tag::CodeBlock(_) | Tag::HtmlBlock => {
                self.flush();
                self.hidden += 1;
            }
            Tag::Image { .. } => self.hidden += 1,
            Tag::MetadataBlock(_) => self.front_matter = Some(String::new()),
            Tag::Table(_) => {
                self.flush();
                self.table = Table::default();
            }
            Tag::TableHead => self.table.in_head = true,
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd, span: Range<usize>) {
        match tag {
            TagEnd::Paragraph | TagEnd::Item => self.flush(),
            TagEnd::Heading(level) => self.heading(level),
            TagEnd::List(_) => {
                self.flush();
                self.lists = self.lists.saturating_sub(1);
                self.kind = if self.lists > 0 { SentenceKind::ListItem } else { SentenceKind::Sentence };
            }
            TagEnd::CodeBlock | TagEnd::HtmlBlock | TagEnd::Image => {
                self.hidden = self.hidden.saturating_sub(1);
            }
            TagEnd::MetadataBlock(_) => {
                if let Some(text) = self.front_matter.take() {
                    front_matter::read(&text, &mut self.outline);
                }
            }
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.current);
                self.table.row.push((one_line(cell.text()), span));
            }
            TagEnd::TableHead => {
                self.table.in_head = false;
                self.table.headings =
                    std::mem::take(&mut self.table.row).into_iter().map(|(text, _)| text).collect();
            }
            TagEnd::TableRow => self.row(span),
            _ => {}
        }
    }

    fn text(&mut self, text: &str, span: Range<usize>) {
        if let Some(front_matter) = &mut self.front_matter {
            front_matter.push_str(text);
        } else if self.hidden == 0 {
            self.current.push(text, span);
        }
    }

    fn code(&mut self, code: &str, span: Range<usize>) {
        if self.hidden > 0 {
            return;
        }
        // The span includes the backticks; what stands between them is the code itself, unless line breaks or spaces were
        // folded.
        let inner =
            self.source[span.clone()].find(code).map(|at| span.start + at..span.start + at + code.len());
        self.current.push_code(code, inner.unwrap_or(span));
    }

    fn space(&mut self, span: Range<usize>) {
        if self.hidden == 0 {
            self.current.push(" ", span);
        }
    }

    fn flush(&mut self) {
        let text = std::mem::take(&mut self.current);
        self.outline.push(self.kind, text);
    }

    fn heading(&mut self, level: HeadingLevel) {
        let heading = one_line(std::mem::take(&mut self.current).text());
        if !heading.is_empty() {
            self.outline.begin_section(&heading, level as usize);
        }
    }

    /// A row reads `subject: value` in two columns, `subject: heading value; heading value` in more.
    fn row(&mut self, span: Range<usize>) {
        let cells = std::mem::take(&mut self.table.row);
        let mut filled = cells.iter().enumerate().filter(|(_, (text, _))| !text.is_empty());
        let Some((_, (subject, _))) = filled.next() else { return };
        let wide = cells.len() > 2;
        let values: Vec<String> = filled
            .map(|(column, (text, _))| match self.table.headings.get(column) {
                Some(heading) if wide && !heading.is_empty() => format!("{heading} {text}"),
                _ => text.clone(),
            })
            .collect();
        let text =
            if values.is_empty() { subject.clone() } else { format!("{subject}: {}", values.join("; ")) };
        let end = span.start + self.source[span.clone()].trim_end().len();
        let mut row = MappedText::default();
        row.push(&text, span.start..end);
        self.outline.push(SentenceKind::TableRow, row);
    }

    fn finish(mut self) -> Outline {
        self.flush();
        self.outline
    }
}

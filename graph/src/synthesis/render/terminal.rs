//! On a terminal: wrapped to its width, with numbers for citations and the sources at the end.

use pulldown_cmark::{Event, Tag, TagEnd};
use textwrap::{Options, fill};

use super::Readable;
use super::cited::{Part, parts};

/// Lines longer than this are hard to read, however wide the terminal is.
const WIDEST: usize = 100;
const NARROWEST: usize = 20;

/// How a terminal shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal. Lines are at most 100 wide.
    pub width: usize,
    /// Whether to write bold and dim text, with ANSI sequences.
    pub colour: bool,
}

/// The text for a terminal, ending with a line break. Lines of code stay as long as they are.
///
/// Control characters in the text are left out, so that what stands in a source cannot steer the terminal.
#[must_use]
pub fn terminal(readable: &Readable<'_>, style: Style) -> String {
    let mut screen = Screen { style, out: String::new() };
    screen.block(&screen.bold(&printable(readable.title, false)), "", "");
    if !readable.about.is_empty() {
        screen.block(&screen.dim(&printable(readable.about, false)), "", "");
    }
    let mut reader = Reader::default();
    for part in parts(readable) {
        reader.take(part, &mut screen);
    }
    screen.sources(readable);
    screen.out.truncate(screen.out.trim_end().len());
    screen.out.push('\n');
    screen.out
}

/// What has been read of the block at hand.
#[derive(Default)]
struct Reader {
    text: String,
    /// For each open list the number of its next item, if it is numbered.
    lists: Vec<Option<u64>>,
    /// The mark of the item that begins here.
    mark: Option<String>,
    in_code: bool,
}

impl Reader {
    fn take(&mut self, part: Part<'_>, screen: &mut Screen) {
        match part {
            Part::Citation(number, _) => {
                self.text.push('\u{a0}');
                self.text.push_str(&screen.dim(&format!("[{number}]")));
            }
            Part::Event(event) => self.event(event, screen),
        }
    }

    fn event(&mut self, event: Event<'_>, screen: &mut Screen) {
        match event {
            Event::Text(text) | Event::Code(text) => self.text.push_str(&printable(&text, self.in_code)),
            Event::SoftBreak => self.text.push(' '),
            Event::HardBreak => self.text.push('\n'),
            Event::Rule => screen.block("* * *", "", ""),
            Event::Start(Tag::CodeBlock(_)) => {
                self.flush(screen);
                self.in_code = true;
            }
            Event::Start(Tag::List(first)) => {
                self.flush(screen);
                self.lists.push(first);
            }
            Event::Start(Tag::Item) => {
                self.flush(screen);
                self.mark = Some(self.next_mark());
            }
            Event::End(TagEnd::Heading(_)) => {
                let heading = screen.bold(&std::mem::take(&mut self.text));
                screen.block(&heading, "", "");
            }
            Event::End(TagEnd::CodeBlock) => {
                screen.code(&std::mem::take(&mut self.text));
                self.in_code = false;
            }
            Event::End(TagEnd::List(_)) => {
                self.flush(screen);
                self.lists.pop();
                if self.lists.is_empty() {
                    screen.out.push('\n');
                }
            }
            Event::End(TagEnd::Paragraph | TagEnd::Item | TagEnd::BlockQuote(_)) => self.flush(screen),
            _ => {}
        }
    }

    fn next_mark(&mut self) -> String {
        match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{}. ", *number - 1)
            }
            _ => "- ".to_owned(),
        }
    }

    fn flush(&mut self, screen: &mut Screen) {
        let text = std::mem::take(&mut self.text);
        if text.trim().is_empty() {
            return;
        }
        let depth = "  ".repeat(self.lists.len().saturating_sub(1));
        let mark = self.mark.take();
        let behind = if self.lists.is_empty() { String::new() } else { format!("{depth}  ") };
        let first = mark.map_or_else(|| behind.clone(), |mark| format!("{depth}{mark}"));
        screen.block(text.trim(), &first, &behind);
    }
}

struct Screen {
    style: Style,
    out: String,
}

impl Screen {
    fn block(&mut self, text: &str, first: &str, behind: &str) {
        let width = self.style.width.clamp(NARROWEST, WIDEST);
        let options = Options::new(width).initial_indent(first).subsequent_indent(behind);
        self.out.push_str(&fill(text, options));
        self.out.push_str(if behind.is_empty() { "\n\n" } else { "\n" });
    }

    fn code(&mut self, text: &str) {
        for line in text.lines() {
            self.out.push_str("    ");
            self.out.push_str(line);
            self.out.push('\n');
        }
        self.out.push('\n');
    }

    fn sources(&mut self, readable: &Readable<'_>) {
        if readable.document.sources.is_empty() {
            return;
        }
        self.block(&self.bold("Sources"), "", "");
        for source in &readable.document.sources {
            let uri = self.dim(&printable(&source.uri, false));
            let text = format!("{}  {uri}", printable(&source.title, false));
            self.block(&text, &format!("{:>3}  ", source.number), "     ");
        }
    }

    fn bold(&self, text: &str) -> String {
        self.styled("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.styled("2", text)
    }

    fn styled(&self, code: &str, text: &str) -> String {
        if self.style.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

fn printable(text: &str, keep_lines: bool) -> String {
    text.chars().filter(|character| !character.is_control() || (keep_lines && *character == '\n')).collect()
}

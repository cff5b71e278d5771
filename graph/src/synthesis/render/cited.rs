//! A text's events with its links resolved: citations are numbers, and nothing is left that leads nowhere.

use ackord_entities::ids::FactId;
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd};

use super::Readable;
use crate::synthesis::document::{Target, target_of};

/// Part of a text.
#[derive(Debug)]
pub(super) enum Part<'a> {
    /// Anything but links, images and raw HTML, which are resolved.
    Event(Event<'a>),
    /// A citation: the number of its source, and the fact.
    Citation(u32, FactId),
}

/// The parts of the text. Raw HTML becomes text; images become their descriptions; links keep their label, and those that
/// lead to a web page keep their address.
pub(super) fn parts<'a>(readable: &Readable<'a>) -> Vec<Part<'a>> {
    let mut parts: Vec<Part<'a>> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_ext(readable.markdown, Options::ENABLE_STRIKETHROUGH) {
        match event {
            Event::Start(Tag::Link { ref dest_url, .. }) => {
                let kind = kind_of(dest_url, readable);
                if matches!(kind, Kind::Page) {
                    parts.push(Part::Event(event));
                }
                open.push(Open { kind, start: parts.len() });
            }
            Event::End(TagEnd::Link) => close(open.pop(), event, &mut parts),
            Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => {}
            Event::Html(text) | Event::InlineHtml(text) => parts.push(Part::Event(Event::Text(text))),
            event => parts.push(Part::Event(event)),
        }
    }
    parts
}

/// A link that was not closed yet, and where its label begins.
struct Open {
    kind: Kind,
    start: usize,
}

enum Kind {
    Fact(Option<(u32, FactId)>),
    Page,
    Elsewhere,
}

fn kind_of(address: &CowStr<'_>, readable: &Readable<'_>) -> Kind {
    match target_of(address) {
        Some(Target::Fact(id)) => Kind::Fact(readable.document.number_of(id).map(|number| (number, id))),
        None if is_page(address) => Kind::Page,
        Some(Target::Node(_)) | None => Kind::Elsewhere,
    }
}

/// Whether an address may be followed from a page: nothing that runs, nothing relative to a place that is gone.
pub(super) fn is_page(address: &str) -> bool {
    let lower = address.to_ascii_lowercase();
    ["http://", "https://"].iter().any(|scheme| lower.starts_with(scheme))
}

fn close<'a>(open: Option<Open>, event: Event<'a>, parts: &mut Vec<Part<'a>>) {
    let Some(Open { kind, start }) = open else { return };
    match kind {
        Kind::Fact(citation) => {
            if label_is_mark(&parts[start..]) {
                parts.truncate(start);
                trim_end(parts);
            }
            parts.extend(citation.map(|(number, id)| Part::Citation(number, id)));
        }
        Kind::Page => parts.push(Part::Event(event)),
        Kind::Elsewhere => {}
    }
}

fn label_is_mark(label: &[Part<'_>]) -> bool {
    let text: String = label
        .iter()
        .map(|part| match part {
            Part::Event(Event::Text(text) | Event::Code(text)) => text.as_ref(),
            _ => "",
        })
        .collect();
    crate::synthesis::document::is_mark(&text)
}

/// Takes the space before a citation away: whoever shows it says how it stands off.
fn trim_end(parts: &mut [Part<'_>]) {
    if let Some(Part::Event(Event::Text(text))) = parts.last_mut() {
        *text = text.trim_end().to_owned().into();
    }
}

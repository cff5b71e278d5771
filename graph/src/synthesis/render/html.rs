//! As one page of HTML that needs nothing else: no script, no font, no image from anywhere.

use std::fmt::Write as _;

use ackord_entities::ids::FactId;
use pulldown_cmark::{Event, html::push_html};
use pulldown_cmark_escape::{escape_href, escape_html, escape_html_body_text};

use super::Readable;
use super::cited::{Part, is_page, parts};

const STYLE: &str = include_str!("page.css");

/// The text as a page. Each citation leads to its source, and shows the sentence that it quotes when one points at it; each
/// source lists the sentences that were taken from it.
#[must_use]
pub fn html(readable: &Readable<'_>) -> String {
    let title = text(readable.title);
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n<h1>{title}</h1>\n"
    );
    if !readable.about.is_empty() {
        let _ = writeln!(page, "<p class=\"about\">{}</p>", text(readable.about));
    }
    page.push_str("<article>\n");
    push_html(&mut page, parts(readable).into_iter().map(|part| event(part, readable)));
    page.push_str("</article>\n");
    push_sources(&mut page, readable);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn event<'a>(part: Part<'a>, readable: &Readable<'_>) -> Event<'a> {
    match part {
        Part::Event(event) => event,
        Part::Citation(number, fact) => Event::InlineHtml(citation(number, fact, readable).into()),
    }
}

fn citation(number: u32, fact: FactId, readable: &Readable<'_>) -> String {
    let quote = readable
        .quotes
        .get(&fact)
        .map(|quote| format!(" title=\"{}\"", attribute(quote)))
        .unwrap_or_default();
    format!("<sup class=\"citation\"><a href=\"#source-{number}\"{quote}>[{number}]</a></sup>")
}

fn push_sources(page: &mut String, readable: &Readable<'_>) {
    if readable.document.sources.is_empty() {
        return;
    }
    page.push_str("<section class=\"sources\">\n<h2>Sources</h2>\n<ol>\n");
    for source in &readable.document.sources {
        let title = text(&source.title);
        let uri = if is_page(&source.uri) {
            format!("<a href=\"{}\" rel=\"noreferrer\">{}</a>", href(&source.uri), text(&source.uri))
        } else {
            format!("<code>{}</code>", text(&source.uri))
        };
        let _ =
            write!(page, "<li id=\"source-{}\"><span class=\"title\">{title}</span> {uri}", source.number);
        let quotes: Vec<&String> = source.fact_ids.iter().filter_map(|id| readable.quotes.get(id)).collect();
        if !quotes.is_empty() {
            page.push_str("\n<ul>\n");
            for quote in quotes {
                let _ = writeln!(page, "<li>{}</li>", text(quote));
            }
            page.push_str("</ul>\n");
        }
        page.push_str("</li>\n");
    }
    page.push_str("</ol>\n</section>\n");
}

// Writing to a String cannot fail.
fn text(raw: &str) -> String {
    let mut out = String::new();
    let _ = escape_html_body_text(&mut out, raw);
    out
}

fn attribute(raw: &str) -> String {
    let mut out = String::new();
    let _ = escape_html(&mut out, raw);
    out
}

fn href(raw: &str) -> String {
    let mut out = String::new();
    let _ = escape_href(&mut out, raw);
    out
}

use std::sync::Arc;

use ackord_entities::graph::fact::FactType;
use ackord_entities::ids::{FactId, SourceId};
use uuid::Uuid;

use super::*;
use crate::synthesis::material::{Fact, Source};

fn fact(number: u128, source: u128, title: &str, uri: &str, text: &str) -> Fact {
    let source =
        Source { id: SourceId(Uuid::from_u128(source)), title: title.to_owned(), uri: uri.to_owned() };
    Fact {
        id: FactId(Uuid::from_u128(number)),
        text: text.to_owned(),
        fact_type: FactType::Sentence,
        source: Arc::new(source),
        position: 0,
        headings: vec![],
        nodes: vec![],
    }
}

fn facts() -> Vec<Fact> {
    vec![
        fact(1, 1, "The <engine>", "file:///docs/engine.md", "A lease is a claim that \"ends\" by itself."),
        fact(2, 2, "Field notes", "https://example.org/a?b=1&c=2", "Workers renew their leases."),
        fact(3, 1, "The <engine>", "file:///docs/engine.md", "Nobody <script>alert(1)</script> waits."),
    ]
}

fn text() -> String {
    let link = |number: u128| format!("/facts/{}", Uuid::from_u128(number));
    format!(
        "A [lease](/nodes/{node}) is a claim that ends by itself [1]({a}). Workers renew their leases [2]({b}) [1]({c}). \
         Unknown things are not cited [3]({unknown}).\n\n## What a worker does\n\n- It renews [source]({b}).\n- It waits.\n\n\
         1. First\n2. Second\n\nNobody <script>alert(1)</script> waits, see [here](javascript:alert(1)), \
         [there](https://example.org/) and ![a picture](https://example.org/x.png).\n\n```\nlet lease = take();\n```",
        node = Uuid::from_u128(9),
        a = link(1),
        b = link(2),
        c = link(3),
        unknown = link(99),
    )
}

fn shown(render: impl Fn(&Readable<'_>) -> String) -> String {
    let (markdown, facts) = (text(), facts());
    let document = Document::of(&markdown, &[], &facts);
    let quotes = facts.iter().map(|fact| (fact.id, fact.text.clone())).collect();
    render(&Readable {
        title: "Leases & <terms>",
        about: "Version 1, written by extractive",
        markdown: &markdown,
        document: &document,
        quotes: &quotes,
    })
}

#[test]
fn as_markdown() {
    insta::assert_snapshot!(shown(markdown));
}

#[test]
fn as_a_page() {
    insta::assert_snapshot!(shown(html));
}

#[test]
fn on_a_terminal() {
    insta::assert_snapshot!(shown(|readable| terminal(readable, Style { width: 60, colour: false })));
}

#[test]
fn a_page_runs_nothing_and_fetches_nothing() {
    let page = shown(html);
    for tag in ["<script", "<img", "<iframe", "javascript:", "<link", "url(", "@import", "src="] {
        assert!(!page.contains(tag), "{tag} stands in the page");
    }
}

#[test]
fn every_citation_of_a_page_has_its_anchor() {
    let page = shown(html);
    let targets: Vec<&str> =
        page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(targets.len(), 4);
    for target in targets {
        assert!(page.contains(&format!("id=\"{target}\"")), "{target}");
    }
}

#[test]
fn no_line_on_a_terminal_is_wider_than_it() {
    for width in [20, 33, 80, 400] {
        for line in shown(|readable| terminal(readable, Style { width, colour: true }))
            .lines()
            .filter(|line| !line.starts_with("    let"))
        {
            let visible = textwrap::core::display_width(line);
            assert!(visible <= width.min(100), "{visible} columns of {width}: {line}");
        }
    }
}

#[test]
fn a_source_cannot_steer_the_terminal() {
    let document = Document::default();
    let quotes = HashMap::new();
    let readable = Readable {
        title: "a\u{1b}[2Jb",
        about: "",
        markdown: "Text \u{1b}]0;title\u{7} here.",
        document: &document,
        quotes: &quotes,
    };
    let screen = terminal(&readable, Style { width: 80, colour: false });
    assert!(!screen.contains(['\u{1b}', '\u{7}']), "{screen:?}");
}

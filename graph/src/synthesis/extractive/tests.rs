use ackord_entities::testing::TestDatabase;

use super::*;
use crate::synthesis::corpus::{DOCUMENTS, import};
use crate::synthesis::document::{Document, FactLinkKind, visible};
use crate::synthesis::{Composed, ComposedText, Request, Run, compose as compose_text};

async fn composed(topic: &str, max_words: u32) -> Composed {
    let test = TestDatabase::sqlite().await;
    let graph = import(test.database(), "default", &DOCUMENTS).await;
    let request =
        Request { graph, topic: topic.to_owned(), starting_nodes: Vec::new(), budget: 20, max_words };
    compose_text(test.database().read(), &ExtractiveProducer, &request, &Run::unwatched()).await.unwrap()
}

async fn text_about(topic: &str, max_words: u32) -> ComposedText {
    composed(topic, max_words).await.text.unwrap()
}

/// The text as a reader sees it, with `[1]` for a citation, and the titles of its sources.
fn readable(text: &ComposedText) -> String {
    let mut out = text.markdown.clone();
    while let Some(start) = out.find("](/facts/") {
        let end = start + out[start..].find(')').unwrap();
        out.replace_range(start + 1..=end, "");
    }
    let titles: Vec<String> =
        text.document.sources.iter().map(|source| format!("{}. {}", source.number, source.title)).collect();
    format!("{out}\n\n{}", titles.join("\n"))
}

#[tokio::test]
async fn a_text_about_leases() {
    insta::assert_snapshot!(readable(&text_about("Leases", 300).await));
}

#[tokio::test]
async fn every_sentence_but_the_headings_cites_a_fact_that_says_it() {
    let text = text_about("leases and the outbox", 400).await;
    let headings: Vec<&str> = text.markdown.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    for sentence in &text.document.sentences {
        if headings.contains(&sentence.text.as_str()) {
            continue;
        }
        let best = sentence.fact_links.iter().map(|link| link.similarity).fold(0.0, f64::max);
        assert!(best > 0.99, "{best}: {}", sentence.text);
        assert!(sentence.fact_links.iter().all(|link| link.link == FactLinkKind::Cited));
    }
    assert_eq!(
        Document::of(&text.markdown, &[], &[]).stats.sentences_count,
        text.document.stats.sentences_count
    );
}

#[tokio::test]
async fn a_text_begins_with_what_the_topic_is() {
    let text = text_about("What is the outbox?", 300).await;
    let first = visible(&text.document.sentences[0].text);
    assert_eq!(first, "The outbox is a table of messages that wait for the broker.");
}

#[tokio::test]
async fn a_sentence_that_leans_stands_behind_the_one_it_leans_on_or_not_at_all() {
    let text = text_about("leases of a frozen worker expire", 400).await;
    let sentences: Vec<String> =
        text.document.sentences.iter().map(|sentence| visible(&sentence.text)).collect();
    let leaning = sentences.iter().position(|sentence| sentence.starts_with("It asks"));
    if let Some(leaning) = leaning {
        assert!(sentences[leaning - 1].starts_with("A worker renews"), "{sentences:#?}");
    }
    assert!(sentences.iter().all(|sentence| !sentence.starts_with("See ") && !sentence.contains("::")));
}

#[tokio::test]
async fn what_two_sources_say_is_said_once_and_cites_both() {
    let text = text_about("Leases", 300).await;
    let claims: Vec<_> =
        text.document.sentences.iter().filter(|sentence| sentence.text.contains("exclusive claim")).collect();
    assert_eq!(claims.len(), 1);
    assert_eq!(claims[0].fact_links.len(), 2);
}

#[tokio::test]
async fn a_text_is_about_as_long_as_it_may_be() {
    let words = |text: &ComposedText| visible(&text.markdown).split_whitespace().count();
    let (short, long) = (text_about("Leases", 50).await, text_about("Leases", 400).await);
    assert!(words(&short) <= 60, "{}", words(&short));
    assert!(words(&long) > words(&short));
}

#[tokio::test]
async fn a_topic_without_facts_gives_no_text() {
    let composed = composed("the migration of arctic birds", 300).await;
    let why = composed.text.unwrap_err();
    assert_eq!(why.code, "no_facts");
    assert!(why.public.contains("the migration of arctic birds"), "{}", why.public);
}

#[tokio::test]
async fn facts_that_cannot_be_quoted_give_no_text() {
    let test = TestDatabase::sqlite().await;
    let documents = [("a.md", "# Zebra\n\n- zebra crossing\n- zebra stripes\n- a zebra\n")];
    let graph = import(test.database(), "default", &documents).await;
    let request =
        Request { graph, topic: "zebra".to_owned(), starting_nodes: vec![], budget: 5, max_words: 100 };
    let composed =
        compose_text(test.database().read(), &ExtractiveProducer, &request, &Run::unwatched()).await.unwrap();
    assert_eq!(composed.text.unwrap_err().code, "no_usable_facts");
}

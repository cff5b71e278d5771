use std::sync::Arc;

use ackord_entities::graph::fact::FactType;
use ackord_entities::ids::{NodeId, SourceId};
use ackord_entities::testing::TestDatabase;
use proptest::prelude::*;
use rstest::rstest;
use uuid::Uuid;

use super::*;
use crate::synthesis::corpus::{DOCUMENTS, import};
use crate::synthesis::document::{linked_nodes, visible};
use crate::synthesis::material::{Node, Source};
use crate::synthesis::{ExtractiveProducer, Request, Run, compose as compose_text};

fn written(parts: &Parts) -> String {
    match write(parts) {
        Written::Text(text) => text,
        Written::NoText(why) => panic!("{why:?}"),
    }
}

fn document(parts: &Parts, markdown: &str) -> Document {
    let missing = parts.missing.iter().map(|part| Node {
        id: NodeId(part.id.0),
        name: format!("{} [UTC]", part.topic),
        aliases: vec![],
        node_type: ackord_entities::graph::node::NodeType::Synthesis,
    });
    Document::of(markdown, &missing.collect::<Vec<_>>(), &parts.facts)
}

/// Sentences of the text that nothing is behind, headings aside.
fn uncited(parts: &Parts, markdown: &str) -> Vec<String> {
    let headings: Vec<&str> = markdown.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let missing: Vec<NodeId> = parts.missing.iter().map(|part| NodeId(part.id.0)).collect();
    let behind = |sentence: &crate::synthesis::document::Sentence| {
        !sentence.fact_links.is_empty() || linked_nodes(&sentence.text).iter().any(|id| missing.contains(id))
    };
    document(parts, markdown)
        .sentences
        .into_iter()
        .filter(|sentence| !headings.contains(&sentence.text.as_str()) && !behind(sentence))
        .map(|sentence| sentence.text)
        .collect()
}

fn missing(topic: &str) -> MissingPart {
    MissingPart {
        id: SynthesisId(Uuid::from_u128(7)),
        topic: topic.to_owned(),
        code: "no_facts".to_owned(),
        operator: "nothing was found".to_owned(),
        public: format!("The graph holds no facts about “{topic}”."),
    }
}

/// Parts about `topics`, as the default writer writes them.
async fn parts_about(whole: &str, topics: &[&str]) -> Parts {
    let test = TestDatabase::sqlite().await;
    let graph = import(test.database(), "default", &DOCUMENTS).await;
    let (mut texts, mut facts) = (Vec::new(), Vec::new());
    for topic in topics {
        let request =
            Request { graph, topic: (*topic).to_owned(), starting_nodes: vec![], budget: 20, max_words: 300 };
        let text = compose_text(test.database().read(), &ExtractiveProducer, &request, &Run::unwatched())
            .await
            .unwrap()
            .text
            .unwrap();
        let cited = text.document.sources.iter().flat_map(|source| source.fact_ids.iter().copied());
        let found = ackord_entities::graph::fact::by_ids(test.database().read(), cited).await.unwrap();
        facts.extend(crate::search::with_places(test.database().read(), graph, found).await.unwrap());
        texts.push(PartText {
            id: SynthesisId::new(),
            topic: (*topic).to_owned(),
            markdown: text.markdown,
            document: text.document,
        });
    }
    facts.sort_by_key(|fact: &Fact| fact.id);
    facts.dedup_by_key(|fact| fact.id);
    Parts { topic: whole.to_owned(), texts, missing: vec![], facts }
}

/// The text as a reader sees it, with `[1]` for a citation.
fn readable(markdown: &str) -> String {
    let mut out = markdown.to_owned();
    while let Some(start) = out.find("](/facts/") {
        let end = start + out[start..].find(')').unwrap();
        out.replace_range(start + 1..=end, "");
    }
    out
}

#[tokio::test]
async fn a_text_about_leases_and_the_outbox_reads_as_one() {
    let topics = ["Leases", "The outbox", "Expired leases"];
    let mut parts = parts_about("How jobs survive crashes", &topics).await;
    parts.missing.push(missing("Arctic glaciers"));
    let text = written(&parts);
    assert_eq!(uncited(&parts, &text), Vec::<String>::new());
    let sentences: Vec<String> =
        document(&parts, &text).sentences.iter().map(|sentence| visible(&sentence.text)).collect();
    let mut distinct = sentences.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), sentences.len(), "nothing is said twice: {sentences:#?}");
    insta::assert_snapshot!(readable(&text));
}

/// Facts and a text of them: each sentence is a fact of the source with this number.
fn part(topic: &str, sentences: &[(&str, u128)], facts: &mut Vec<Fact>) -> PartText {
    let mut markdown = Vec::new();
    for (text, source) in sentences {
        let id = ackord_entities::ids::FactId(Uuid::from_u128(1_000 + facts.len() as u128));
        let source = Source {
            id: SourceId(Uuid::from_u128(*source)),
            title: format!("Source {source}"),
            uri: format!("{source}.md"),
        };
        facts.push(Fact {
            id,
            text: (*text).to_owned(),
            fact_type: FactType::Sentence,
            source: Arc::new(source),
            position: u32::try_from(facts.len()).unwrap(),
            headings: vec![],
            nodes: vec![],
        });
        markdown.push(crate::synthesis::extractive::cite_markdown(text, &[(1, id)]));
    }
    let markdown = markdown.join(" ");
    let document = Document::of(&markdown, &[], facts);
    PartText { id: SynthesisId::new(), topic: topic.to_owned(), markdown, document }
}

fn parts(texts: &[(&str, &[(&str, u128)])]) -> Parts {
    let mut facts = Vec::new();
    let texts = texts.iter().map(|(topic, sentences)| part(topic, sentences, &mut facts)).collect();
    Parts { topic: "Engines".to_owned(), texts, missing: vec![], facts }
}

#[test]
fn what_two_parts_say_is_said_once_with_the_citations_of_both() {
    let parts = parts(&[
        ("Leases", &[("A lease is an exclusive claim on a key.", 1), ("Workers renew their leases.", 1)]),
        ("Keys", &[("A lease is an exclusive claim upon one key.", 2), ("A key names a graph.", 2)]),
    ]);
    let text = written(&parts);
    let document = document(&parts, &text);
    let claims: Vec<_> =
        document.sentences.iter().filter(|sentence| sentence.text.contains("exclusive claim")).collect();
    assert_eq!((claims.len(), claims[0].fact_links.len()), (1, 2), "{text}");
    assert_eq!(document.sources.len(), 2);
}

#[rstest]
#[case::numbers(
    "A worker renews each lease after ten seconds.",
    "A worker renews each lease after 30 seconds.",
    true
)]
#[case::negation("The relay writes the state of a job.", "The relay never writes the state of a job.", true)]
#[case::the_same_number(
    "A worker renews each lease after ten seconds.",
    "A worker renews each lease after 10 seconds.",
    false
)]
#[case::other_things("The table of jobs has five columns.", "A sweeper wakes up every 7 seconds.", false)]
fn sources_that_contradict_each_other_are_named(
    #[case] one: &str,
    #[case] other: &str,
    #[case] differ: bool,
) {
    let parts = parts(&[
        ("Leases", &[(one, 1), ("A lease has a holder.", 1)]),
        ("Workers", &[(other, 2), ("A worker has a name.", 2)]),
    ]);
    let text = written(&parts);
    assert_eq!(text.contains("## Where the sources differ"), differ, "{text}");
    assert_eq!(uncited(&parts, &text), Vec::<String>::new());
    if differ {
        let item = text.lines().find(|line| line.contains("Against it:")).unwrap();
        assert!(item.contains("/facts/") && item.matches("](/facts/").count() == 2, "{item}");
        assert_eq!(text.matches(&one[..20]).count(), if one[..20] == other[..20] { 2 } else { 1 }, "{text}");
    }
}

#[test]
fn one_source_does_not_contradict_itself() {
    let parts = parts(&[
        ("Leases", &[("The first lease ends after ten seconds.", 1), ("A lease has a holder.", 1)]),
        ("Workers", &[("The first lease ends after 30 seconds.", 1), ("A worker has a name.", 2)]),
    ]);
    let text = written(&parts);
    assert!(!text.contains("## Where the sources differ"), "{text}");
    assert!(
        text.contains("ten seconds") && text.contains("30 seconds"),
        "neither swallows the other: {text}"
    );
}

#[test]
fn a_sentence_whose_fact_is_gone_is_left_out() {
    let mut parts = parts(&[("Leases", &[("A lease has a holder.", 1), ("A lease ends by itself.", 1)])]);
    parts.facts.remove(0);
    let text = written(&parts);
    assert!(!text.contains("holder") && text.contains("ends by itself"), "{text}");
    parts.facts.clear();
    assert!(matches!(write(&parts), Written::NoText(NoText { code: "no_usable_facts", .. })));
}

#[test]
fn a_sentence_that_leans_stays_behind_the_one_it_leans_on() {
    let parts = parts(&[
        ("Leases", &[("A lease is a claim.", 1), ("It ends by itself.", 1), ("A worker renews it.", 1)]),
        ("Claims", &[("A lease is a claim.", 2), ("It has a term.", 2), ("The outbox is a table.", 2)]),
    ]);
    let text = visible(&written(&parts));
    let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("`{words}` is not in {text}"));
    assert!(
        at("A lease is a claim") < at("It ends") && at("A lease is a claim") < at("It has a term"),
        "{text}"
    );
    assert!(at("It has a term") < at("The outbox") || at("The outbox") < at("A lease is a claim"), "{text}");
}

#[test]
fn a_missing_part_is_named_whatever_it_is_called() {
    let mut parts = parts(&[("Leases", &[("A lease has a holder.", 1)])]);
    for topic in ["Arctic [glaciers]", "# 1. *stars*", "a](/nodes/x) b", "<b>"] {
        parts.missing = vec![missing(topic)];
        let text = written(&parts);
        assert_eq!(uncited(&parts, &text), Vec::<String>::new(), "{text}");
        assert_eq!(linked_nodes(&text), [NodeId(parts.missing[0].id.0)], "{text}");
    }
}

fn sentences() -> impl Strategy<Value = Vec<(String, u128)>> {
    let sentence = "[A-Z][a-z]{2,8}( [a-z0-9]{1,8}){2,9}[.!?]?";
    let known = prop::sample::select(vec![
        "A lease is a claim on a key.",
        "It ends after ten seconds.",
        "A lease is a claim on one key.",
        "The relay never writes state, e.g.\u{a0}of jobs.",
        "However, \\*stars\\* and snake_case stay.",
    ]);
    let one = prop_oneof![sentence.prop_map(String::from), known.prop_map(str::to_owned)];
    prop::collection::vec((one, 1_u128..5), 1..9)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_sentence_of_a_combined_text_cites(
        texts in prop::collection::vec(sentences(), 1..6), absent in prop::collection::vec("[A-Za-z \\[\\]*#]{1,20}", 0..3),
    ) {
        let mut facts = Vec::new();
        let texts: Vec<PartText> = texts
            .iter()
            .enumerate()
            .map(|(index, sentences)| {
                let sentences: Vec<(&str, u128)> = sentences.iter().map(|(text, source)| (text.as_str(), *source)).collect();
                part(&format!("Part {index}"), &sentences, &mut facts)
            })
            .collect();
        let absent = absent.iter().map(|topic| missing(topic)).collect();
        let parts = Parts { topic: "Claims".to_owned(), texts, missing: absent, facts };
        let text = written(&parts);
        prop_assert_eq!(uncited(&parts, &text), Vec::<String>::new(), "{}", text);
        prop_assert_eq!(written(&parts), text, "the same parts give the same text");
    }
}

//! From a text, and what is known of the graph, to its structure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ackord_entities::ids::{FactId, NodeId, SourceId};
use sea_orm::ActiveEnum as _;
use serde::{Deserialize, Serialize};

use super::links::cited_facts;
use super::names::{Names, NodeLink};
use super::similarity::Bag;
use super::split::split;
use crate::synthesis::material::{Fact, Node, Source};

/// Facts that a sentence without citations is linked to, at most.
const MOST_SIMILAR: usize = 5;
/// What is less similar than this is not linked.
const LEAST_SIMILARITY: f64 = 0.6;

/// The structure of a text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The sentences, headings and list items, in the order of the text.
    pub sentences: Vec<Sentence>,
    /// The nodes that the sentences refer to, each once, in the order of the text.
    pub referenced_nodes: Vec<ReferencedNode>,
    /// The sources of the linked facts, in the order of the text: the numbers that a reader sees.
    pub sources: Vec<CitedSource>,
    /// Counts.
    pub stats: Stats,
}

/// One sentence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sentence {
    /// The sentence as it stands in the text, links included.
    pub text: String,
    /// Its place, from 0, without gaps.
    pub position: u32,
    /// The facts behind it: those that it cites, in order; without citations the most similar first.
    pub fact_links: Vec<FactLink>,
    /// The nodes that it refers to.
    pub node_ids: Vec<NodeId>,
}

/// A fact behind a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FactLink {
    /// The fact.
    pub fact_id: FactId,
    /// Likeness of the words of sentence and fact, 0 to 1, higher is closer, 4 decimals.
    pub similarity: f64,
    /// Why it is linked.
    pub link: FactLinkKind,
}

/// Why a fact is linked to a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactLinkKind {
    /// The text cites it.
    Cited,
    /// The text cites nothing here, and the words are alike.
    Similar,
}

/// A node that a text refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferencedNode {
    /// The node.
    pub node_id: NodeId,
    /// Its first name.
    pub concept: String,
    /// What it is.
    pub node_type: String,
    /// The strongest way in which a sentence refers to it.
    pub link: NodeLink,
}

/// A source that facts of a text come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CitedSource {
    /// Its number in the text, from 1.
    pub number: u32,
    /// The source.
    pub source_id: SourceId,
    /// Its title when the text was written.
    pub title: String,
    /// Its address when the text was written.
    pub uri: String,
    /// The linked facts from it, in the order of the text.
    pub fact_ids: Vec<FactId>,
}

/// Counts of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Sentences, headings and list items included.
    pub sentences_count: u32,
    /// Different facts that are linked.
    pub facts_linked: u32,
    /// Different nodes that are referred to.
    pub nodes_referenced: u32,
}

impl Document {
    /// The structure of `markdown`, whose links are canonical ([`normalise_links`](super::normalise_links)).
    ///
    /// `nodes` and `facts` are what one graph is known to hold: a link to anything else is not taken over. A sentence
    /// without a citation is linked to the facts with the most similar words, out of those that tell about a node that
    /// the text refers to.
    #[must_use]
    pub fn of(markdown: &str, nodes: &[Node], facts: &[Fact]) -> Self {
        let names = Names::of(nodes);
        let texts = split(markdown);
        let by_id: HashMap<NodeId, &Node> = nodes.iter().map(|node| (node.id, node)).collect();
        let node_links: Vec<Vec<(NodeId, NodeLink)>> = texts
            .iter()
            .map(|text| {
                names.in_sentence(text).into_iter().filter(|(id, _)| by_id.contains_key(id)).collect()
            })
            .collect();
        let referenced_nodes = referenced(&node_links, &by_id);
        let known = KnownFacts::of(facts, &referenced_nodes);
        let sentences: Vec<Sentence> = (0..)
            .zip(texts.into_iter().zip(node_links))
            .map(|(position, (text, nodes))| Sentence {
                fact_links: known.behind(&text),
                node_ids: nodes.into_iter().map(|(id, _)| id).collect(),
                text,
                position,
            })
            .collect();
        let sources = sources(&sentences, &known);
        let stats = Stats::of(&sentences, &referenced_nodes);
        Self { sentences, referenced_nodes, sources, stats }
    }

    /// The number of the source of a linked fact, as a reader sees it.
    #[must_use]
    pub fn number_of(&self, fact: FactId) -> Option<u32> {
        self.sources.iter().find(|source| source.fact_ids.contains(&fact)).map(|source| source.number)
    }
}

impl Stats {
    fn of(sentences: &[Sentence], nodes: &[ReferencedNode]) -> Self {
        let facts: HashSet<FactId> =
            sentences.iter().flat_map(|sentence| &sentence.fact_links).map(|link| link.fact_id).collect();
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Self {
            sentences_count: count(sentences.len()),
            facts_linked: count(facts.len()),
            nodes_referenced: count(nodes.len()),
        }
    }
}

fn referenced(sentences: &[Vec<(NodeId, NodeLink)>], nodes: &HashMap<NodeId, &Node>) -> Vec<ReferencedNode> {
    let mut found: Vec<ReferencedNode> = Vec::new();
    for (id, link) in sentences.iter().flatten() {
        if let Some(known) = found.iter_mut().find(|node| node.node_id == *id) {
            known.link = known.link.max(*link);
        } else if let Some(node) = nodes.get(id) {
            found.push(ReferencedNode {
                node_id: *id,
                concept: node.name.clone(),
                node_type: node.node_type.to_value(),
                link: *link,
            });
        }
    }
    found
}

/// Facts by id, and the words of those that may be linked without a citation.
struct KnownFacts<'a> {
    by_id: HashMap<FactId, (&'a Fact, Bag)>,
    of_referenced_nodes: Vec<FactId>,
}

impl<'a> KnownFacts<'a> {
    fn of(facts: &'a [Fact], referenced: &[ReferencedNode]) -> Self {
        let referenced: HashSet<NodeId> = referenced.iter().map(|node| node.node_id).collect();
        let about_them = |fact: &&Fact| fact.nodes.iter().any(|node| referenced.contains(node));
        Self {
            of_referenced_nodes: facts.iter().filter(about_them).map(|fact| fact.id).collect(),
            by_id: facts.iter().map(|fact| (fact.id, (fact, Bag::of(&fact.text)))).collect(),
        }
    }

    fn behind(&self, sentence: &str) -> Vec<FactLink> {
        let words = Bag::of(&super::visible(sentence));
        let cited = self.linked(cited_facts(sentence), &words, FactLinkKind::Cited);
        if !cited.is_empty() {
            return cited;
        }
        let mut similar =
            self.linked(self.of_referenced_nodes.iter().copied(), &words, FactLinkKind::Similar);
        similar.retain(|link| link.similarity >= LEAST_SIMILARITY);
        similar.sort_by(|left, right| {
            right.similarity.total_cmp(&left.similarity).then(left.fact_id.cmp(&right.fact_id))
        });
        similar.truncate(MOST_SIMILAR);
        similar
    }

    fn linked(
        &self,
        ids: impl IntoIterator<Item = FactId>,
        words: &Bag,
        link: FactLinkKind,
    ) -> Vec<FactLink> {
        ids.into_iter()
            .filter_map(|fact_id| {
                let (_, fact_words) = self.by_id.get(&fact_id)?;
                Some(FactLink { fact_id, similarity: words.similarity(fact_words), link })
            })
            .collect()
    }

    fn source_of(&self, fact: FactId) -> Option<&Arc<Source>> {
        self.by_id.get(&fact).map(|(fact, _)| &fact.source)
    }
}

fn sources(sentences: &[Sentence], known: &KnownFacts<'_>) -> Vec<CitedSource> {
    let mut found: Vec<CitedSource> = Vec::new();
    for fact_id in sentences.iter().flat_map(|sentence| &sentence.fact_links).map(|link| link.fact_id) {
        let Some(source) = known.source_of(fact_id) else { continue };
        if let Some(cited) = found.iter_mut().find(|cited| cited.source_id == source.id) {
            if !cited.fact_ids.contains(&fact_id) {
                cited.fact_ids.push(fact_id);
            }
        } else {
            found.push(CitedSource {
                number: u32::try_from(found.len() + 1).unwrap_or(u32::MAX),
                source_id: source.id,
                title: source.title.clone(),
                uri: source.uri.clone(),
                fact_ids: vec![fact_id],
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use ackord_entities::graph::fact::FactType;
    use ackord_entities::graph::node::NodeType;
    use uuid::Uuid;

    use super::*;

    fn fact(number: u128, source: u128, text: &str, node: u128) -> Fact {
        Fact {
            id: FactId(Uuid::from_u128(number)),
            text: text.to_owned(),
            fact_type: FactType::Sentence,
            source: Arc::new(Source {
                id: SourceId(Uuid::from_u128(source)),
                title: format!("Source {source}"),
                uri: format!("{source}.md"),
            }),
            position: 0,
            headings: vec![],
            nodes: vec![NodeId(Uuid::from_u128(node))],
        }
    }

    fn node(number: u128, name: &str) -> Node {
        let id = NodeId(Uuid::from_u128(number));
        Node { id, name: name.to_owned(), aliases: vec![], node_type: NodeType::Term }
    }

    #[test]
    fn an_empty_text_is_an_empty_document() {
        let document = Document::of("  \n", &[node(1, "lease")], &[fact(1, 1, "A lease.", 1)]);
        assert_eq!(document, Document::default());
    }

    #[test]
    fn citations_count_before_similar_words() {
        let facts = [fact(1, 1, "Leases expire.", 1), fact(2, 2, "Something else entirely.", 1)];
        let text = format!("Leases expire [x](/facts/{}). The lease: leases expire.", facts[1].id);
        let document = Document::of(&text, &[node(1, "lease")], &facts);
        let links: Vec<_> = document.sentences.iter().map(|sentence| sentence.fact_links.clone()).collect();
        assert_eq!((links[0].len(), links[0][0].fact_id), (1, facts[1].id));
        assert_eq!(links[0][0].link, FactLinkKind::Cited);
        assert_eq!((links[1][0].fact_id, links[1][0].link), (facts[0].id, FactLinkKind::Similar));
        assert_eq!(document.sources.iter().map(|source| source.number).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(document.number_of(facts[0].id), Some(2));
        assert_eq!(document.stats, Stats { sentences_count: 2, facts_linked: 2, nodes_referenced: 1 });
    }

    #[test]
    fn similar_facts_are_those_of_referenced_nodes_only() {
        let facts = [fact(1, 1, "Leases expire.", 1), fact(2, 1, "Leases expire.", 2)];
        let document =
            Document::of("A lease, leases expire.", &[node(1, "lease"), node(2, "outbox")], &facts);
        let linked: Vec<_> = document.sentences[0].fact_links.iter().map(|link| link.fact_id).collect();
        assert_eq!(linked, [facts[0].id]);
    }

    #[test]
    fn at_most_five_similar_facts_are_linked_and_none_below_the_bound() {
        let mut facts: Vec<Fact> = (1..=7).map(|number| fact(number, 1, "A lease expires.", 1)).collect();
        facts.push(fact(8, 1, "A lease is a claim on a key which ends by itself.", 1));
        let document = Document::of("A lease expires.", &[node(1, "lease")], &facts);
        let linked: Vec<_> =
            document.sentences[0].fact_links.iter().map(|link| link.fact_id.0.as_u128()).collect();
        assert_eq!(linked, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn links_to_what_the_graph_does_not_hold_are_not_taken_over() {
        let unknown = Uuid::from_u128(99);
        let text = format!("A [thing](/nodes/{unknown}) is [1](/facts/{unknown}) here.");
        let document = Document::of(&text, &[node(1, "lease")], &[fact(1, 1, "A lease.", 1)]);
        assert_eq!(document.stats, Stats { sentences_count: 1, facts_linked: 0, nodes_referenced: 0 });
    }

    #[test]
    fn a_known_node_is_referenced_by_an_explicit_link_under_any_label() {
        let text = format!("Said of [that one](/nodes/{}).", Uuid::from_u128(1));
        let document = Document::of(&text, &[node(1, "lease")], &[]);
        assert_eq!(document.referenced_nodes[0].link, NodeLink::Explicit);
        assert_eq!(document.referenced_nodes[0].concept, "lease");
    }

    #[test]
    fn a_document_survives_its_json() {
        let facts = [fact(1, 1, "Leases expire.", 1)];
        let document = Document::of("A lease: leases expire.", &[node(1, "lease")], &facts);
        let json = serde_json::to_string(&document).unwrap();
        assert_eq!(serde_json::from_str::<Document>(&json).unwrap(), document);
    }
}

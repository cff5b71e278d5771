//! What a writer is given, and what it gives back.

use ackord_entities::ids::NodeId;

use super::material::{Fact, Node};

/// Everything that was found about a topic.
#[derive(Clone, Debug)]
pub struct Brief {
    /// What to write about.
    pub topic: String,
    /// The nodes that were visited, in the order of the visits.
    pub nodes: Vec<VisitedNode>,
    /// The facts, by source and position.
    pub facts: Vec<ScoredFact>,
    /// Visits that are left.
    pub budget_left: u32,
    /// The text may have about this many words; citations do not count.
    pub max_words: u32,
}

/// A node that was visited.
#[derive(Clone, Debug, PartialEq)]
pub struct VisitedNode {
    /// The node.
    pub node: Node,
    /// How much it has to do with the topic: 1 for a starting node, above 0 for all others.
    pub relevance: f64,
}

/// A fact and how much it has to do with the topic.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredFact {
    /// The fact.
    pub fact: Fact,
    /// Relevance: above 0 for what belongs to the topic; 0 for a sentence that only stands beside such a one.
    pub score: f64,
}

/// What came of writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The text: Markdown without a title, whose sentences cite facts as `[label](/facts/<id>)`.
    Text(String),
    /// There is none.
    NoText(NoText),
}

/// Why there is no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoText {
    /// For programs: `no_facts`, `no_usable_facts`, `no_text`; of a model also `no_citations`, `malformed_calls`, `refused`, `over_budget`.
    pub code: &'static str,
    /// For operators: what was looked for and what was found.
    pub reason: String,
    /// For everybody.
    pub public: String,
}

impl NoText {
    /// The graph knows nothing about the topic.
    #[must_use]
    pub fn no_facts(topic: &str, reason: impl Into<String>) -> Self {
        let public =
            format!("The graph holds no facts about “{topic}”. Import documents about it and try again.");
        Self { code: "no_facts", reason: reason.into(), public }
    }

    /// The writer gave back nothing.
    #[must_use]
    pub fn empty(topic: &str) -> Self {
        let reason = "the writer gave back an empty text".to_owned();
        Self { code: "no_text", reason, public: format!("No text about “{topic}” came of it.") }
    }

    /// The graph knows something, but nothing that can be quoted.
    #[must_use]
    pub fn no_usable_facts(topic: &str, reason: impl Into<String>) -> Self {
        let public = format!("What the graph holds about “{topic}” cannot be quoted as text.");
        Self { code: "no_usable_facts", reason: reason.into(), public }
    }
}

impl Brief {
    /// The visited node with this id.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&VisitedNode> {
        self.nodes.iter().find(|visited| visited.node.id == id)
    }
}

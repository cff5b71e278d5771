//! The kind `synthesis`: write about a topic from the facts of a graph.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{LINE, at_most, between, line};
use super::{Invalid, Job};
use crate::graph::{graphs, node};
use crate::ids::NodeId;

pub(super) const TOPIC: usize = 500;
pub(super) const NAME: usize = 200;
pub(super) const STARTING_NODES: usize = 50;
pub(super) const BUDGET: RangeInclusive<u32> = 1..=200;
pub(super) const WORDS: RangeInclusive<u32> = 50..=5_000;

/// Write about a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = Synthesis::about("How leases keep two workers apart"), example = Synthesis::example())]
pub struct Synthesis {
    /// What to write about: one line of at most 500 characters.
    #[schemars(length(min = 1, max = TOPIC), regex(pattern = LINE))]
    pub topic: String,
    /// Nodes of the graph to begin with, in this order; without any, those that the topic names.
    #[serde(default)]
    #[schemars(length(max = STARTING_NODES))]
    pub starting_node_ids: Vec<NodeId>,
    /// Nodes that may be visited. Searching costs nothing.
    #[serde(default = "default_budget")]
    #[schemars(range(min = *BUDGET.start(), max = *BUDGET.end()))]
    pub exploration_budget: u32,
    /// Who may see the result.
    #[serde(default)]
    pub visibility: Visibility,
    /// Who asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME), regex(pattern = LINE))]
    pub creator_id: Option<String>,
    /// The graph, by its slug or its id.
    #[serde(default = "default_graph")]
    #[schemars(length(min = 1, max = NAME), regex(pattern = LINE))]
    pub graph: String,
    /// The text may have about this many words.
    #[serde(default = "default_words")]
    #[schemars(range(min = *WORDS.start(), max = *WORDS.end()))]
    pub max_words: u32,
}

/// Who may see a synthesis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Everybody who may read the graph.
    #[default]
    Public,
    /// Its creator.
    Private,
}

impl From<Visibility> for node::Visibility {
    fn from(visibility: Visibility) -> Self {
        match visibility {
            Visibility::Public => Self::Public,
            Visibility::Private => Self::Private,
        }
    }
}

pub(super) fn default_budget() -> u32 {
    20
}

pub(super) fn default_graph() -> String {
    graphs::DEFAULT.to_owned()
}

pub(super) fn default_words() -> u32 {
    500
}

/// Where a text is asked for, and by whom.
pub(super) fn check_asker(graph: &str, creator: Option<&str>) -> Result<(), Invalid> {
    line("graph", graph, NAME)?;
    creator.map_or(Ok(()), |creator| line("creator_id", creator, NAME))
}

/// One text: what it is about and how far it may go. `within` stands before the names of its fields.
pub(super) fn check_text(
    within: &str,
    topic: &str,
    starting_nodes: &[NodeId],
    budget: u32,
    words: u32,
) -> Result<(), Invalid> {
    let field = |name: &str| format!("{within}{name}");
    line(&field("topic"), topic, TOPIC)?;
    at_most(&field("starting_node_ids"), starting_nodes, STARTING_NODES)?;
    between(&field("exploration_budget"), budget, &BUDGET)?;
    between(&field("max_words"), words, &WORDS)
}

impl Synthesis {
    /// A synthesis about `topic` in the default graph, with all defaults.
    pub fn about(topic: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            starting_node_ids: Vec::new(),
            exploration_budget: default_budget(),
            visibility: Visibility::default(),
            creator_id: None,
            graph: default_graph(),
            max_words: default_words(),
        }
    }

    /// One with every field, for those who read the schema.
    fn example() -> Self {
        Self {
            starting_node_ids: vec![NodeId(uuid::uuid!("4bbb81e4-17c6-5b33-a4c1-6c3a9a2f4f0e"))],
            visibility: Visibility::Private,
            creator_id: Some("anna".to_owned()),
            ..Self::about("The outbox")
        }
    }
}

impl Job for Synthesis {
    const KIND: &'static str = "synthesis";
    // Each death of its process is an attempt: enough of them that a killer is told apart from an unlucky one.
    const MAX_ATTEMPTS: u32 = 5;
    const TIMEOUT: Duration = Duration::from_secs(30 * 60);
    const HAND_OVER: bool = true;
    const CONCURRENCY: usize = 4;
    // Its end locks the rows of its super-syntheses, in one order: two ends in one transaction would not keep it.
    const MAX_GROUP: usize = 1;
    const ACCEPTS_DIRECT: bool = true;

    fn key(&self) -> Option<String> {
        Some(format!("graph:{}", self.graph))
    }

    fn validate(&self) -> Result<(), Invalid> {
        check_asker(&self.graph, self.creator_id.as_deref())?;
        let (nodes, budget, words) = (&self.starting_node_ids, self.exploration_budget, self.max_words);
        check_text("", &self.topic, nodes, budget, words)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use rstest::rstest;
    use uuid::Uuid;

    use super::*;
    use crate::jobs::decode;

    #[test]
    fn a_topic_is_enough() {
        let job: Synthesis = decode(1, br#"{"topic": "Leases"}"#).unwrap();
        assert_eq!(job, Synthesis::about("Leases"));
        assert_eq!(
            (job.exploration_budget, job.graph.as_str(), job.visibility),
            (20, "default", Visibility::Public)
        );
    }

    #[test]
    fn a_payload_survives_its_json() {
        let job = Synthesis {
            starting_node_ids: vec![NodeId(Uuid::from_u128(1))],
            visibility: Visibility::Private,
            creator_id: Some("anna".to_owned()),
            ..Synthesis::about("Leases")
        };
        let json = serde_json::to_vec(&job).unwrap();
        assert_eq!(decode::<Synthesis>(1, &json).unwrap(), job);
    }

    #[rstest]
    #[case(r#"{"topic": " "}"#, "topic")]
    #[case(r#"{"topic": "a\nb"}"#, "topic")]
    #[case(r#"{"topic": "a", "exploration_budget": 0}"#, "exploration_budget")]
    #[case(r#"{"topic": "a", "exploration_budget": 201}"#, "exploration_budget")]
    #[case(r#"{"topic": "a", "max_words": 10}"#, "max_words")]
    #[case(r#"{"topic": "a", "graph": ""}"#, "graph")]
    #[case(r#"{"topic": "a", "creator_id": ""}"#, "creator_id")]
    #[case(r#"{"topic": "a", "visibility": "secret"}"#, "visibility")]
    #[case(r#"{"topic": "a", "starting_node_ids": ["x"]}"#, "starting_node_ids[0]")]
    #[case(r#"{"topic": "a", "colour": 1}"#, "colour")]
    #[case(r"{}", "topic")]
    fn what_is_wrong_is_named(#[case] payload: &str, #[case] field: &str) {
        let error = decode::<Synthesis>(1, payload.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    }

    #[test]
    fn a_topic_that_is_too_long_is_refused() {
        assert_eq!(Synthesis::about("x".repeat(501)).validate().unwrap_err().field, "topic");
        assert!(Synthesis::about("x".repeat(500)).validate().is_ok());
    }
}

//! The kind `super-synthesis`: write about a wide topic in parts, and make one text of them.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{LINE, at_most, between, line};
use super::synthesis::{self, BUDGET, NAME, STARTING_NODES, TOPIC, WORDS, check_asker, check_text};
use super::{Invalid, Job, Synthesis, Visibility};
use crate::ids::{NodeId, SynthesisId};

const PARTS: usize = 50;
const SCOPES: RangeInclusive<u32> = 0..=20;

/// Write about a wide topic in parts, each a synthesis of its own, and make one text of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = SuperSynthesis::about("How jobs survive crashes"), example = SuperSynthesis::example())]
pub struct SuperSynthesis {
    /// What the whole is about: one line of at most 500 characters.
    #[schemars(length(min = 1, max = TOPIC), regex(pattern = LINE))]
    pub topic: String,
    /// The parts to write; without any, they are found in the graph.
    #[serde(default)]
    #[schemars(length(max = PARTS))]
    pub sub_configs: Vec<SubConfig>,
    /// Syntheses of the same graph that are there already and become parts too, behind the others. Each counts once.
    #[serde(default)]
    #[schemars(length(max = PARTS))]
    pub existing_synthesis_ids: Vec<SynthesisId>,
    /// How many parts to find in the graph; 0 for as many as it suggests, 3 to 7.
    #[serde(default)]
    #[schemars(range(min = *SCOPES.start(), max = *SCOPES.end()))]
    pub scope_count: u32,
    /// Who may see the result and its parts.
    #[serde(default)]
    pub visibility: Visibility,
    /// Who asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME), regex(pattern = LINE))]
    pub creator_id: Option<String>,
    /// The graph, by its slug or its id. The parts are written from the same one.
    #[serde(default = "synthesis::default_graph")]
    #[schemars(length(min = 1, max = NAME), regex(pattern = LINE))]
    pub graph: String,
}

/// A part to write. Graph, visibility and creator are those of the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubConfig {
    /// What the part is about: one line of at most 500 characters.
    #[schemars(length(min = 1, max = TOPIC), regex(pattern = LINE))]
    pub topic: String,
    /// Nodes of the graph to begin with, in this order; without any, those that the topic names.
    #[serde(default)]
    #[schemars(length(max = STARTING_NODES))]
    pub starting_node_ids: Vec<NodeId>,
    /// Nodes that may be visited. Searching costs nothing.
    #[serde(default = "synthesis::default_budget")]
    #[schemars(range(min = *BUDGET.start(), max = *BUDGET.end()))]
    pub exploration_budget: u32,
    /// The part may have about this many words.
    #[serde(default = "synthesis::default_words")]
    #[schemars(range(min = *WORDS.start(), max = *WORDS.end()))]
    pub max_words: u32,
}

impl SubConfig {
    /// A part about `topic`, with all defaults.
    pub fn about(topic: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            starting_node_ids: Vec::new(),
            exploration_budget: synthesis::default_budget(),
            max_words: synthesis::default_words(),
        }
    }
}

impl SuperSynthesis {
    /// A super-synthesis about `topic` in the default graph, with all defaults.
    pub fn about(topic: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            sub_configs: Vec::new(),
            existing_synthesis_ids: Vec::new(),
            scope_count: 0,
            visibility: Visibility::default(),
            creator_id: None,
            graph: synthesis::default_graph(),
        }
    }

    /// One with every field, for those who read the schema.
    fn example() -> Self {
        Self {
            sub_configs: vec![SubConfig::about("Leases"), SubConfig::about("The outbox")],
            existing_synthesis_ids: vec![SynthesisId(uuid::uuid!("4bbb81e4-17c6-5b33-a4c1-6c3a9a2f4f0e"))],
            visibility: Visibility::Private,
            creator_id: Some("anna".to_owned()),
            ..Self::about("How jobs survive crashes")
        }
    }

    /// The job that writes `part`: in the same graph, for the same person, as visible as the whole.
    #[must_use]
    pub fn part(&self, part: &SubConfig) -> Synthesis {
        Synthesis {
            topic: part.topic.clone(),
            starting_node_ids: part.starting_node_ids.clone(),
            exploration_budget: part.exploration_budget,
            visibility: self.visibility,
            creator_id: self.creator_id.clone(),
            graph: self.graph.clone(),
            max_words: part.max_words,
        }
    }
}

impl Job for SuperSynthesis {
    const KIND: &'static str = "super-synthesis";
    const MAX_ATTEMPTS: u32 = 5;
    const TIMEOUT: Duration = Duration::from_secs(10 * 60);
    const HAND_OVER: bool = true;
    const CONCURRENCY: usize = 2;
    const MAX_GROUP: usize = 1;
    const ACCEPTS_DIRECT: bool = true;

    fn key(&self) -> Option<String> {
        Some(format!("graph:{}", self.graph))
    }

    fn validate(&self) -> Result<(), Invalid> {
        line("topic", &self.topic, TOPIC)?;
        check_asker(&self.graph, self.creator_id.as_deref())?;
        at_most("sub_configs", &self.sub_configs, PARTS)?;
        at_most("existing_synthesis_ids", &self.existing_synthesis_ids, PARTS)?;
        between("scope_count", self.scope_count, &SCOPES)?;
        self.sub_configs.iter().enumerate().try_for_each(|(index, part)| {
            let (nodes, budget, words) = (&part.starting_node_ids, part.exploration_budget, part.max_words);
            check_text(&format!("sub_configs[{index}]."), &part.topic, nodes, budget, words)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use rstest::rstest;

    use super::*;
    use crate::jobs::decode;

    #[test]
    fn a_part_is_written_from_the_same_graph_for_the_same_person() {
        let whole = SuperSynthesis {
            graph: "other".to_owned(),
            visibility: Visibility::Private,
            creator_id: Some("anna".to_owned()),
            ..SuperSynthesis::about("All")
        };
        let part = whole.part(&SubConfig { exploration_budget: 7, ..SubConfig::about("Leases") });
        assert_eq!((part.graph.as_str(), part.visibility), ("other", Visibility::Private));
        assert_eq!((part.creator_id.as_deref(), part.exploration_budget), (Some("anna"), 7));
    }

    #[rstest]
    #[case(r#"{"topic": ""}"#, "topic")]
    #[case(r#"{"topic": "a", "scope_count": 21}"#, "scope_count")]
    #[case(r#"{"topic": "a", "sub_configs": [{"topic": "b"}, {"topic": ""}]}"#, "sub_configs[1].topic")]
    #[case(r#"{"topic": "a", "sub_configs": [{"topic": "b", "max_words": 1}]}"#, "sub_configs[0].max_words")]
    #[case(r#"{"topic": "a", "sub_configs": [{"topic": "b", "graph": "c"}]}"#, "graph")]
    #[case(r#"{"topic": "a", "existing_synthesis_ids": ["b"]}"#, "existing_synthesis_ids[0]")]
    fn what_is_wrong_is_named(#[case] payload: &str, #[case] field: &str) {
        let error = decode::<SuperSynthesis>(1, payload.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    }
}

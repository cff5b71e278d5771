//! The tools with which a model looks around in a graph, and how their arguments are read.

use ackord_entities::ids::NodeId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::wire::Tool;

pub(super) const SEARCH_NODES: &str = "search_nodes";
pub(super) const SEARCH_FACTS: &str = "search_facts";
pub(super) const NODE: &str = "node";
pub(super) const FACTS_OF_NODE: &str = "facts_of_node";
pub(super) const EDGES: &str = "edges";

/// What a search is asked with.
#[derive(Debug, Deserialize)]
pub(super) struct Search {
    pub(super) query: String,
}

/// What is asked about a node.
#[derive(Debug, Deserialize)]
pub(super) struct About {
    pub(super) id: NodeId,
    /// Which of its facts come first.
    #[serde(default)]
    pub(super) query: Option<String>,
}

/// Reads the arguments of a call.
///
/// # Errors
/// What is wrong with them, for the model.
pub(super) fn parse<T: DeserializeOwned>(arguments: &str) -> Result<T, String> {
    let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
    let value: Value =
        serde_json::from_str(arguments).map_err(|error| format!("the arguments are no JSON: {error}"))?;
    serde_path_to_error::deserialize(value).map_err(|error| format!("the arguments do not fit: {error}"))
}

/// The tools of the graph.
pub(super) fn of_the_graph() -> Vec<Tool> {
    let query = json!({
        "type": "object",
        "properties": {"query": {"type": "string", "description": "A few words. They are stemmed; there are no operators."}},
        "required": ["query"],
        "additionalProperties": false,
    });
    let about = |what: &str| {
        json!({
            "type": "object",
            "properties": {
                "id": {"type": "string", "format": "uuid", "description": "A node id that another tool gave."},
                "query": {"type": "string", "description": what},
            },
            "required": ["id"],
            "additionalProperties": false,
        })
    };
    let first = "Facts with these words come first. Without it, those about the topic do.";
    vec![
        Tool {
            name: SEARCH_NODES,
            description: "Finds nodes by their names and by the facts that speak of them. Free.",
            parameters: query.clone(),
        },
        Tool {
            name: SEARCH_FACTS,
            description: "Finds facts by their words, best first. Free.",
            parameters: query,
        },
        Tool {
            name: NODE,
            description: "A node: its name, its most important facts and its neighbours. The first visit to a node costs 1.",
            parameters: about(first),
        },
        Tool {
            name: FACTS_OF_NODE,
            description: "More of the facts that speak of a node. The first visit to a node costs 1.",
            parameters: about(first),
        },
        Tool {
            name: EDGES,
            description: "All neighbours of a node, heaviest edge first. The first visit to a node costs 1.",
            parameters: json!({
                "type": "object",
                "properties": {"id": {"type": "string", "format": "uuid", "description": "A node id that another tool gave."}},
                "required": ["id"],
                "additionalProperties": false,
            }),
        },
    ]
}

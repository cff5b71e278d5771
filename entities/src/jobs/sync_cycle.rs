//! The kind `sync-cycle`: copy what has changed in a graph from its write side to its read side.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{LINE, line};
use super::synthesis::{self, NAME};
use super::{Invalid, Job};

/// Copy what has changed in a graph from its write side to its read side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = SyncCycle::of("default"))]
pub struct SyncCycle {
    /// The graph, by its slug.
    #[serde(default = "synthesis::default_graph")]
    #[schemars(length(min = 1, max = NAME), regex(pattern = LINE))]
    pub graph: String,
    /// Copy everything again, and remove what is not there any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub afresh: bool,
}

impl SyncCycle {
    /// A cycle of the graph called `graph`.
    pub fn of(graph: impl Into<String>) -> Self {
        Self { graph: graph.into(), afresh: false }
    }
}

impl Job for SyncCycle {
    const KIND: &'static str = "sync-cycle";
    const MAX_ATTEMPTS: u32 = 5;
    const TIMEOUT: Duration = Duration::from_secs(15 * 60);
    const HAND_OVER: bool = true;
    const CONCURRENCY: usize = 4;
    const MAX_GROUP: usize = 4;

    fn key(&self) -> Option<String> {
        Some(format!("graph:{}", self.graph))
    }

    /// One waits at most. What it is to copy is seen when it runs, so another one would find nothing.
    fn dedup_key(&self) -> Option<String> {
        let afresh = if self.afresh { ":afresh" } else { "" };
        Some(format!("{}{afresh}", self.graph))
    }

    fn lease_key(&self) -> Option<String> {
        Some(format!("sync:{}", self.graph))
    }

    fn validate(&self) -> Result<(), Invalid> {
        line("graph", &self.graph, NAME)
    }
}

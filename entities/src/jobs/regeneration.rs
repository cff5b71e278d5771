//! The kind `regeneration`: write a failed synthesis again, in place, from what it was asked for.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Job;
use crate::ids::SynthesisId;

/// Write a failed synthesis again, in place: the same node, the original input, the history of attempts kept.
///
/// Of a super-synthesis only one that was never planned is written again like this; one that has parts is combined again instead
/// (kind `recombination`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = Regeneration::of(SynthesisId(uuid::uuid!("4bbb81e4-17c6-5b33-a4c1-6c3a9a2f4f0e"))))]
pub struct Regeneration {
    /// The synthesis: its id is also that of its node.
    pub node_id: SynthesisId,
}

impl Regeneration {
    /// Write `synthesis` again.
    #[must_use]
    pub fn of(synthesis: SynthesisId) -> Self {
        Self { node_id: synthesis }
    }
}

impl Job for Regeneration {
    const KIND: &'static str = "regeneration";
    const MAX_ATTEMPTS: u32 = 5;
    const TIMEOUT: Duration = Duration::from_secs(30 * 60);
    const HAND_OVER: bool = true;
    const CONCURRENCY: usize = 4;
    const MAX_GROUP: usize = 1;

    fn key(&self) -> Option<String> {
        Some(format!("synthesis:{}", self.node_id))
    }
}

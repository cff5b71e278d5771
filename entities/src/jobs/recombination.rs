//! The kind `recombination`: make one text of the parts of a super-synthesis, the first time and again.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Job, OnDuplicate};
use crate::ids::SynthesisId;

/// Make one text of what the parts of a super-synthesis say now. No part is written again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = Recombination::of(SynthesisId(uuid::uuid!("4bbb81e4-17c6-5b33-a4c1-6c3a9a2f4f0e"))))]
pub struct Recombination {
    /// The super-synthesis: its id is also that of its node.
    pub node_id: SynthesisId,
}

impl Recombination {
    /// Combine the parts of `super_synthesis`.
    #[must_use]
    pub fn of(super_synthesis: SynthesisId) -> Self {
        Self { node_id: super_synthesis }
    }
}

impl Job for Recombination {
    const KIND: &'static str = "recombination";
    const MAX_ATTEMPTS: u32 = 5;
    const TIMEOUT: Duration = Duration::from_secs(30 * 60);
    const HAND_OVER: bool = true;
    const CONCURRENCY: usize = 4;
    const MAX_GROUP: usize = 1;
    // Several parts that change at once are one run: it begins after the last of those that it stands for.
    const ON_DUPLICATE: OnDuplicate = OnDuplicate::RunAgain;

    fn key(&self) -> Option<String> {
        Some(format!("synthesis:{}", self.node_id))
    }

    fn dedup_key(&self) -> Option<String> {
        Some(self.node_id.to_string())
    }

    /// A part that changes while it is combined brings another run. The two take turns, so that the later one is the last to write.
    fn lease_key(&self) -> Option<String> {
        Some(format!("recombination:{}", self.node_id))
    }
}

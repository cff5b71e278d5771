//! The kind `replay`: the next part of a replay run goes out, or the run ends.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Job;
use crate::ids::ReplayRunId;

/// Go on with a replay run. Published by `ackord dead-letters replay`, and by each of these jobs for the next part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = Replay::of(ReplayRunId(uuid::uuid!("01890a5d-ac96-774b-bcce-b302099a8057"))))]
pub struct Replay {
    /// The run: a row of `replay_runs`.
    pub run: ReplayRunId,
}

impl Replay {
    /// Go on with `run`.
    #[must_use]
    pub fn of(run: ReplayRunId) -> Self {
        Self { run }
    }
}

impl Job for Replay {
    const KIND: &'static str = "replay";
    // Reading and checking the bodies of one part.
    const TIMEOUT: Duration = Duration::from_secs(5 * 60);
    const HAND_OVER: bool = true;
    // Each holds the bodies of one part in memory.
    const CONCURRENCY: usize = 2;
    // A part is a large transaction by itself.
    const MAX_GROUP: usize = 1;
    // It waits for jobs that may take days, or whose kind is paused: waiting kills no run.
    const MAX_DEFERRED: u32 = 10_000_000;

    fn key(&self) -> Option<String> {
        Some(format!("replay:{}", self.run))
    }
}

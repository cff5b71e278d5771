//! The kind `sync-dispatch`: a cycle for every graph.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Job;

/// Publish a `sync-cycle` for every graph. One that waits for its cycle already gets no second one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = SyncDispatch {})]
pub struct SyncDispatch {}

impl Job for SyncDispatch {
    const KIND: &'static str = "sync-dispatch";
    const MAX_ATTEMPTS: u32 = 2;
    const PERFORMS: bool = false;
    // One for each minute: what they did stands with the cycles.
    const RETENTION: Duration = Duration::from_secs(24 * 3600);

    fn dedup_key(&self) -> Option<String> {
        Some("all".to_owned())
    }
}

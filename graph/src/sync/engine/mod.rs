//! The default provider: the read side's tables become like those of the write side.
//!
//! The order within a cycle is what makes it safe to be cut off anywhere: rows first, in transactions of the read side that lock the
//! graph's fence; then, with the job's end, how far it is. What was done twice ends the same.
//!
//! 1. Changes are read up to the horizon, table by table in the order of their references, so that a cycle ends with what the write side
//!    was at one moment.
//! 2. A row whose reference is not there is deferred; one that is refused is recorded. Neither holds up the others.
//! 3. Rows that are gone are removed at the end, in the opposite order.
//! 4. Rows that waited for what has come, or are due, are tried again; nodes are counted again.

mod apply;
mod follow;
mod pass;
mod reader;
mod rows;
mod streams;
#[cfg(test)]
mod tests;
mod writer;

pub use apply::Claim;
pub use streams::{Column, Key, Kind, LEFT_OUT, Reference, STREAMS, Stream, stream_of};

use std::collections::BTreeMap;

use ackord_entities::graph::changes::{self, Position};
use ackord_entities::sync::failure;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::provider::{Cycle, Progress, SyncContext, SyncError, SyncProvider};
use pass::Pass;

/// The name of the default provider.
pub const DEFAULT: &str = "default";

/// Rows that were refused or wait, tried again in one cycle at most.
const RETRIES: u64 = 5_000;

/// Copies a graph to the tables of the read side.
#[derive(Clone, Copy, Debug, Default)]
pub struct Engine;

/// How far the engine is with a graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Which complete copy this is, from 1.
    pub epoch: i32,
    /// Which cluster numbers the transactions.
    pub cluster: Option<String>,
    /// What this side left on the write side in the cycle that came here.
    pub token: Uuid,
    /// Where it is in the epoch.
    pub phase: Phase,
    /// How far each stream has been copied.
    pub positions: BTreeMap<String, Position>,
}

/// Where the engine is in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The graph is followed; those who were writing before may not know it yet.
    Waiting,
    /// Everything is being copied.
    Copying {
        /// The number under which everything was noted: before the horizon has come there, nothing is complete.
        noted: i64,
    },
    /// What changes is being copied.
    Following,
}

impl State {
    fn read(progress: &Progress) -> Result<Option<Self>, SyncError> {
        let state = progress.state.as_deref().map(serde_json::from_str).transpose();
        state.map_err(|error| SyncError::State { provider: DEFAULT, error: error.to_string() })
    }

    fn text(&self) -> Result<String, SyncError> {
        serde_json::to_string(self).map_err(|error| SyncError::Other(error.to_string()))
    }

    fn position(&self, stream: &Stream) -> Position {
        self.positions.get(stream.table).copied().unwrap_or_default()
    }

    /// How far all have read who read the same changes.
    fn behind(&self) -> Vec<(&'static str, Position)> {
        let mut behind: BTreeMap<&'static str, Position> = BTreeMap::new();
        for stream in &STREAMS {
            let position = self.position(stream);
            behind
                .entry(stream.changes)
                .and_modify(|least| *least = position.min(*least))
                .or_insert(position);
        }
        behind.into_iter().collect()
    }
}

#[async_trait]
impl SyncProvider for Engine {
    fn id(&self) -> &'static str {
        DEFAULT
    }

    async fn cycle(&self, context: &SyncContext, progress: &Progress) -> Result<Cycle, SyncError> {
        let known = if context.afresh { None } else { State::read(progress)? };
        let positions = known.as_ref().map(State::behind).unwrap_or_default();
        let look = changes::look(context.write.read(), context.graph, &positions).await?;
        let Some(mut state) = known.filter(|state| follow::still_fits(state, &look)) else {
            return follow::begin(context, progress, look.horizon.cluster).await;
        };
        match state.phase {
            Phase::Waiting => return follow::begun(context, state, &look).await,
            Phase::Copying { noted } if look.horizon.number < noted => {
                return follow::held_back(context, None).await;
            }
            Phase::Copying { .. } | Phase::Following => {}
        }
        let now = context.jobs.clock().on_receipt(context.jobs.backend());
        let due = failure::due(context.jobs.read(), context.graph, now, RETRIES).await?;
        if !look.is_changed && due.is_empty() && state.phase == Phase::Following {
            let held_by = if look.is_held_back { follow::holder(context).await? } else { None };
            return Ok(Cycle { held_by, ..Cycle::default() });
        }
        follow::shake_hands(context, &mut state).await?;
        Pass::new(context, state, look.horizon).run(due).await
    }
}

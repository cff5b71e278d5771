//! How far the mirror of a graph is.

use std::collections::{BTreeMap, BTreeSet};

use ackord_entities::graph::changes::{Look, Position};
use sea_orm::DbBackend;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::MIRROR;
use super::shelf::{SHELVES, Shelf};
use crate::sync::engine::STREAMS;
use crate::sync::provider::{Progress, SyncError};

/// How far the mirror of a graph is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// Which cluster numbers the transactions.
    pub(super) cluster: Option<String>,
    /// What this side left on the write side in the cycle that came here.
    pub(super) token: Uuid,
    /// Up to which change each shelf says everything. One that is not here has to be written.
    pub(super) written: BTreeMap<String, i64>,
}

impl State {
    pub(super) fn read(progress: &Progress) -> Result<Option<Self>, SyncError> {
        let state = progress.state.as_deref().map(serde_json::from_str).transpose();
        state.map_err(|error| SyncError::State { provider: MIRROR, error: error.to_string() })
    }

    pub(super) fn text(&self) -> Result<String, SyncError> {
        serde_json::to_string(self).map_err(|error| SyncError::Other(error.to_string()))
    }

    /// Whether the write side goes on from where the last cycle left it: nobody else has followed it meanwhile, the same cluster numbers
    /// its transactions, and it was not set back to a time before.
    pub(super) fn fits(&self, look: &Look) -> bool {
        let Some(follower) = &look.follower else { return false };
        let is_known = follower.token == self.token || follower.previous_token == Some(self.token);
        let reached = self.written.values().copied().max().unwrap_or_default();
        is_known && self.cluster == look.horizon.cluster && reached <= look.horizon.number
    }

    /// For each stream, up to where every shelf that speaks of it says everything.
    pub(super) fn positions(&self, backend: DbBackend) -> Vec<(&'static str, Position)> {
        let number = |stream: &str| {
            let shelves = SHELVES.iter().filter(|shelf| shelf.streams.contains(&stream));
            let numbers = shelves.map(|shelf| self.number(shelf));
            // What no shelf speaks of is as far as the one that is least far.
            numbers.min().or_else(|| SHELVES.iter().map(|shelf| self.number(shelf)).min()).unwrap_or_default()
        };
        let streams: BTreeSet<&'static str> = STREAMS.iter().map(|stream| stream.changes).collect();
        streams.into_iter().map(|stream| (stream, position(number(stream), backend))).collect()
    }

    /// The same for one shelf.
    pub(super) fn positions_of(&self, shelf: &Shelf, backend: DbBackend) -> Vec<(&'static str, Position)> {
        shelf.streams.iter().map(|stream| (*stream, position(self.number(shelf), backend))).collect()
    }

    fn number(&self, shelf: &Shelf) -> i64 {
        self.written.get(shelf.name).copied().unwrap_or_default()
    }
}

/// The place behind every change of that number.
fn position(number: i64, backend: DbBackend) -> Position {
    if backend == DbBackend::Postgres {
        Position { transaction: number, entry: i64::MAX }
    } else {
        Position { transaction: 0, entry: number }
    }
}

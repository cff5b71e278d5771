//! The kind `sync-dispatch`: publishes a `sync-cycle` for every graph, in one transaction.

use ackord_entities::graph::graphs;
use ackord_entities::jobs::{SyncCycle, SyncDispatch};
use ackord_producer::enqueue;
use async_trait::async_trait;
use serde_json::json;

use crate::error::JobError;
use crate::handler::{Handler, Outcome, Turn, Tx};

/// The handler.
#[derive(Clone, Copy, Debug, Default)]
pub struct SyncDispatchHandler;

#[async_trait]
impl Handler for SyncDispatchHandler {
    type Job = SyncDispatch;
    type Output = ();

    async fn commit(&self, turn: &Turn<SyncDispatch>, (): &(), tx: &Tx<'_>) -> Result<Outcome, JobError> {
        let (mut published, mut waiting) = (0, 0);
        for graph in graphs::all(tx.connection()).await? {
            let answer = enqueue(tx, &SyncCycle::of(graph.slug), &turn.follow_up(tx)).await?;
            if answer.duplicate { waiting += 1 } else { published += 1 }
        }
        Ok(Outcome::with_result(json!({ "published": published, "waiting": waiting })))
    }
}

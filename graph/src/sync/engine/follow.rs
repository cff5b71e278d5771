//! Beginning to follow a graph, and noticing that the write side is not what it was.

use std::collections::BTreeMap;

use ackord_entities::fault;
use ackord_entities::graph::changes::{self, Look, Position};
use uuid::Uuid;

use super::super::provider::{Cycle, CycleEnd, Progress, SyncContext, SyncError};
use super::{Phase, STREAMS, State};

/// Whether the write side goes on from where the last cycle left it. It does not when nobody follows the graph any more, when another
/// cluster numbers the transactions, or when it was set back to a time before the newest cycle: then the token is not there.
pub(super) fn still_fits(state: &State, look: &Look) -> bool {
    let Some(follower) = &look.follower else { return false };
    let is_known = follower.token == state.token || follower.previous_token == Some(state.token);
    is_known && state.cluster == look.horizon.cluster && reached(state) <= look.horizon.number
}

/// The highest number that the positions have reached.
fn reached(state: &State) -> i64 {
    let is_postgres = state.cluster.is_some();
    let number = |position: &Position| if is_postgres { position.transaction } else { position.entry };
    state.positions.values().map(number).max().unwrap_or(0)
}

/// Begins an epoch: from now on changes are noted.
pub(super) async fn begin(
    context: &SyncContext,
    progress: &Progress,
    cluster: Option<String>,
) -> Result<Cycle, SyncError> {
    // Also where the state does not fit or is not wanted: an epoch never comes again.
    let epoch = State::read(progress).ok().flatten().map_or(1, |state| state.epoch + 1);
    let tx = context.write.begin().await?;
    let now = context.write.clock().now(&tx).await?;
    let follower = changes::follow(&tx, context.graph, Uuid::now_v7(), now).await?;
    tx.commit().await?;
    fault::point("sync_followed");
    tracing::info!(graph = context.slug, epoch, "the whole graph is copied: no earlier copy fits");
    let state =
        State { epoch, cluster, token: follower.token, phase: Phase::Waiting, positions: BTreeMap::new() };
    let look = changes::look(context.write.read(), context.graph, &[]).await?;
    begun(context, state, &look).await
}

/// Goes on as soon as those have ended who were writing before the graph was followed: then every record is noted as if it had changed, in
/// place of what was noted before.
pub(super) async fn begun(context: &SyncContext, mut state: State, look: &Look) -> Result<Cycle, SyncError> {
    let since = look.follower.as_ref().map_or(0, |follower| follower.since);
    if look.horizon.number < since {
        return held_back(context, Some(state.text()?)).await;
    }
    let tx = context.write.begin_unlimited().await?;
    changes::forget_all(&tx, context.graph).await?;
    for everything in STREAMS.iter().filter_map(|stream| stream.everything) {
        changes::note_all(&tx, context.graph, everything).await?;
    }
    let noted = changes::number_of(&tx).await?;
    tx.commit().await?;
    fault::point("sync_noted");
    state.phase = Phase::Copying { noted };
    Ok(Cycle { state: Some(state.text()?), end: CycleEnd::Continues, ..Cycle::default() })
}

/// The end of a cycle that another transaction holds back.
pub(super) async fn held_back(context: &SyncContext, state: Option<String>) -> Result<Cycle, SyncError> {
    Ok(Cycle { state, end: CycleEnd::Waits, held_by: holder(context).await?, ..Cycle::default() })
}

/// Leaves a token that shows, should the write side be set back, that it was.
pub(super) async fn shake_hands(context: &SyncContext, state: &mut State) -> Result<(), SyncError> {
    let token = Uuid::now_v7();
    changes::shake_hands(context.write.write(), context.graph, state.token, token).await?;
    state.token = token;
    Ok(())
}

/// Who holds the horizon back.
pub(super) async fn holder(context: &SyncContext) -> Result<Option<(i64, String)>, SyncError> {
    let holder = changes::holder(context.write.read()).await?;
    Ok(holder.map(|holder| {
        let process = |pid| format!("process {pid} ({})", holder.about);
        (holder.open_ms, holder.pid.map_or_else(|| holder.about.clone(), process))
    }))
}

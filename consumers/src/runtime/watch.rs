//! Looks once a second for what operators decided: paused kinds, jobs that were called off.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ackord_entities::queue::{job, pause};
use sea_orm::DbErr;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::shared::Shared;

/// Runs until `stop`; two small queries per look at most.
pub(crate) async fn run(
    shared: Arc<Shared>,
    paused: watch::Sender<HashSet<String>>,
    interval: Duration,
    stop: CancellationToken,
) {
    loop {
        if let Err(error) = look(&shared, &paused).await {
            debug!(error = %error, "pauses and cancellations cannot be read at the moment");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
    }
}

/// Looks once.
///
/// # Errors
/// Whatever the database answers; everything stays as it is.
pub(crate) async fn look(shared: &Shared, paused: &watch::Sender<HashSet<String>>) -> Result<(), DbErr> {
    let kinds: HashSet<String> =
        pause::all(shared.database.read()).await?.into_iter().map(|row| row.kind).collect();
    let changed = paused.send_if_modified(|known| {
        let changed = *known != kinds;
        known.clone_from(&kinds);
        changed
    });
    if changed {
        info!(paused = ?kinds, "the paused kinds changed");
        let mut names: Vec<String> = kinds.into_iter().collect();
        names.sort_unstable();
        shared.health.set_paused(names);
    }
    let running = shared.running_jobs();
    if !running.is_empty() {
        for job in job::called_off(shared.database.read(), &running).await? {
            info!(job.id = %job, "a running job is called off");
            shared.call_off(job);
        }
    }
    Ok(())
}

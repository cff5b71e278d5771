//! Whether the database takes what is written: one answer for all kinds of a worker.
//!
//! Whoever meets a database that is away says so here, once. From then on no delivery is read and none is handed back:
//! deliveries are held, and what is finished waits for its commit. A probe that writes, or a commit that got through, says that
//! it is over. Reading proves nothing: a server that fell back to read-only, or a full disk, still reads.

use std::sync::Arc;
use std::time::Duration;

use ackord_entities::error_chain;
use ackord_entities::jobs::Backoff;
use ackord_entities::queue::probe;
use ackord_producer::health::Health;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::shared::Shared;
use crate::health::DATABASE;

/// A probe that takes longer has failed: nobody answers.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// Whether the database takes what is written.
pub(crate) struct Gate {
    away: watch::Sender<Option<Away>>,
}

/// A database that is away.
#[derive(Clone, Debug)]
pub(crate) struct Away {
    /// Since when, as far as somebody noticed.
    pub(crate) since: Instant,
    reason: String,
}

impl Gate {
    pub(crate) fn new(health: &Health) -> Self {
        let (away, watched) = watch::channel(None::<Away>);
        health.check(DATABASE, move || watched.borrow().as_ref().map(|away| away.reason.clone()));
        Self { away }
    }

    /// The database is away: hold everything.
    pub(crate) fn close(&self, reason: String) {
        let mut fresh = false;
        self.away.send_if_modified(|away| {
            fresh = away.is_none();
            match away {
                Some(away) => away.reason = reason,
                None => *away = Some(Away { since: Instant::now(), reason }),
            }
            fresh
        });
        if fresh {
            warn!("the database does not take the work; deliveries and finished work are held");
        }
    }

    /// The database takes what is written.
    pub(crate) fn open(&self) {
        if self.away.borrow().is_none() {
            return;
        }
        let ended = self.away.send_replace(None);
        if let Some(away) = ended {
            info!(away_s = away.since.elapsed().as_secs_f64(), "the database takes the work again");
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.away.borrow().is_none()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<Away>> {
        self.away.subscribe()
    }

    /// Resolves when the database is there.
    pub(crate) async fn opened(&self) {
        // The sender is ours: the wait cannot fail.
        let _ = self.watch().wait_for(Option::is_none).await;
    }
}

/// Asks again and again while the database is away, until `stop`.
pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut away = shared.gate.watch();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = away.wait_for(Option::is_some) => if changed.is_err() { return },
        }
        let mut probes = 0;
        while away.borrow_and_update().is_some() {
            probes += 1;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause().delay_after(probes)) => {}
            }
            match tokio::time::timeout(PROBE_LIMIT, probe::write(&shared.database)).await {
                Ok(Ok(())) => shared.gate.open(),
                Ok(Err(error)) => shared.gate.close(error_chain(&error)),
                Err(_elapsed) => {
                    shared.gate.close(format!("it did not answer within {} s", PROBE_LIMIT.as_secs()));
                }
            }
        }
    }
}

fn pause() -> Backoff {
    Backoff {
        initial: Duration::from_millis(50),
        factor: 2.0,
        longest: Duration::from_secs(5),
        ..Backoff::DEFAULT
    }
}

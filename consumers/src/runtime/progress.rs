//! Whether a kind gets on: what waits in its queue against what arrives.
//!
//! A consumer can stop without anybody saying so: the broker forgot it, a proxy swallows its deliveries. Then messages are
//! ready, there is room for them, and none arrives. That is noticed here, said in health, and the consumer is started again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ackord_producer::broker::topology::queue_of;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::settle::Settlements;
use super::shared::Shared;
use crate::health::TAKEN;
use crate::metrics::KindMeter;

/// How one kind gets on. The kind's loop writes it, the look reads it.
#[derive(Default)]
pub(crate) struct Progress {
    /// Deliveries that arrived, over the life of the worker.
    arrived: AtomicU64,
    /// The consumer that there is, with how many deliveries it may hold.
    consumer: Mutex<Option<(Arc<Settlements>, usize)>>,
    /// Start the consumer again.
    pub(crate) restart: Notify,
}

impl Progress {
    pub(crate) fn arrived(&self, deliveries: usize) {
        self.arrived.fetch_add(deliveries as u64, Ordering::Relaxed);
    }

    /// There is a consumer that may hold `prefetch` deliveries.
    pub(crate) fn consumes(&self, settlements: &Arc<Settlements>, prefetch: usize) {
        *self.lock() = Some((Arc::clone(settlements), prefetch));
    }

    /// There is none.
    pub(crate) fn stopped(&self) {
        *self.lock() = None;
    }

    /// Whether the consumer would take another delivery. Nobody would without one.
    fn has_room(&self) -> bool {
        self.lock().as_ref().is_some_and(|(settlements, prefetch)| settlements.unsettled() < *prefetch)
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Arc<Settlements>, usize)>> {
        self.consumer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One kind that is looked at.
pub(crate) struct Watched {
    pub(crate) kind: &'static str,
    pub(crate) progress: Arc<Progress>,
    pub(crate) meter: KindMeter,
}

/// What earlier looks have seen of a kind.
#[derive(Clone, Copy, Default)]
struct Seen {
    arrived: u64,
    /// Since when messages wait for which there is room.
    idle_since: Option<Instant>,
}

/// Looks at each kind until `stop`: one question to the broker per kind and look, three looks in `patience`.
pub(crate) async fn run(
    shared: Arc<Shared>,
    kinds: Vec<Watched>,
    patience: Duration,
    stop: CancellationToken,
) {
    let mut looks = tokio::time::interval((patience / 3).max(Duration::from_millis(1)));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen: BTreeMap<&'static str, Seen> = BTreeMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        for one in &kinds {
            let seen = seen.entry(one.kind).or_default();
            tokio::select! {
                () = stop.cancelled() => return,
                () = look(&shared, one, seen, patience) => {}
            }
        }
    }
}

async fn look(shared: &Shared, one: &Watched, seen: &mut Seen, patience: Duration) {
    // Before the question: what arrives while it is asked is progress.
    let arrived = one.progress.arrived.load(Ordering::Relaxed);
    let ready = match shared.broker.depth(&queue_of(one.kind)).await {
        Ok(depth) => {
            one.meter.depth(depth.ready, depth.consumers);
            depth.ready
        }
        Err(error) => {
            // Said elsewhere: by the broker's state, and by the consumer that cannot be started.
            debug!(job.kind = one.kind, error = %error, "the depth of a queue is not known at the moment");
            return;
        }
    };
    let has_room = one.progress.has_room() && shared.gate.is_open();
    let moved = arrived != seen.arrived;
    seen.arrived = arrived;
    if ready == 0 || moved || !has_room {
        seen.idle_since = None;
        if ready == 0 || moved {
            shared.health.say().holds_for(TAKEN, one.kind);
        }
        return;
    }
    let idle = seen.idle_since.get_or_insert_with(Instant::now).elapsed();
    if idle < patience {
        return;
    }
    warn!(
        job.kind = one.kind,
        messages = ready,
        idle_s = idle.as_secs_f64(),
        "messages wait, there is room for them and none arrives: the consumer is started again"
    );
    shared.health.say().fails_for(
        TAKEN,
        one.kind,
        format!(
            "{ready} messages wait and none arrived for {} s, though there is room for them",
            idle.as_secs()
        ),
    );
    // The new one gets as long as the old one had.
    seen.idle_since = None;
    one.progress.restart.notify_one();
}

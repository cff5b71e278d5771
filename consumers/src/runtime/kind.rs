//! One kind: its committer, and one consumer after the other for as long as the worker runs.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ackord_entities::ids::JobId;
use ackord_entities::jobs::Backoff;
use ackord_producer::broker::topology::queue_of;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, warn};

use super::commit;
use super::flush::Flusher;
use super::intake::{Ended, report_panic};
use super::item::Item;
use super::prefetch::{Ramp, Taking};
use super::progress::Progress;
use super::sort::Waiting;
use crate::health::CONSUMER;
use crate::metrics::KindMeter;

/// One kind of a worker.
pub(crate) struct KindRunner {
    pub(crate) flusher: Flusher,
    /// Slow halves at once.
    pub(crate) concurrency: usize,
    /// How many deliveries are held.
    pub(crate) taking: Taking,
    /// For how long deliveries are held while the database is away, before the consumer is closed.
    pub(crate) hold: Duration,
    /// After how long without an answer the broker takes a delivery back.
    pub(crate) consumer_timeout: Duration,
    /// The kinds that are paused.
    pub(crate) paused: watch::Receiver<HashSet<String>>,
    /// Where this kind says how it gets on.
    pub(crate) progress: Arc<Progress>,
    pub(crate) meter: KindMeter,
    /// Take no more work.
    pub(crate) stop: CancellationToken,
}

/// What a kind has under way. It outlives a consumer: work whose channel died still goes on to its commit.
pub(super) struct UnderWay {
    pub(super) slots: Arc<Semaphore>,
    performing: Performing,
    pub(super) running: JoinSet<()>,
}

/// What runs, and who else asks for it.
type Performing = Arc<Mutex<HashMap<JobId, Vec<Item>>>>;

impl KindRunner {
    /// Runs until `stop`, then drains: what waits goes back, what runs may finish.
    #[allow(clippy::disallowed_methods, reason = "the channel holds deliveries, which the prefetch bounds")]
    pub(crate) async fn run(self) {
        let (finished, arriving) = mpsc::unbounded_channel();
        let mut committer = AbortOnDropHandle::new(tokio::spawn(commit::run(self.flusher.clone(), arriving)));
        let mut under_way = UnderWay {
            slots: Arc::new(Semaphore::new(self.concurrency.max(1))),
            performing: Performing::default(),
            running: JoinSet::new(),
        };
        tokio::select! {
            () = self.consume_for_ever(&finished, &mut under_way) => {}
            // Only a panic ends it before its channel is closed. The worker stops: see what it reports.
            _ = &mut committer => {
                error!(job.kind = self.kind(), "the committer ended by itself; nothing of this kind can be committed");
                return;
            }
        }
        drop(finished);
        if let Err(error) = committer.await {
            error!(job.kind = self.kind(), error = %error, "the committer ended in a panic; what it had goes back to the broker");
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        self.flusher.handler.spec().kind
    }

    /// One consumer after the other, until `stop` or the end of the drain.
    async fn consume_for_ever(&self, finished: &mpsc::UnboundedSender<Item>, under_way: &mut UnderWay) {
        let (kind, shared) = (self.kind(), &self.flusher.shared);
        let mut failures = 0;
        while self.until_there_is_use_for_a_consumer(under_way).await {
            let ramp = Ramp::new(self.concurrency);
            match shared.broker.consume(&queue_of(kind), self.prefetch(ramp, under_way)).await {
                Ok(consumer) => {
                    failures = 0;
                    shared.health.say().holds_for(CONSUMER, kind);
                    let ended = self.consume(consumer, ramp, finished, under_way).await;
                    self.progress.stopped();
                    let Some(reason) = ended.restart() else { return };
                    self.meter.restarted(reason);
                    warn!(job.kind = kind, reason, "the consumer ended, another one is started");
                }
                Err(error) => {
                    failures += 1;
                    if failures == 1 {
                        self.meter.restarted("failed");
                        warn!(job.kind = kind, error = %error, "no consumer could be started; it is tried again for ever");
                    }
                    shared.health.say().fails_for(CONSUMER, kind, error.to_string());
                }
            }
            let wait = Backoff {
                initial: Duration::from_millis(100),
                longest: Duration::from_secs(5),
                ..Backoff::DEFAULT
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(wait.delay_after(failures)) => {}
            }
        }
        // Stopped without a consumer: what still runs may finish.
        while let Some(result) = under_way.running.join_next().await {
            report_panic(result);
        }
    }

    /// Waits while the kind is paused, the database is away or no slot is free for a kind that takes nothing ahead: what was
    /// delivered meanwhile would only be held. Answers whether to go on; `false` means stop.
    async fn until_there_is_use_for_a_consumer(&self, under_way: &mut UnderWay) -> bool {
        let gate = &self.flusher.shared.gate;
        let mut paused = self.paused.clone();
        let ramp = Ramp::new(self.concurrency);
        while !self.stop.is_cancelled() && (self.prefetch(ramp, under_way) == 0 || !gate.is_open()) {
            if self.is_paused() {
                self.flusher.shared.health.say().holds_for(CONSUMER, self.kind());
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                Ok(()) = paused.changed() => {}
                () = gate.opened(), if !gate.is_open() => {}
                Some(result) = under_way.running.join_next(), if !under_way.running.is_empty() => report_panic(result),
            }
        }
        !self.stop.is_cancelled()
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.borrow().contains(self.kind())
    }

    /// How many deliveries the consumer may hold at the moment.
    pub(super) fn prefetch(&self, ramp: Ramp, under_way: &UnderWay) -> usize {
        match self.taking {
            _ if self.is_paused() => 0,
            Taking::Ahead(most) => ramp.within(most),
            Taking::WhenFree => under_way.slots.available_permits(),
        }
    }

    /// Runs a job in the slot that `permit` stands for.
    pub(super) fn start(
        &self,
        job: Waiting,
        permit: OwnedSemaphorePermit,
        finished: &mpsc::UnboundedSender<Item>,
        under_way: &mut UnderWay,
    ) {
        let Some(id) = job.item.id else { return drop(finished.send(job.item)) };
        // A second delivery of a job that runs here joins it: it is settled behind it.
        if let Some(others) = lock(&under_way.performing).get_mut(&id) {
            others.push(job.item);
            return;
        }
        lock(&under_way.performing).insert(id, Vec::new());
        let (flusher, performing, finished) =
            (self.flusher.clone(), Arc::clone(&under_way.performing), finished.clone());
        under_way.running.spawn(async move {
            let item = if job.is_suspect {
                flusher.run_suspect(job, id).await
            } else {
                flusher.run_job(job, id).await
            };
            if let Some(item) = item {
                let _ = finished.send(item);
            }
            for other in lock(&performing).remove(&id).unwrap_or_default() {
                let _ = finished.send(other);
            }
            drop(permit);
        });
    }
}

impl Ended {
    /// Why another consumer is started, if one is.
    fn restart(self) -> Option<&'static str> {
        match self {
            Self::Stopped => None,
            Self::Consumer => Some("ended"),
            Self::Silent => Some("silent"),
            Self::Outage => Some("outage"),
        }
    }
}

fn lock(performing: &Performing) -> MutexGuard<'_, HashMap<JobId, Vec<Item>>> {
    performing.lock().unwrap_or_else(PoisonError::into_inner)
}

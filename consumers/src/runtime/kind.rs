//! One kind's loop: deliveries in, performed work out to the commit.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ackord_entities::fault;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::Backoff;
use ackord_entities::queue::{attempt, job};
use ackord_producer::broker::topology::queue_of;
use ackord_producer::broker::{Consumer, Delivery};
use sea_orm::DbErr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, error, warn};

use super::commit;
use super::fence::{Verdict, judge};
use super::flush::Flusher;
use super::item::{Expect, Item};
use super::receive::{self, Received};
use super::settle::{Answer, Settlements};
use super::suspects::LOST;
use crate::registry::Decoded;

/// Deliveries read at once.
const BATCH: usize = 256;

/// One kind of a worker.
pub(crate) struct KindRunner {
    pub(crate) flusher: Flusher,
    /// Slow halves at once.
    pub(crate) concurrency: usize,
    /// The kinds that are paused.
    pub(crate) paused: watch::Receiver<HashSet<String>>,
    /// Take no more work.
    pub(crate) stop: CancellationToken,
}

/// A job that waits for a slot.
pub(super) struct Waiting {
    pub(super) item: Item,
    pub(super) decoded: Decoded,
    /// The number of the attempt, as far as the rows said when it arrived.
    pub(super) attempt: u32,
    pub(super) is_suspect: bool,
}

/// What a kind has under way. It outlives a consumer: work whose channel died still goes on to its commit.
struct UnderWay {
    slots: Arc<Semaphore>,
    performing: Performing,
    running: JoinSet<()>,
}

/// What runs, and who else asks for it.
type Performing = Arc<Mutex<HashMap<JobId, Vec<Item>>>>;

enum Ended {
    Stopped,
    Consumer,
    Committer,
}

impl KindRunner {
    /// Runs until `stop`, then drains: what waits goes back, what runs may finish.
    #[allow(clippy::disallowed_methods, reason = "the channel holds deliveries, which the prefetch bounds")]
    pub(crate) async fn run(self) {
        let (finished, arriving) = mpsc::unbounded_channel();
        let mut committer = AbortOnDropHandle::new(tokio::spawn(commit::run(self.flusher.clone(), arriving)));
        let kind = self.flusher.handler.spec().kind;
        let mut under_way = UnderWay {
            slots: Arc::new(Semaphore::new(self.concurrency.max(1))),
            performing: Performing::default(),
            running: JoinSet::new(),
        };
        let mut failures = 0;
        while !self.stop.is_cancelled() {
            let broker = &self.flusher.shared.broker;
            match broker.consume(&queue_of(kind), self.prefetch_unless_paused()).await {
                Ok(consumer) => {
                    failures = 0;
                    self.flusher.shared.health.update(|health| drop(health.not_consuming.remove(kind)));
                    let ended = tokio::select! {
                        ended = self.consume(consumer, &finished, &mut under_way) => ended,
                        // Only a panic ends it before its channel is closed. The worker stops: see what it reports.
                        _ = &mut committer => Ended::Committer,
                    };
                    match ended {
                        Ended::Stopped => break,
                        Ended::Consumer => {}
                        Ended::Committer => {
                            error!(
                                job.kind = kind,
                                "the committer ended by itself; nothing of this kind can be committed"
                            );
                            return;
                        }
                    }
                    warn!(job.kind = kind, "the consumer ended, another one is started");
                }
                Err(error) => {
                    failures += 1;
                    warn!(job.kind = kind, error = %error, "no consumer could be started");
                    self.flusher.shared.health.update(|health| {
                        health.not_consuming.insert(kind.to_owned(), error.to_string());
                    });
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
        drop(finished);
        if let Err(error) = committer.await {
            error!(job.kind = kind, error = %error, "the committer ended in a panic; what it had goes back to the broker");
        }
    }

    /// Enough to fill the slots and the next two groups; more would keep other workers from helping.
    fn prefetch(&self) -> usize {
        self.concurrency + 2 * self.flusher.handler.spec().max_group
    }

    fn is_paused(&self) -> bool {
        self.paused.borrow().contains(self.flusher.handler.spec().kind)
    }

    fn prefetch_unless_paused(&self) -> usize {
        if self.is_paused() { 0 } else { self.prefetch() }
    }

    async fn consume(
        &self,
        mut consumer: Consumer,
        finished: &mpsc::UnboundedSender<Item>,
        under_way: &mut UnderWay,
    ) -> Ended {
        let settlements = Arc::new(Settlements::new(consumer.settler.clone()));
        let mut paused = self.paused.clone();
        let mut waiting: VecDeque<Waiting> = VecDeque::new();
        let mut batch: Vec<Delivery> = Vec::with_capacity(BATCH);
        let ended = loop {
            while let Some(permit) = free_slot(&under_way.slots, &waiting) {
                let Some(next) = waiting.pop_front() else { break };
                self.start(next, permit, finished, under_way);
            }
            tokio::select! {
                () = self.stop.cancelled() => break Ended::Stopped,
                read = consumer.deliveries.recv_many(&mut batch, BATCH) => {
                    if read == 0 {
                        break Ended::Consumer;
                    }
                    self.receive(&mut batch, &settlements, &mut waiting, finished).await;
                }
                Some(result) = under_way.running.join_next(), if !under_way.running.is_empty() => report_panic(result),
                Ok(()) = paused.changed() => {
                    paused.mark_unchanged();
                    self.apply_pause(&settlements, &mut waiting);
                }
            }
        };
        consumer.settler.stop();
        hand_back(&settlements, waiting.into_iter().map(|one| one.item));
        if matches!(ended, Ended::Stopped) {
            while let Some(result) = under_way.running.join_next().await {
                report_panic(result);
            }
            self.until_settled(&settlements, &mut consumer).await;
        }
        ended
    }

    /// Keeps the consumer until the last commit is settled, so that nothing that is done is delivered again.
    async fn until_settled(&self, settlements: &Settlements, consumer: &mut Consumer) {
        while let Ok(delivery) = consumer.deliveries.try_recv() {
            let _ = settlements.settler().hand_back(delivery.tag);
        }
        while settlements.unsettled() > 0 {
            tokio::select! {
                () = settlements.changed() => {}
                () = self.flusher.shared.stop_committing.cancelled() => return,
            }
        }
    }

    fn apply_pause(&self, settlements: &Settlements, waiting: &mut VecDeque<Waiting>) {
        settlements.settler().set_prefetch(self.prefetch_unless_paused());
        if self.is_paused() {
            debug!(
                job.kind = self.flusher.handler.spec().kind,
                waiting = waiting.len(),
                "the kind is paused"
            );
            hand_back(settlements, waiting.drain(..).map(|one| one.item));
        }
    }

    /// Reads a batch. What has work to do waits for a slot; everything else goes to the commit, which decides.
    async fn receive(
        &self,
        batch: &mut Vec<Delivery>,
        settlements: &Arc<Settlements>,
        waiting: &mut VecDeque<Waiting>,
        finished: &mpsc::UnboundedSender<Item>,
    ) {
        settlements.received(batch.iter().map(|delivery| delivery.tag));
        if self.is_paused() {
            // Delivered before the broker heard of the pause.
            let answers: Vec<_> = batch.drain(..).map(|delivery| (delivery.tag, Answer::HandBack)).collect();
            return settlements.settle(&answers);
        }
        let received = match self.read(settlements, batch).await {
            Ok(received) => received,
            Err(error) => {
                // Nobody's fault: back with them, and a pause that lets the database come back.
                warn!(job.kind = self.flusher.handler.spec().kind, error = %error, "deliveries are handed back: the database is away");
                self.flusher.shared.health.update(|health| health.database = Some(error.to_string()));
                let answers: Vec<_> = batch.iter().map(|delivery| (delivery.tag, Answer::HandBack)).collect();
                tokio::time::sleep(Duration::from_millis(500)).await;
                settlements.settle(&answers);
                batch.clear();
                return;
            }
        };
        batch.clear();
        fault::point("received");
        for one in received {
            match one {
                Sorted::ToCommit(item) => drop(finished.send(item)),
                Sorted::ToPerform(job) => waiting.push_back(job),
            }
        }
    }

    async fn read(&self, settlements: &Arc<Settlements>, batch: &[Delivery]) -> Result<Vec<Sorted>, DbErr> {
        let Flusher { shared, handler } = &self.flusher;
        let spec = handler.spec();
        let received = receive::read(shared, &**handler, settlements, batch).await?;
        // Kinds without a slow half have nothing to save by looking first.
        let rows: HashMap<JobId, job::Fence> = if spec.performs {
            let ids: Vec<JobId> = received.iter().filter_map(|one| one.item.id).collect();
            job::fences(shared.database.read(), &ids).await?.into_iter().map(|row| (row.id, row)).collect()
        } else {
            HashMap::new()
        };
        let often_lost = self.often_lost(&rows).await?;
        shared.health.update(|health| health.database = None);
        let sorted = received.into_iter().map(|Received { mut item, decoded, deliveries_before }| {
            let (Some(id), Some(decoded)) = (item.id, decoded) else { return Sorted::ToCommit(item) };
            let row = rows.get(&id);
            let is_suspect = shared.suspects.is_suspect(id, deliveries_before) || often_lost.contains(&id);
            let attempt = row.map_or(1, |row| row.attempt.unsigned_abs() + 1);
            if spec.performs || is_suspect {
                let verdict = judge(item.message.seq, row, spec);
                let has_work = !spec.performs
                    || verdict == Verdict::MakeRow
                    || row.is_some_and(|row| {
                        let may_run = is_suspect || row.attempt < row.max_attempts;
                        verdict == Verdict::Turn && !row.cancel_requested && may_run
                    });
                if has_work {
                    return Sorted::ToPerform(Waiting { item, decoded, attempt, is_suspect });
                }
            }
            item.turn = Some(handler.turn(
                decoded,
                id,
                attempt,
                item.message.seq.unwrap_or(1),
                item.message.traceparent.clone(),
            ));
            Sorted::ToCommit(item)
        });
        Ok(sorted.collect())
    }

    /// Handed-over jobs that lost one worker after the other. There is no delivery that would count their deaths.
    async fn often_lost(&self, rows: &HashMap<JobId, job::Fence>) -> Result<HashSet<JobId>, DbErr> {
        let Flusher { shared, handler } = &self.flusher;
        if !handler.spec().hand_over {
            return Ok(HashSet::new());
        }
        let tried = rows.values().filter(|row| row.attempt.unsigned_abs() >= LOST).map(|row| row.id);
        attempt::often_lost(shared.database.read(), &tried.collect::<Vec<_>>(), LOST).await
    }

    fn start(
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

enum Sorted {
    ToCommit(Item),
    ToPerform(Waiting),
}

fn free_slot(slots: &Arc<Semaphore>, waiting: &VecDeque<Waiting>) -> Option<OwnedSemaphorePermit> {
    if waiting.is_empty() { None } else { Arc::clone(slots).try_acquire_owned().ok() }
}

fn hand_back(settlements: &Settlements, items: impl Iterator<Item = Item>) {
    let answers: Vec<_> = items
        .filter_map(|item| match item.expect {
            Expect::Delivery(tag, _) => Some((tag, Answer::HandBack)),
            Expect::Claim { .. } => None,
        })
        .collect();
    settlements.settle(&answers);
}

fn report_panic(result: Result<(), tokio::task::JoinError>) {
    if let Err(error) = result {
        error!(error = %error, "a job's task ended in a panic outside of its handler");
    }
}

fn lock(performing: &Performing) -> std::sync::MutexGuard<'_, HashMap<JobId, Vec<Item>>> {
    performing.lock().unwrap_or_else(PoisonError::into_inner)
}

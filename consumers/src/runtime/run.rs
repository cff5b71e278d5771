//! Running one job: claim, perform, and standing aside for suspects.

use std::time::{Duration, Instant};

use ackord_entities::error_chain;
use ackord_entities::fault;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::Backoff;
use ackord_entities::queue::lease::Held;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, warn};

use super::claim::Claimed;
use super::flush::Flusher;
use super::item::{Expect, Item, Keeper, Started, Work};
use super::perform::{Performed, perform};
use super::sort::Waiting;
use super::starter::Judged;
use super::suspects::{Beside, Recorded, killed_worker};
use crate::handler::Context;
use crate::trace;

/// The time between two looks at a process whose sign of life is waited for.
const LOOK: Duration = Duration::from_millis(250);

/// The worker was told to stop.
struct Stopped;

impl Flusher {
    /// A job nobody suspects. Short ones stand aside while a suspect runs.
    pub(super) async fn run_job(&self, job: Waiting, id: JobId) -> Option<Item> {
        let _together =
            if self.handler.spec().hand_over { None } else { Some(self.shared.suspects.alone.read().await) };
        self.run(job, id).await
    }

    /// Claims (hand-over kinds) and performs. Answers what is left to commit.
    async fn run(&self, job: Waiting, id: JobId) -> Option<Item> {
        let Waiting { mut item, decoded, attempt, .. } = job;
        item.in_flight = self.shared.suspects.in_flight(id);
        let lease_key = decoded.lease_key.clone();
        let seq = item.message.seq.unwrap_or(1);
        item.turn = Some(self.handler.turn(decoded, id, attempt, seq, item.traceparent()));
        if self.handler.spec().hand_over {
            item = self.claimed(item, lease_key.as_deref()).await?;
            if item.is_delivery() {
                return Some(item);
            }
        } else {
            item.started = Some(Started::Here(Instant::now()));
        }
        fault::point_of("performing", self.handler.spec().kind);
        item.work = self.perform_held(&mut item, id).await;
        fault::point_of("performed", self.handler.spec().kind);
        Some(item)
    }

    /// Claims until the database lets it. `None`: the job was put off.
    async fn claimed(&self, mut item: Item, lease_key: Option<&str>) -> Option<Item> {
        let mut outages = 0;
        loop {
            match self.claim(item, lease_key).await {
                Ok(Claimed::Yes(item) | Claimed::No(item)) => return Some(item),
                Ok(Claimed::PutOff) => return None,
                Err((unclaimed, error)) => {
                    outages += 1;
                    item = unclaimed;
                    if self.shared.stop_performing.is_cancelled() {
                        item.work = Work::HandBack;
                        return Some(item);
                    }
                    self.wait_for_the_database(&error, outages).await;
                }
            }
        }
    }

    /// What cannot be recorded at the moment is not given back to get it again: it waits here.
    async fn wait_for_the_database(&self, error: &DbErr, outages: u32) {
        let text = error_chain(error);
        // The first time may be two transactions in each other's way.
        if outages > 1 {
            if outages == 2 {
                warn!(job.kind = self.handler.spec().kind, error = text, "a job waits for the database");
            }
            self.shared.gate.close(text);
        }
        let policy = Backoff {
            initial: Duration::from_millis(20),
            factor: 3.0,
            longest: Duration::from_secs(3),
            ..Backoff::DEFAULT
        };
        tokio::select! {
            () = self.shared.stop_performing.cancelled() => {}
            () = tokio::time::sleep(policy.delay_after(outages)) => {}
        }
    }

    /// The slow half. The leases of a claim are kept from here to its commit; when they are lost, the work is stopped.
    async fn perform_held(&self, item: &mut Item, id: JobId) -> Work {
        let token = self.shared.stop_performing.child_token();
        if let Expect::Claim { held, .. } = &item.expect {
            item.keeper = Some(self.keeper(id, held.clone(), token.clone()));
        }
        let Some(turn) = &item.turn else { return Work::HandBack };
        if !self.handler.spec().performs {
            return Work::Done(self.handler.no_output());
        }
        let _running = self.shared.running(id, token.clone());
        let _performing = self.shared.meter(self.handler.spec().kind).performing();
        let held = match &item.expect {
            Expect::Claim { held, .. } => held.clone(),
            Expect::Delivery(..) => Vec::new(),
        };
        let context =
            Context::new(self.shared.database.clone(), self.handler.spec().kind, id, token).holding(held);
        let span = trace::perform(&item.span);
        match perform(&*self.handler, turn, &context).instrument(span.clone()).await {
            Performed::Done(output) => Work::Done(output),
            Performed::Errored(error) => {
                trace::failed(&span, &error.error);
                Work::Errored(error)
            }
            Performed::Stopped => Work::HandBack,
        }
    }

    fn keeper(&self, id: JobId, held: Vec<Held>, lost: CancellationToken) -> Keeper {
        let flusher = self.clone();
        Keeper(tokio::spawn(async move {
            flusher.keep_leases(&held).await;
            warn!(job.kind = flusher.handler.spec().kind, job.id = %id, "the lease is lost, the work is stopped");
            lost.cancel();
        }))
    }

    /// A job that may have killed a process: its start is recorded first. It runs in company once, if nothing more is known of it.
    pub(super) async fn run_suspect(&self, job: Waiting, id: JobId) -> Option<Item> {
        let Ok(judged) = self.judged_start(id).await else { return Some(handed_back(job)) };
        if self.handler.spec().hand_over || self.shared.suspects.was_in_flight(id) || !judged.is_first() {
            return self.run_alone(job, id, judged).await;
        }
        let together = self.shared.suspects.alone.read().await;
        match self.recorded_start(id, &judged, Beside::Others).await {
            Err(Stopped) => Some(handed_back(job)),
            Ok(Recorded::Begin) => {
                debug!(job.kind = self.handler.spec().kind, job.id = %id, "a suspect runs in company: it came for the third time");
                let mut item = self.run(job, id).await?;
                item.was_suspect = true;
                Some(item)
            }
            Ok(Recorded::Overtaken | Recorded::Exhausted(_)) => {
                drop(together);
                let Ok(judged) = self.judged_start(id).await else { return Some(handed_back(job)) };
                self.run_alone(job, id, judged).await
            }
        }
    }

    /// No other suspect runs beside it, and after the last allowed start it is given up. It is committed here, by itself.
    async fn run_alone(&self, job: Waiting, id: JobId, mut judged: Judged) -> Option<Item> {
        loop {
            let _turn = tokio::select! {
                turn = self.shared.suspects.turn.lock() => turn,
                // A drain: it was not started, so nothing is recorded.
                () = self.shared.stop_performing.cancelled() => return Some(handed_back(job)),
            };
            let _alone = if self.handler.spec().hand_over {
                None
            } else {
                Some(self.shared.suspects.alone.write().await)
            };
            let item = match self.recorded_start(id, &judged, Beside::Nobody).await {
                Err(Stopped) => return Some(handed_back(job)),
                Ok(Recorded::Overtaken) => {
                    let Ok(newer) = self.judged_start(id).await else { return Some(handed_back(job)) };
                    judged = newer;
                    continue;
                }
                Ok(Recorded::Exhausted(starts)) => self.exhausted(job, id, starts),
                Ok(Recorded::Begin) => {
                    info!(job.kind = self.handler.spec().kind, job.id = %id, "a suspect runs alone: it was in flight when a process died");
                    let Some(mut item) = self.run(job, id).await else {
                        // It was put off and never began: that start was none.
                        self.shared.take_back_start(id).await;
                        return None;
                    };
                    item.was_suspect = true;
                    item
                }
            };
            self.commit(vec![item]).await;
            return None;
        }
    }

    fn exhausted(&self, job: Waiting, id: JobId, starts: u32) -> Item {
        let Waiting { mut item, decoded, .. } = job;
        let seq = item.message.seq.unwrap_or(1);
        item.turn = Some(self.handler.turn(decoded, id, starts, seq, item.traceparent()));
        item.work = killed_worker(starts);
        item.was_suspect = true;
        item
    }

    /// Waits until it is known what became of the newest start, however long the database is away.
    ///
    /// # Errors
    /// The worker was told to stop first.
    async fn judged_start(&self, id: JobId) -> Result<Judged, Stopped> {
        let (mut vigil, mut outages) = (None, 0);
        loop {
            match self.shared.judge_newest_start(id, &mut vigil).await {
                Ok(Some(judged)) => return Ok(judged),
                Ok(None) => tokio::select! {
                    () = self.shared.stop_performing.cancelled() => {}
                    () = tokio::time::sleep(LOOK) => {}
                },
                Err(error) => {
                    outages += 1;
                    self.wait_for_the_database(&error, outages).await;
                }
            }
            if self.shared.stop_performing.is_cancelled() {
                return Err(Stopped);
            }
        }
    }

    /// Records a suspect's start, however long the database is away.
    ///
    /// # Errors
    /// The worker was told to stop first; no start was recorded.
    async fn recorded_start(&self, id: JobId, judged: &Judged, beside: Beside) -> Result<Recorded, Stopped> {
        let mut outages = 0;
        loop {
            match self.shared.record_start(id, judged, beside).await {
                Ok(recorded) => return Ok(recorded),
                Err(_) if self.shared.stop_performing.is_cancelled() => return Err(Stopped),
                Err(error) => {
                    outages += 1;
                    self.wait_for_the_database(&error, outages).await;
                }
            }
        }
    }
}

fn handed_back(job: Waiting) -> Item {
    let mut item = job.item;
    item.work = Work::HandBack;
    item
}

//! One consumer's life: deliveries in, jobs started, until it ends or has to.
//!
//! Nothing in here puts a delivery back in order to get it again: on some brokers each time counts towards the delivery
//! limit, and an outage of a minute would give innocents up. While the database is away, deliveries are held; when that takes
//! so long that the broker would take them back, the consumer is closed, once, and the next one waits for the database.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ackord_entities::database::{Fault, classify};
use ackord_entities::error_chain;
use ackord_entities::fault;
use ackord_entities::jobs::Backoff;
use ackord_producer::broker::{Consumer, Delivery};
use sea_orm::DbErr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, warn};

use super::desk::is_passing;
use super::item::{Expect, Item};
use super::kind::{KindRunner, UnderWay};
use super::outage::Away;
use super::prefetch::{Ramp, Taking};
use super::settle::{Answer, Settlements};
use super::sort::{Sorted, Waiting};
use super::suspects::has_been_lost_often;
use crate::health::READ;

/// Deliveries read at once.
const BATCH: usize = 256;

/// Why a consumer's life is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The worker was told to stop; everything is settled or handed back.
    Stopped,
    /// The broker or the channel ended it.
    Consumer,
    /// It stopped without a word.
    Silent,
    /// The database is away for so long that the deliveries cannot be held any longer.
    Outage,
}

/// What a consumer has brought and nobody works on yet.
struct Intake {
    consumer: Consumer,
    settlements: Arc<Settlements>,
    /// Jobs that wait for a slot.
    waiting: VecDeque<Waiting>,
    /// Deliveries that could not be read because the database was away.
    held: Vec<Delivery>,
    failures: u32,
    retry_at: Instant,
    /// What the broker was told.
    prefetch: usize,
    ramp: Ramp,
}

impl KindRunner {
    /// Works with one consumer until its life is over.
    pub(super) async fn consume(
        &self,
        consumer: Consumer,
        ramp: Ramp,
        finished: &mpsc::UnboundedSender<Item>,
        under_way: &mut UnderWay,
    ) -> Ended {
        let mut intake = Intake {
            settlements: Arc::new(Settlements::new(consumer.settler.clone(), Some(self.meter.clone()))),
            consumer,
            waiting: VecDeque::new(),
            held: Vec::new(),
            failures: 0,
            retry_at: Instant::now(),
            prefetch: self.prefetch(ramp, under_way),
            ramp,
        };
        self.progress.consumes(&intake.settlements, intake.prefetch);
        let ended = self.take_in(&mut intake, finished, under_way).await;
        intake.consumer.settler.stop();
        intake.hand_back();
        if intake.failures > 0 {
            // Nothing is held any more.
            self.flusher.shared.health.say().holds_for(READ, self.kind());
        }
        if ended == Ended::Stopped {
            while let Some(result) = under_way.running.join_next().await {
                report_panic(result);
            }
            self.until_settled(&mut intake).await;
        }
        ended
    }

    async fn take_in(
        &self,
        intake: &mut Intake,
        finished: &mpsc::UnboundedSender<Item>,
        under_way: &mut UnderWay,
    ) -> Ended {
        let mut gate = self.flusher.shared.gate.watch();
        let mut paused = self.paused.clone();
        let mut batch: Vec<Delivery> = Vec::with_capacity(BATCH);
        loop {
            let away = gate.borrow_and_update().clone();
            let is_there = away.is_none();
            if is_there {
                while let Some(permit) = free_slot(&under_way.slots, &intake.waiting) {
                    let Some(next) = intake.waiting.pop_front() else { break };
                    self.start(next, permit, finished, under_way);
                }
                self.take_when_free(intake, under_way);
            }
            tokio::select! {
                () = self.stop.cancelled() => return Ended::Stopped,
                read = intake.consumer.deliveries.recv_many(&mut batch, BATCH), if is_there && intake.held.is_empty() => {
                    if read == 0 {
                        return Ended::Consumer;
                    }
                    self.arrived(intake, &batch, under_way);
                    self.receive(std::mem::take(&mut batch), intake, finished).await;
                }
                () = sleep_until(intake.retry_at), if is_there && !intake.held.is_empty() => {
                    let held = std::mem::take(&mut intake.held);
                    self.receive(held, intake, finished).await;
                }
                Some(result) = under_way.running.join_next(), if !under_way.running.is_empty() => report_panic(result),
                Ok(()) = paused.changed() => self.apply_pause(intake, under_way),
                Ok(()) = gate.changed() => {}
                () = self.until_held_for_too_long(away.as_ref(), &intake.settlements), if !is_there => {
                    error!(
                        job.kind = self.kind(),
                        "the database is away for so long that the consumer is closed; it is opened again when the database is back"
                    );
                    return Ended::Outage;
                }
                () = self.progress.restart.notified(), if is_there && intake.held.is_empty() => {
                    // What lies here already has arrived: then it is this loop that was busy, not the consumer.
                    if intake.consumer.deliveries.is_empty() {
                        return Ended::Silent;
                    }
                }
            }
        }
    }

    /// Resolves when held deliveries have to go back in one go, before the broker takes them back by itself.
    async fn until_held_for_too_long(&self, away: Option<&Away>, settlements: &Settlements) {
        let Some(away) = away else { return std::future::pending().await };
        // Half of the broker's patience for the oldest of all, which may have waited before the outage began.
        let left = settlements.oldest().map(|age| (self.consumer_timeout / 2).saturating_sub(age));
        let hold = away.since + self.hold;
        sleep_until(left.map_or(hold, |left| hold.min(Instant::now() + left))).await;
    }

    fn arrived(&self, intake: &mut Intake, batch: &[Delivery], under_way: &UnderWay) {
        intake.settlements.received(batch.iter().map(|delivery| delivery.tag));
        self.progress.arrived(batch.len());
        let redeliveries = batch.iter().filter(|delivery| delivery.deliveries_before > 0).count();
        self.meter.delivered(batch.len(), redeliveries);
        intake.ramp.arrived(
            batch.iter().filter(|delivery| !has_been_lost_often(delivery.deliveries_before)).count(),
        );
        if intake.prefetch > 0 && self.taking != Taking::WhenFree {
            self.set_prefetch(intake, self.prefetch(intake.ramp, under_way));
        }
    }

    /// Reads a batch that has arrived.
    async fn receive(
        &self,
        batch: Vec<Delivery>,
        intake: &mut Intake,
        finished: &mpsc::UnboundedSender<Item>,
    ) {
        if self.is_paused() {
            // Delivered before the broker heard of the pause.
            intake.held.extend(batch);
            return intake.hand_back();
        }
        if self.taking == Taking::WhenFree {
            // Before any of them is acknowledged: each acknowledgement would bring another one.
            self.set_prefetch(intake, 0);
        }
        let sorted = tokio::select! {
            sorted = self.flusher.sort(&intake.settlements, &batch) => sorted,
            () = self.stop.cancelled() => return intake.held.extend(batch),
        };
        match sorted {
            Ok(sorted) => {
                if intake.failures > 0 {
                    intake.failures = 0;
                    self.flusher.shared.health.say().holds_for(READ, self.kind());
                }
                fault::point("received");
                for one in sorted {
                    match one {
                        Sorted::ToCommit(item) => drop(finished.send(item)),
                        Sorted::ToPerform(job) => intake.waiting.push_back(job),
                    }
                }
            }
            Err(error) => {
                intake.held.extend(batch);
                self.hold(intake, &error);
            }
        }
    }

    /// Nobody's fault: the deliveries are held until they can be read.
    fn hold(&self, intake: &mut Intake, error: &DbErr) {
        intake.failures += 1;
        let policy = Backoff {
            initial: Duration::from_millis(50),
            longest: Duration::from_secs(5),
            ..Backoff::DEFAULT
        };
        intake.retry_at = Instant::now() + policy.delay_after(intake.failures);
        let text = error_chain(error);
        if intake.failures == 1 {
            warn!(
                job.kind = self.kind(),
                held = intake.held.len(),
                error = text,
                "deliveries are held: they cannot be read"
            );
        }
        self.flusher.shared.health.say().fails_for(
            READ,
            self.kind(),
            format!("{} deliveries cannot be read: {text}", intake.held.len()),
        );
        // The first time may be two transactions in each other's way.
        if classify(error) == Fault::Unavailable || (is_passing(error) && intake.failures > 1) {
            self.flusher.shared.gate.close(text);
        }
    }

    /// Asks for as many deliveries as there are free slots, once those that came are under way.
    fn take_when_free(&self, intake: &mut Intake, under_way: &UnderWay) {
        if self.taking == Taking::WhenFree
            && intake.prefetch == 0
            && intake.waiting.is_empty()
            && intake.held.is_empty()
        {
            self.set_prefetch(intake, self.prefetch(intake.ramp, under_way));
        }
    }

    fn apply_pause(&self, intake: &mut Intake, under_way: &UnderWay) {
        if self.is_paused() {
            debug!(job.kind = self.kind(), waiting = intake.waiting.len(), "the kind is paused");
            self.set_prefetch(intake, 0);
            intake.hand_back();
        } else {
            self.set_prefetch(intake, self.prefetch(intake.ramp, under_way));
        }
    }

    fn set_prefetch(&self, intake: &mut Intake, prefetch: usize) {
        if intake.prefetch != prefetch {
            intake.prefetch = prefetch;
            intake.consumer.settler.set_prefetch(prefetch);
            self.progress.consumes(&intake.settlements, prefetch);
        }
    }

    /// Keeps the consumer until the last commit is settled, so that nothing that is done is delivered again.
    async fn until_settled(&self, intake: &mut Intake) {
        while let Ok(delivery) = intake.consumer.deliveries.try_recv() {
            let _ = intake.consumer.settler.hand_back(delivery.tag);
        }
        while intake.settlements.unsettled() > 0 {
            tokio::select! {
                () = intake.settlements.changed() => {}
                () = self.flusher.shared.stop_committing.cancelled() => return,
            }
        }
    }
}

impl Intake {
    /// Everything that nobody works on goes back, unharmed.
    fn hand_back(&mut self) {
        let waiting = self.waiting.drain(..).filter_map(|one| match one.item.expect {
            Expect::Delivery(tag, _) => Some(tag),
            Expect::Claim { .. } => None,
        });
        let answers: Vec<_> = waiting
            .chain(self.held.drain(..).map(|delivery| delivery.tag))
            .map(|tag| (tag, Answer::HandBack))
            .collect();
        self.settlements.settle(&answers);
    }
}

fn free_slot(slots: &Arc<Semaphore>, waiting: &VecDeque<Waiting>) -> Option<OwnedSemaphorePermit> {
    if waiting.is_empty() { None } else { Arc::clone(slots).try_acquire_owned().ok() }
}

pub(super) fn report_panic(result: Result<(), tokio::task::JoinError>) {
    if let Err(error) = result {
        error!(error = %error, "a job's task ended in a panic outside of its handler");
    }
}

//! Group commit: takes what is finished, and runs transactions over it until it is through.
//!
//! There is no timer: what finishes while a flush runs joins the next one, so a group is as large as the database is slow. On
//! Postgres two flushes of a kind overlap, so that one works while the other waits for the disk; SQLite has one writer.
//!
//! When a group cannot be committed as one, its jobs are kept apart further and further, and never put together again: a
//! savepoint each, then a transaction each.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ackord_entities::error_chain;
use ackord_entities::jobs::Backoff;
use ackord_entities::queue::dead_letter::Reason;
use ackord_producer::broker::Tag;
use futures::future::join_all;
use sea_orm::{DbBackend, DbErr};
use tokio::sync::{Mutex, mpsc};
use tracing::{error, info, warn};

use super::desk::is_passing;
use super::flush::{Flusher, Mode, Trouble};
use super::item::{Error, Expect, Item, Work};
use super::settle::{Answer, Settlements};
use crate::error::JobError;
use crate::handler::Failure;
use crate::trace;

/// After so many lost connections in one job's own commit half, the half is to blame.
const INTERRUPTIONS: u32 = 3;

/// Transactions of one kind at once, where the database can do them at once.
const OVERLAPPING: usize = 2;

/// Commits what arrives, until nothing can arrive any more.
pub(crate) async fn run(flusher: Flusher, finished: mpsc::UnboundedReceiver<Item>) {
    let at_once = match flusher.shared.database.backend() {
        DbBackend::Postgres => OVERLAPPING,
        _ => 1,
    };
    let finished = Mutex::new(finished);
    join_all((0..at_once).map(|_| commit_groups(&flusher, &finished))).await;
}

async fn commit_groups(flusher: &Flusher, finished: &Mutex<mpsc::UnboundedReceiver<Item>>) {
    let most = flusher.handler.spec().max_group.max(1);
    loop {
        let mut group = Vec::with_capacity(most);
        if finished.lock().await.recv_many(&mut group, most).await == 0 {
            return;
        }
        let _step = flusher.shared.commit_step(flusher.handler.spec().kind);
        // A suspect that runs at the moment runs alone.
        let _together = flusher.shared.suspects.alone.read().await;
        flusher.commit(group).await;
    }
}

impl Flusher {
    /// Commits items and settles them. Returns when each is committed, or when the drain is over.
    pub(crate) async fn commit(&self, items: Vec<Item>) {
        for mut round in rounds_of_different_jobs(items) {
            for item in &mut round {
                if item.in_flight.is_none() {
                    item.in_flight = item.id.and_then(|id| self.shared.suspects.in_flight(id));
                }
            }
            self.through(round, Mode::Group).await;
        }
    }

    async fn through(&self, mut items: Vec<Item>, mut mode: Mode) {
        let mut outages = 0;
        let mut interruptions = 0;
        let channels = Channels::of(&items);
        channels.in_commit();
        while !self.shared.stop_committing.is_cancelled() {
            let spans = trace::commit(&items);
            let result = tokio::select! {
                result = self.once(&items, mode) => result,
                () = self.shared.stop_committing.cancelled() => return,
            };
            drop(spans);
            let trouble = match result {
                Ok(answers) => {
                    self.recovered(outages);
                    return self.settle(&items, &answers);
                }
                Err(trouble) => trouble,
            };
            channels.held_up();
            self.shared.meter(self.handler.spec().kind).rolled_back();
            match trouble {
                Trouble::Database { error, in_handler } if is_passing(&error) => {
                    interruptions += u32::from(in_handler);
                    outages += 1;
                    self.wait(&error, outages).await;
                    if interruptions < INTERRUPTIONS {
                        continue;
                    }
                    // A statement can end a server's backend. SQLite has none: its disk is full, or the like.
                    if let ([item], DbBackend::Postgres) =
                        (items.as_mut_slice(), self.shared.database.backend())
                    {
                        item.skip_abandon = matches!(item.work, Work::Errored(_) | Work::GiveUp(..));
                        if !item.skip_abandon {
                            item.work = Work::Errored(interrupted(&error));
                        }
                        interruptions = 0;
                        continue;
                    }
                }
                Trouble::Database { error, in_handler: true } => {
                    // Without a pause, a database that refuses everything would be asked without a pause.
                    outages += 1;
                    self.wait(&error, outages).await;
                    if let ([item], Mode::Savepoints) = (items.as_mut_slice(), mode) {
                        // Its writes cannot be committed: its own fault.
                        item.work = Work::Errored(Error::errored(error.into()));
                        continue;
                    }
                }
                Trouble::Database { error, in_handler: false } => {
                    outages += 1;
                    error!(
                        job.kind = self.handler.spec().kind,
                        error = error_chain(&error),
                        "a statement of the engine itself failed"
                    );
                    self.wait(&error, outages).await;
                    if outages < INTERRUPTIONS {
                        continue;
                    }
                    // What one of the jobs brought with it cannot be written: find out which.
                    if let ([item], Mode::Savepoints) = (items.as_mut_slice(), mode) {
                        item.work = Work::GiveUp(Reason::Permanent, unrecordable());
                        continue;
                    }
                }
                Trouble::Handler(failure) => {
                    info!(
                        job.kind = self.handler.spec().kind,
                        jobs = items.len(),
                        error = error_chain(&failure),
                        "a group is taken apart"
                    );
                }
            }
            if mode == Mode::Savepoints && items.len() > 1 {
                for item in items {
                    Box::pin(self.through(vec![item], Mode::Savepoints)).await;
                }
                return;
            }
            mode = Mode::Savepoints;
        }
    }

    /// Waits until it makes sense to try again. Nothing is acknowledged and nobody's attempt is counted meanwhile.
    async fn wait(&self, error: &DbErr, outages: u32) {
        let text = error_chain(error);
        // The first time may be a deadlock: that needs no pause and no alarm.
        if outages > 1 {
            if outages == 2 {
                warn!(
                    job.kind = self.handler.spec().kind,
                    error = text,
                    "the database does not take the work; it is held"
                );
            }
            self.shared.gate.close(text);
        }
        let policy = Backoff {
            initial: Duration::from_millis(20),
            factor: 3.0,
            longest: Duration::from_secs(3),
            jitter: 0.5,
        };
        tokio::select! {
            () = self.shared.stop_committing.cancelled() => {}
            () = tokio::time::sleep(policy.delay_after(outages)) => {}
        }
    }

    fn recovered(&self, outages: u32) {
        if outages > 1 {
            info!(job.kind = self.handler.spec().kind, "the database takes the work again");
        }
        self.shared.gate.open();
    }

    fn settle(&self, items: &[Item], answers: &[Option<Answer>]) {
        self.shared.suspects.clear(items.iter().filter(|item| item.was_suspect).filter_map(|item| item.id));
        let answered = items.iter().zip(answers).filter_map(|(item, answer)| Some((item, (*answer)?)));
        let answered = answered.filter_map(|(item, answer)| match &item.expect {
            Expect::Delivery(tag, settlements) => Some((settlements, (*tag, answer))),
            Expect::Claim { .. } => None,
        });
        for (settlements, batch) in by_channel(answered) {
            settlements.settle(&batch);
        }
    }
}

/// The deliveries of a transaction, by the consumer that they came from: nearly always one, two after a reconnect.
struct Channels(Vec<(Arc<Settlements>, Vec<Tag>)>);

impl Channels {
    fn of(items: &[Item]) -> Self {
        Self(by_channel(items.iter().filter_map(|item| match &item.expect {
            Expect::Delivery(tag, settlements) => Some((settlements, *tag)),
            Expect::Claim { .. } => None,
        })))
    }

    fn in_commit(&self) {
        self.0.iter().for_each(|(settlements, tags)| settlements.in_commit(tags));
    }

    fn held_up(&self) {
        self.0.iter().for_each(|(settlements, tags)| settlements.held_up(tags));
    }
}

fn by_channel<'a, T>(
    deliveries: impl Iterator<Item = (&'a Arc<Settlements>, T)>,
) -> Vec<(Arc<Settlements>, Vec<T>)> {
    let mut channels: Vec<(Arc<Settlements>, Vec<T>)> = Vec::new();
    for (settlements, one) in deliveries {
        match channels.iter_mut().find(|(known, _)| Arc::ptr_eq(known, settlements)) {
            Some((_, batch)) => batch.push(one),
            None => channels.push((Arc::clone(settlements), vec![one])),
        }
    }
    channels
}

/// Its own texts are not to be trusted: one of them may be what cannot be written.
fn unrecordable() -> Failure {
    Failure::new(
        "unrecordable",
        "what became of the job could not be written; the log has the database's answer",
    )
}

fn interrupted(error: &DbErr) -> Error {
    Error::errored(JobError::Transient(Failure {
        code: "commit_interrupted".to_owned(),
        operator: format!(
            "the commit half lost its connection {INTERRUPTIONS} times: {}",
            error_chain(error)
        ),
        public: "the work could not be committed".to_owned(),
    }))
}

/// A second delivery of a job goes into a later round, where it finds what became of the first.
fn rounds_of_different_jobs(items: Vec<Item>) -> Vec<Vec<Item>> {
    let mut rounds: Vec<(HashSet<_>, Vec<Item>)> = Vec::new();
    for item in items {
        let free = rounds.iter_mut().find(|(seen, _)| item.id.is_none_or(|id| !seen.contains(&id)));
        match free {
            Some((seen, round)) => {
                seen.extend(item.id);
                round.push(item);
            }
            None => rounds.push((item.id.into_iter().collect(), vec![item])),
        }
    }
    rounds.into_iter().map(|(_, round)| round).collect()
}

//! What all kinds of one worker share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::ids::JobId;
use ackord_producer::Doorbell;
use ackord_producer::broker::Broker;
use ackord_producer::health::Step;
use tokio_util::sync::CancellationToken;

use super::notices::Notices;
use super::outage::Gate;
use super::suspects::Suspects;
use crate::health::{COMMIT, Health};
use crate::metrics::KindMeter;
use crate::worker::WorkerOptions;

/// Shared by all kinds of one worker.
pub(crate) struct Shared {
    pub(crate) database: Database,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) doorbell: Doorbell,
    /// Who this is, in attempts and logs.
    pub(crate) name: String,
    /// How long a lease lasts without being renewed.
    pub(crate) lease: Duration,
    /// A commit that takes longer is stuck.
    stuck_after: Duration,
    pub(crate) suspects: Suspects,
    pub(crate) health: Health,
    /// Who is told of what is committed.
    pub(crate) notices: Notices,
    /// Whether the database takes what is written.
    pub(crate) gate: Gate,
    /// The grace of a drain is over: slow halves are to stop.
    pub(crate) stop_performing: CancellationToken,
    /// The end of a drain: what is not committed by now goes back to the broker.
    pub(crate) stop_committing: CancellationToken,
    /// What is performed at the moment, with the token that calls it off.
    running: Mutex<HashMap<JobId, CancellationToken>>,
    meters: HashMap<&'static str, KindMeter>,
}

impl Shared {
    pub(crate) fn new(
        database: Database,
        broker: Arc<dyn Broker>,
        doorbell: Doorbell,
        options: &WorkerOptions,
        suspects: Suspects,
        kinds: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let health = Health::new();
        let gate = Gate::new(health.say());
        health.say().check_broker(broker.state());
        Self {
            database,
            broker,
            doorbell,
            name: options.name.clone(),
            lease: options.lease,
            stuck_after: options.stuck_after,
            suspects,
            health,
            notices: Notices::none(),
            gate,
            stop_performing: CancellationToken::new(),
            stop_committing: CancellationToken::new(),
            running: Mutex::default(),
            meters: kinds.into_iter().map(|kind| (kind, KindMeter::new(kind))).collect(),
        }
    }

    /// The same, with notices.
    pub(crate) fn telling(self, notices: Notices) -> Self {
        Self { notices, ..self }
    }

    /// The counters of `kind`, which is one of this worker's.
    pub(crate) fn meter(&self, kind: &'static str) -> KindMeter {
        self.meters.get(kind).cloned().unwrap_or_else(|| KindMeter::new(kind))
    }

    /// A commit that begins. Health says so when it takes too long.
    pub(crate) fn commit_step(&self, kind: &str) -> Step {
        self.health.say().step(COMMIT, Some(kind), "a commit", self.stuck_after)
    }

    /// Notes that `job` is being performed, until the answer is dropped.
    pub(crate) fn running(self: &Arc<Self>, job: JobId, token: CancellationToken) -> Running {
        self.lock().insert(job, token);
        Running { shared: Arc::clone(self), job }
    }

    /// The jobs that are being performed.
    pub(crate) fn running_jobs(&self) -> Vec<JobId> {
        self.lock().keys().copied().collect()
    }

    /// Calls a job off that is being performed here.
    pub(crate) fn call_off(&self, job: JobId) {
        if let Some(token) = self.lock().get(&job) {
            token.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, CancellationToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job that is being performed.
pub(crate) struct Running {
    shared: Arc<Shared>,
    job: JobId,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.lock().remove(&self.job);
    }
}

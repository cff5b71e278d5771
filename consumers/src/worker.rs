//! The worker: everything that performs and commits, put together.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::jobs::KindSpec;
use ackord_producer::Doorbell;
use ackord_producer::broker::Broker;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use crate::health::{CONSUMER, Health, STOPPING};
use crate::registry::Registry;
use crate::runtime::archive::{Archive, QUEUES};
use crate::runtime::kind::KindRunner;
use crate::runtime::notices::{Announcer, Notices};
use crate::runtime::outage;
pub use crate::runtime::prefetch::TooSlow;
use crate::runtime::prefetch::{Taking, taking};
use crate::runtime::progress::{self, Progress, Watched};
use crate::runtime::shared::Shared;
use crate::runtime::suspects::Suspects;
use crate::runtime::watch as watcher;

/// After the grace, how long the last commits may take.
const COMMIT_GRACE: Duration = Duration::from_secs(10);

/// How a worker works.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Who this is, in attempts and logs.
    pub name: String,
    /// How long a lease lasts without being renewed; it is renewed every third of that.
    pub lease: Duration,
    /// How long slow halves may go on after the worker was told to stop.
    pub grace: Duration,
    /// Slow halves at once, for kinds that should not have their contract's number.
    pub concurrency: BTreeMap<String, usize>,
    /// The time between two looks for paused kinds and cancelled jobs.
    pub watch: Duration,
    /// The file beside an embedded database that says what is in flight.
    pub in_flight_file: Option<PathBuf>,
    /// Kinds whose notices are sent, besides those whose contract asks for it.
    pub notices: Vec<String>,
    /// Whether the dead-letter queues are archived here. Switched off, messages stay in them.
    pub archive: bool,
    /// After how long without an answer the broker takes a delivery back (RabbitMQ: `consumer_timeout`). What is held has to
    /// get through in that time, so it bounds the prefetch.
    pub consumer_timeout: Duration,
    /// For how long deliveries are held while the database is away. After that the consumer is closed, once, and opened again
    /// when the database takes what is written. Well below the consumer timeout.
    pub hold: Duration,
    /// A commit that takes longer is stuck: the worker is not ready until it is through.
    pub stuck_after: Duration,
    /// For how long messages may wait in a queue, with room for them and none arriving, before the consumer is started again.
    pub idle_after: Duration,
}

/// A worker that cannot be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The file of what is in flight.
    #[error("the file of what is in flight cannot be read or written")]
    InFlightFile(#[from] std::io::Error),
    /// A kind that this broker would never let finish.
    #[error(transparent)]
    TooSlow(#[from] TooSlow),
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            name: format!("worker-{}", std::process::id()),
            lease: Duration::from_secs(30),
            grace: Duration::from_secs(25),
            concurrency: BTreeMap::new(),
            watch: Duration::from_secs(1),
            in_flight_file: None,
            notices: Vec::new(),
            archive: true,
            consumer_timeout: Duration::from_secs(30 * 60),
            hold: Duration::from_secs(10 * 60),
            stuck_after: Duration::from_secs(30),
            idle_after: Duration::from_secs(30),
        }
    }
}

/// A worker that is not running yet.
#[allow(missing_debug_implementations, reason = "handlers and a broker have nothing to show")]
pub struct Worker {
    shared: Arc<Shared>,
    registry: Registry,
    /// How each kind takes deliveries.
    takings: HashMap<&'static str, (usize, Taking)>,
    announcer: Announcer,
    options: WorkerOptions,
}

impl Worker {
    /// Puts a worker together and reads who was in flight when the last one died.
    ///
    /// # Errors
    /// [`WorkerError`]: the file of what is in flight cannot be used, or a kind's attempts may take longer than the broker is
    /// patient.
    pub fn new(
        database: Database,
        broker: Arc<dyn Broker>,
        registry: Registry,
        doorbell: Doorbell,
        options: WorkerOptions,
    ) -> Result<Self, WorkerError> {
        let takings = takings(&registry, &options)?;
        let suspects = Suspects::open(options.in_flight_file.as_deref())?;
        if suspects.count() > 0 {
            warn!(
                suspects = suspects.count(),
                "jobs were in flight when the last worker died; each runs alone"
            );
        }
        let (notices, announcer) =
            Notices::new(registry.iter().map(|handler| handler.spec()), &options.notices);
        let shared = Shared::new(database, broker, doorbell, &options, suspects, takings.keys().copied())
            .telling(notices);
        for kind in takings.keys() {
            shared.health.say().fails_for(CONSUMER, kind, "it was not started yet");
        }
        Ok(Self { shared: Arc::new(shared), registry, takings, announcer, options })
    }

    /// The worker's condition, readable while it runs.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.health.clone()
    }

    /// Runs until `stop`, then drains: takes nothing new, lets slow halves go on for the grace, commits what is finished, gives
    /// back the rest.
    pub async fn run(self, stop: CancellationToken) {
        let (paused_sender, paused) = watch::channel(HashSet::new());
        if let Err(error) = self.shared.drop_finished_suspects().await {
            warn!(error = %error, "whether suspects had ended cannot be read at the moment");
        }
        // Once before the first delivery: a paused kind must not start.
        if let Err(error) = watcher::look(&self.shared, &paused_sender).await {
            warn!(error = %error, "the paused kinds cannot be read at the moment");
        }
        let mut tasks = JoinSet::new();
        let mut watched = Vec::new();
        for handler in self.registry.iter() {
            let Some((concurrency, taking)) = self.takings.get(handler.spec().kind).copied() else {
                continue;
            };
            let (kind, progress) = (handler.spec().kind, Arc::new(Progress::default()));
            let meter = self.shared.meter(kind);
            watched.push(Watched { kind, progress: Arc::clone(&progress), meter: meter.clone() });
            let runner = KindRunner {
                flusher: crate::runtime::flusher(Arc::clone(&self.shared), Arc::clone(handler)),
                concurrency,
                taking,
                hold: self.options.hold,
                consumer_timeout: self.options.consumer_timeout,
                paused: paused.clone(),
                progress,
                meter,
                stop: stop.clone(),
            };
            tasks.spawn(named(format!("kind {kind}"), runner.run()));
        }
        let watch_stop = CancellationToken::new();
        let look =
            watcher::run(Arc::clone(&self.shared), paused_sender, self.options.watch, watch_stop.clone());
        let mut background = JoinSet::new();
        background.spawn(named("watch".to_owned(), look));
        let announcer = self.announcer.run(Arc::clone(&self.shared.broker), watch_stop.clone());
        background.spawn(named("notices".to_owned(), announcer));
        let probe = outage::run(Arc::clone(&self.shared), watch_stop.clone());
        background.spawn(named("probe".to_owned(), probe));
        let progress =
            progress::run(Arc::clone(&self.shared), watched, self.options.idle_after, watch_stop.clone());
        background.spawn(named("progress".to_owned(), progress));
        if self.options.archive {
            for queue in QUEUES {
                let archive = Archive {
                    shared: Arc::clone(&self.shared),
                    registry: self.registry.clone(),
                    queue,
                    hold: self.options.hold.min(self.options.consumer_timeout / 2),
                    stop: watch_stop.clone(),
                };
                background.spawn(named(format!("archive {queue}"), archive.run()));
            }
        }
        info!(kinds = tasks.len(), worker = self.options.name, "the worker takes work");
        // Ends with this future: a worker that is dropped leaves nothing running behind it.
        let _deadline = AbortOnDropHandle::new(tokio::spawn(deadline(
            Arc::clone(&self.shared),
            self.options.grace,
            stop.clone(),
        )));
        wait_for_all(&mut tasks, &stop).await;
        watch_stop.cancel();
        wait_for_all(&mut background, &watch_stop).await;
        info!(worker = self.options.name, "the worker has stopped");
    }
}

/// How each kind takes deliveries, with its number of slots.
fn takings(
    registry: &Registry,
    options: &WorkerOptions,
) -> Result<HashMap<&'static str, (usize, Taking)>, TooSlow> {
    let of = |spec: &KindSpec| {
        let concurrency = options.concurrency.get(spec.kind).copied().unwrap_or(spec.concurrency).max(1);
        Ok((spec.kind, (concurrency, taking(spec, concurrency, options.consumer_timeout)?)))
    };
    registry.iter().map(|handler| of(handler.spec())).collect()
}

/// Runs the two deadlines of a drain.
async fn deadline(shared: Arc<Shared>, grace: Duration, stop: CancellationToken) {
    stop.cancelled().await;
    shared.health.say().fails(STOPPING, "the worker drains: it was told to stop and takes no new work");
    info!(grace_s = grace.as_secs_f64(), "draining: no new work is taken");
    tokio::time::sleep(grace).await;
    shared.stop_performing.cancel();
    tokio::time::sleep(COMMIT_GRACE).await;
    shared.stop_committing.cancel();
}

async fn named(name: String, task: impl Future<Output = ()>) -> String {
    task.await;
    name
}

/// Notices a part that ends before it was told to.
async fn wait_for_all(tasks: &mut JoinSet<String>, stop: &CancellationToken) {
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(name) if !stop.is_cancelled() => {
                error!(task = name, "a part of the worker ended by itself; the worker stops");
            }
            Ok(_) => continue,
            Err(error) => error!(error = %error, "a part of the worker ended in a panic; the worker stops"),
        }
        stop.cancel();
    }
}

//! One measurement's engine: a database file of its own, the embedded broker, a relay and a worker, put together as the
//! program puts them together.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ackord_consumers::registry::Registry;
use ackord_consumers::worker::{Worker, WorkerOptions};
use ackord_entities::database::{Database, DatabaseOptions};
use ackord_entities::jobs::Job;
use ackord_migration::{Migrator, MigratorTrait};
use ackord_producer::broker::topology::{Topology, queue_of};
use ackord_producer::broker::{Broker, EmbeddedBroker, EmbeddedOptions};
use ackord_producer::relay::{Relay, RelayOptions};
use ackord_producer::{Doorbell, Publish, enqueue, enqueue_all};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, PaginatorTrait, Statement};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::kinds::{EMPTY, Load, LoadHandler, effect, make_effects};
use crate::probe::Recorder;

/// Jobs that a publisher writes in one transaction.
pub(crate) const BATCH: usize = 500;

/// A folder under target/, on the disk that the figures are about.
pub(crate) fn folder() -> TempDir {
    tempfile::Builder::new().prefix("engine-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A migrated database as the program opens it, with the table of effects.
pub(crate) async fn open(folder: &Path) -> Database {
    let url = format!("sqlite:{}", folder.join("ackord.db").display());
    let database = DatabaseOptions::new(url).open().await.unwrap();
    let tx = database.begin_unlimited().await.unwrap();
    Migrator::up(&tx, None).await.unwrap();
    tx.commit().await.unwrap();
    make_effects(&database).await.unwrap();
    database
}

/// The engine for jobs of one shape and group size.
pub(crate) struct Engine<const SHAPE: u8, const GROUP: usize> {
    pub(crate) publisher: Publisher,
    pub(crate) recorder: Arc<Recorder>,
    broker: Arc<EmbeddedBroker>,
    jobs: usize,
    // Removed after the connections are closed.
    folder: TempDir,
}

/// What a publisher needs.
#[derive(Clone)]
pub(crate) struct Publisher {
    pub(crate) database: Database,
    doorbell: Doorbell,
}

/// Something that runs until it is stopped.
pub(crate) struct Running {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Running {
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

impl<const SHAPE: u8, const GROUP: usize> Engine<SHAPE, GROUP> {
    /// An engine that will see `jobs` jobs, with nothing running yet.
    pub(crate) async fn new(jobs: usize) -> Self {
        let folder = folder();
        let database = open(folder.path()).await;
        let recorder = Recorder::new(jobs);
        let broker = Arc::new(EmbeddedBroker::new(EmbeddedOptions::default()));
        let engine = Self {
            publisher: Publisher { database, doorbell: Doorbell::default() },
            recorder,
            broker,
            jobs,
            folder,
        };
        engine.broker.apply(&Topology::of(&engine.registry().catalogue())).await.unwrap();
        engine
    }

    fn registry(&self) -> Registry {
        Registry::new().with(LoadHandler::<SHAPE, GROUP> { recorder: Arc::clone(&self.recorder) })
    }

    fn broker(&self) -> Arc<dyn Broker> {
        Arc::clone(&self.broker) as Arc<dyn Broker>
    }

    pub(crate) fn relay(&self) -> Running {
        let Publisher { database, doorbell } = self.publisher.clone();
        let relay = Relay::new(database, self.broker(), doorbell, RelayOptions::default());
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(relay.run(stop.clone()));
        Running { tasks, stop }
    }

    pub(crate) fn worker(&self) -> Running {
        let Publisher { database, doorbell } = self.publisher.clone();
        let in_flight_file = Some(self.folder.path().join("ackord.db.in-flight"));
        let options = WorkerOptions { in_flight_file, ..WorkerOptions::default() };
        let worker = Worker::new(database, self.broker(), self.registry(), doorbell, options).unwrap();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(worker.run(stop.clone()));
        Running { tasks, stop }
    }

    /// The payloads of all jobs.
    pub(crate) fn payloads(&self) -> Vec<Load<SHAPE, GROUP>> {
        (0..self.jobs).map(Load::new).collect()
    }

    /// Waits until every message stands in the broker.
    pub(crate) async fn all_in_broker(&self) {
        let queue = queue_of(Load::<SHAPE, GROUP>::KIND);
        while self.broker.depth(&queue).await.unwrap().ready < self.jobs {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until every job is through. A job that is lost must not look like a slow one.
    pub(crate) async fn all_through(&self) -> Vec<(usize, Instant)> {
        let through = self.recorder.all().await;
        assert_eq!(through.len(), self.jobs, "not all jobs are through");
        through
    }

    /// A rate counts only if every job succeeded and had its effect once.
    pub(crate) async fn audit(self) {
        let database = self.publisher.database;
        let sql = "SELECT count(*) FROM jobs WHERE state = 'succeeded'";
        let row =
            database.read().query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
        let succeeded: i64 = row.unwrap().try_get_by_index(0).unwrap();
        let effects = effect::Entity::find().count(database.read()).await.unwrap();
        let wanted = if SHAPE == EMPTY { 0 } else { self.jobs as u64 };
        assert_eq!(
            (succeeded, effects),
            (self.jobs.cast_signed() as i64, wanted),
            "jobs are lost or doubled"
        );
        database.close().await;
    }
}

impl Publisher {
    /// Publishes all, a batch in a transaction.
    pub(crate) async fn publish_all<J: Job>(&self, jobs: &[J]) {
        for batch in jobs.chunks(BATCH) {
            let tx = self.database.begin().await.unwrap();
            let now = self.database.clock().now(&tx).await.unwrap();
            enqueue_all(&tx, batch, &Publish::at(now)).await.unwrap();
            tx.commit().await.unwrap();
            self.doorbell.ring();
        }
    }

    /// Publishes one job in a transaction of its own.
    pub(crate) async fn publish<J: Job>(&self, job: &J) {
        let tx = self.database.begin().await.unwrap();
        let now = self.database.clock().now(&tx).await.unwrap();
        enqueue(&tx, job, &Publish::at(now)).await.unwrap();
        tx.commit().await.unwrap();
        self.doorbell.ring();
    }
}

//! A stage: a private database, a broker, a relay and a worker in one process.

use std::sync::Arc;
use std::time::Duration;

use ackord_entities::database::{Database, Fault, classify};
use ackord_entities::envelope::Message;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::Job;
use ackord_entities::queue::{job, lease};
use ackord_entities::testing::TestDatabase;
use ackord_producer::broker::topology::{JOBS_EXCHANGE, Topology};
use ackord_producer::broker::{Broker, Confirm, EmbeddedBroker, EmbeddedOptions};
use ackord_producer::relay::{Relay, RelayOptions};
use ackord_producer::upkeep::{put_back_expired, reconcile};
use ackord_producer::{Doorbell, Publish};
use sea_orm::DbErr;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::registry::Registry;
use crate::worker::{Worker, WorkerOptions};

/// After this long a condition counts as never coming true. Generous: a slow machine is no failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the stage's worker works.
#[derive(Clone, Debug)]
pub struct StageOptions {
    /// The worker's options; the names and times of a test.
    pub worker: WorkerOptions,
    /// Whether a relay runs. Without one, messages wait in the outbox.
    pub relay: bool,
}

impl Default for StageOptions {
    fn default() -> Self {
        let worker = WorkerOptions {
            grace: Duration::from_secs(5),
            watch: Duration::from_millis(20),
            ..WorkerOptions::default()
        };
        Self { worker, relay: true }
    }
}

/// The stage.
#[allow(missing_debug_implementations, reason = "a broker has nothing to show")]
pub struct Stage {
    test_database: TestDatabase,
    /// The database that the worker uses.
    pub database: Database,
    /// The broker, whose queues outlive the worker but not the stage.
    pub broker: Arc<EmbeddedBroker>,
    /// Wakes the relay.
    pub doorbell: Doorbell,
    registry: Registry,
    running: Option<Play>,
}

struct Play {
    tasks: JoinSet<()>,
    stop: CancellationToken,
    health: Health,
}

impl Stage {
    /// A stage with nothing running yet.
    ///
    /// # Panics
    /// The topology cannot be applied.
    #[allow(clippy::expect_used, reason = "a test that cannot set its stage has failed")]
    pub async fn new(test_database: TestDatabase, registry: Registry) -> Self {
        let broker = Arc::new(EmbeddedBroker::new(EmbeddedOptions::default()));
        broker.apply(&Topology::of(&registry.catalogue())).await.expect("the topology is applied");
        let database = test_database.database().clone();
        Self { test_database, database, broker, doorbell: Doorbell::default(), registry, running: None }
    }

    /// Starts a relay and a worker.
    ///
    /// # Panics
    /// They run already, or the file of what is in flight cannot be opened.
    #[allow(clippy::expect_used, reason = "a test that cannot set its stage has failed")]
    pub fn start(&mut self, options: StageOptions) {
        assert!(self.running.is_none(), "the play is on already");
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let broker: Arc<dyn Broker> = Arc::clone(&self.broker) as Arc<dyn Broker>;
        let worker = Worker::new(
            self.database.clone(),
            Arc::clone(&broker),
            self.registry.clone(),
            self.doorbell.clone(),
            options.worker,
        )
        .expect("the worker is put together");
        let health = worker.health();
        tasks.spawn(worker.run(stop.clone()));
        if options.relay {
            let relay =
                Relay::new(self.database.clone(), broker, self.doorbell.clone(), RelayOptions::default());
            tasks.spawn(relay.run(stop.clone()));
        }
        self.running = Some(Play { tasks, stop, health });
    }

    /// Stops worker and relay as SIGTERM does, and waits until they have stopped.
    pub async fn stop(&mut self) {
        if let Some(mut play) = self.running.take() {
            play.stop.cancel();
            while play.tasks.join_next().await.is_some() {}
        }
    }

    /// Ends worker and relay as `kill -9` does: whatever they were doing is not finished. What they held goes back to the
    /// broker, which outlives them here; what they had not committed is rolled back.
    pub async fn kill(&mut self) {
        if let Some(mut play) = self.running.take() {
            play.tasks.shutdown().await;
        }
    }

    /// Puts an empty broker in the place of the one there was, as a restart of the whole process does.
    ///
    /// # Panics
    /// Something runs that uses the old one, or the topology cannot be applied.
    #[allow(clippy::expect_used, reason = "a test that cannot set its stage has failed")]
    pub async fn lose_broker(&mut self) {
        assert!(self.running.is_none(), "stop or kill the play first");
        self.broker = Arc::new(EmbeddedBroker::new(EmbeddedOptions::default()));
        self.broker.apply(&Topology::of(&self.registry.catalogue())).await.expect("the topology is applied");
    }

    /// What a start does before the worker takes work: the leases of the dead are let go, and what is unfinished and waits
    /// nowhere is sent again.
    ///
    /// # Panics
    /// The database fails.
    #[allow(clippy::expect_used, reason = "a test that cannot set its stage has failed")]
    pub async fn recover(&self) {
        // All leases in one statement can be in the way of a sweeper that takes them one by one: then it is run again.
        while let Err(error) = self.expire_leases().await {
            assert_eq!(classify(&error), Fault::Conflict, "the leases are let go: {error}");
        }
        put_back_expired(&self.database, &self.doorbell).await.expect("the jobs of the dead are put back");
        reconcile(&self.database, None, &self.doorbell).await.expect("unfinished jobs are sent again");
    }

    async fn expire_leases(&self) -> Result<(), DbErr> {
        let tx = self.database.begin().await?;
        let now = self.database.clock().now(&tx).await?;
        lease::expire_all_runs(&tx, now).await?;
        tx.commit().await
    }

    /// The worker's condition, while it runs.
    ///
    /// # Panics
    /// It does not run.
    #[allow(clippy::expect_used, reason = "a test that asks for nothing has failed")]
    pub fn health(&self) -> Health {
        self.running.as_ref().expect("the worker runs").health.clone()
    }

    /// Publishes a job that is due at once.
    ///
    /// # Panics
    /// It cannot be published.
    #[allow(clippy::expect_used, reason = "a test that cannot set its stage has failed")]
    pub async fn publish<J: Job>(&self, job: &J) -> JobId {
        let tx = self.database.begin().await.expect("a transaction begins");
        let now = self.database.clock().now(&tx).await.expect("the database tells the time");
        let enqueued =
            ackord_producer::enqueue(&tx, job, &Publish::at(now)).await.expect("the job is published");
        tx.commit().await.expect("the transaction commits");
        self.doorbell.ring();
        enqueued.id
    }

    /// Hands a message straight to the broker, as a publisher past `enqueue` would, or a broker that delivers twice.
    ///
    /// # Panics
    /// The broker does not take it.
    #[allow(clippy::expect_used, reason = "a test that cannot set its stage has failed")]
    pub async fn deliver(&self, message: Message) {
        let confirms = self.broker.publish(JOBS_EXCHANGE, &[message]).await.expect("the broker publishes");
        assert_eq!(confirms, [Confirm::Confirmed]);
    }

    /// The job's row as another process would read it.
    ///
    /// # Panics
    /// There is no such job.
    #[allow(clippy::expect_used, reason = "a test that asks for nothing has failed")]
    pub async fn job(&self, id: JobId) -> job::Model {
        let other = self.test_database.reopen().await;
        let found =
            job::find(other.read(), id).await.expect("the jobs can be read").expect("the job is there");
        other.close().await;
        found
    }

    /// Waits until the job has ended.
    pub async fn ended(&self, id: JobId) -> job::Model {
        eventually("the job ends", async || {
            let job = job::find(self.database.read(), id).await.ok()??;
            job.state.is_end().then_some(())
        })
        .await;
        self.job(id).await
    }

    /// A fresh connection to the same database.
    pub async fn reopen(&self) -> Database {
        self.test_database.reopen().await
    }
}

/// Waits until `condition` gives something.
///
/// # Panics
/// It does not within a minute.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "it never came true that {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

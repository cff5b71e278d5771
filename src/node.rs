//! A worker with everything it needs, in this process: the composition that `up` and `demo` run.
//!
//! Start: lock, schema, broker, topology, leases of the dead, reconcile; then the tasks. Stop: the worker drains first, while
//! the relay still sends; then the rest ends.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ackord_consumers::registry::Registry;
use ackord_consumers::worker::{Worker, WorkerOptions};
use ackord_entities::database::Database;
use ackord_entities::queue::lease;
use ackord_producer::Doorbell;
use ackord_producer::broker::topology::Topology;
use ackord_producer::broker::{Broker, EmbeddedBroker, EmbeddedOptions};
use ackord_producer::relay::{Relay, RelayOptions};
use ackord_producer::upkeep::{
    Retention, RetentionOptions, Sweeper, SweeperOptions, put_back_expired, reconcile,
};
use anyhow::Context;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::lock::{self, WorkerLock};
use crate::schema;
use crate::session::sqlite_file;

const WORKER: &str = "worker";

/// A running node. [`Node::run`] must be awaited: dropping it ends the tasks without a drain.
pub(crate) struct Node {
    database: Database,
    doorbell: Doorbell,
    tasks: JoinSet<&'static str>,
    stop_worker: CancellationToken,
    stop_rest: CancellationToken,
    // Freed last: until then no other worker may start on the file.
    _lock: Option<WorkerLock>,
}

impl Node {
    /// Starts everything on `database`, which may be empty.
    ///
    /// # Errors
    /// Another worker runs on the file; a newer schema; whatever the database answers.
    pub(crate) async fn start(
        database: Database,
        registry: Registry,
        concurrency: BTreeMap<String, usize>,
    ) -> anyhow::Result<Self> {
        let lock = sqlite_file(&database).map(lock::take).transpose()?;
        let migrated = schema::bring_up(&database).await?;
        if !migrated.is_empty() {
            info!(migrations = migrated.join(", "), "the schema was brought up");
        }
        let doorbell = Doorbell::default();
        let broker: Arc<dyn Broker> = Arc::new(EmbeddedBroker::new(EmbeddedOptions::default()));
        broker.apply(&Topology::of(&registry.catalogue())).await.context("the broker's topology")?;
        if lock.is_some() {
            release_leases_of_the_dead(&database, &doorbell).await?;
        }
        let sent_again = reconcile(&database, None, &doorbell).await?;
        if sent_again > 0 {
            info!(messages = sent_again, "unfinished jobs of an earlier run are sent again");
        }
        let mut node = Self {
            database,
            doorbell,
            tasks: JoinSet::new(),
            stop_worker: CancellationToken::new(),
            stop_rest: CancellationToken::new(),
            _lock: lock,
        };
        node.spawn_all(&broker, registry, concurrency)?;
        Ok(node)
    }

    /// The database that everything works on.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Wakes the relay after a commit of this process.
    pub(crate) fn doorbell(&self) -> &Doorbell {
        &self.doorbell
    }

    fn spawn_all(
        &mut self,
        broker: &Arc<dyn Broker>,
        registry: Registry,
        concurrency: BTreeMap<String, usize>,
    ) -> anyhow::Result<()> {
        let database = || self.database.clone();
        let doorbell = || self.doorbell.clone();
        let catalogue = registry.catalogue();
        let options = WorkerOptions {
            concurrency,
            in_flight_file: in_flight_file(&self.database),
            ..WorkerOptions::default()
        };
        let worker = Worker::new(database(), Arc::clone(broker), registry, doorbell(), options)
            .context("the file of what is in flight")?;
        let relay = Relay::new(database(), Arc::clone(broker), doorbell(), RelayOptions::default());
        let sweeper = Sweeper::new(database(), doorbell(), SweeperOptions::default());
        let retention = Retention::new(database(), catalogue, RetentionOptions::default());
        let bell =
            listen(doorbell(), sqlite_file(&self.database).map(ToOwned::to_owned), self.stop_rest.clone());
        // The worker stops its own token when one of its parts ends; the others must not follow before it has drained.
        let stop_worker = self.stop_worker.child_token();
        let stop = || self.stop_rest.clone();
        let (relay, sweeper, retention) = (relay.run(stop()), sweeper.run(stop()), retention.run(stop()));
        self.spawn("relay", relay);
        self.spawn("sweeper", sweeper);
        self.spawn("retention", retention);
        self.spawn("doorbell", bell);
        self.spawn(WORKER, worker.run(stop_worker));
        Ok(())
    }

    fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async move {
            task.await;
            name
        });
    }

    /// Runs until `stop`, then drains and closes the database.
    ///
    /// # Errors
    /// A task ended before it was told to; the others were stopped in order.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut failure = None;
        let mut worker_runs = true;
        tokio::select! {
            () = stop.cancelled() => {}
            Some(ended) = self.tasks.join_next() => {
                worker_runs = !matches!(ended, Ok(WORKER));
                failure = Some(too_early(ended));
            }
        }
        self.stop_worker.cancel();
        while worker_runs {
            match self.tasks.join_next().await {
                None | Some(Ok(WORKER)) => worker_runs = false,
                Some(ended) => failure = failure.or(Some(too_early(ended))),
            }
        }
        self.stop_rest.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                failure = failure.or(Some(too_early(Err(error))));
            }
        }
        self.database.clone().close().await;
        failure.map_or(Ok(()), Err)
    }
}

fn too_early(ended: Result<&'static str, JoinError>) -> anyhow::Error {
    match ended {
        Ok(name) => anyhow::anyhow!("the {name} ended by itself; the log says why"),
        Err(error) => anyhow::Error::from(error).context("a task ended in a panic"),
    }
}

/// One worker per file: whoever held a lease before this one started is dead.
async fn release_leases_of_the_dead(database: &Database, doorbell: &Doorbell) -> anyhow::Result<()> {
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    lease::expire_all_runs(&tx, now).await?;
    tx.commit().await?;
    put_back_expired(database, doorbell).await?;
    Ok(())
}

/// Beside the database: `ackord.db.in-flight`.
fn in_flight_file(database: &Database) -> Option<PathBuf> {
    let mut path = sqlite_file(database)?.as_os_str().to_owned();
    path.push(".in-flight");
    Some(PathBuf::from(path))
}

/// Lets other processes ring. Without a bell the relay still looks once a second.
async fn listen(doorbell: Doorbell, database: Option<PathBuf>, stop: CancellationToken) {
    if let Some(path) = database {
        tokio::select! {
            () = stop.cancelled() => return,
            Err(error) = doorbell.listen(&path) => {
                warn!(error = %error, "other processes cannot ring; what they publish starts up to a second later");
            }
        }
    }
    stop.cancelled().await;
}

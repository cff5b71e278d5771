//! The parts of a node: which of them its roles ask for, and what each is made from.

use std::path::PathBuf;
use std::sync::Arc;

use ackord_consumers::registry::Registry;
use ackord_consumers::worker::{Worker, WorkerOptions};
use ackord_entities::database::Database;
use ackord_entities::queue::process::Role;
use ackord_producer::Doorbell;
use ackord_producer::broker::Broker;
use ackord_producer::broker::topology::Topology;
use ackord_producer::relay::{Relay, RelayOptions};
use ackord_producer::upkeep::{
    Guarded, Retention, RetentionOptions, Sweeper, SweeperOptions, TopologyKeeper, TopologyOptions,
};
use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::presence::Presence;
use super::tasks::Tasks;
use super::{Identity, NodeOptions};
use crate::session::sqlite_file;

/// What all parts work on.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) database: Database,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) doorbell: Doorbell,
}

/// Looks after the topology once, then starts what the roles ask for.
///
/// # Errors
/// A queue with other arguments, a kind that the broker would never let finish, whatever the database answers.
pub(super) async fn start(
    place: Place,
    registry: Registry,
    presence: Presence,
    identity: &Identity,
    options: &NodeOptions,
) -> anyhow::Result<Tasks> {
    let catalogue = registry.catalogue();
    let topology = Topology::of(&catalogue);
    let Place { database, broker, doorbell } = place.clone();
    let mut keeper = TopologyKeeper::new(
        database.clone(),
        Arc::clone(&broker),
        topology.clone(),
        doorbell.clone(),
        TopologyOptions::default(),
    );
    if !keeper.first_look().await.context("the topology")? {
        warn!(
            broker = broker.description().url,
            "the broker is away; it is tried again for ever, and what is published waits in the outbox"
        );
    }
    let roles = options.verb.roles();
    let mut tasks = Tasks::default();
    // Before the worker is started: nothing may end early because a later part cannot be made.
    let worker = roles.contains(&Role::Work).then(|| {
        let guarded = Arc::new(Guarded::new(Arc::clone(&broker), topology));
        let options = worker_options(&database, identity, options);
        Worker::new(database.clone(), guarded, registry, doorbell.clone(), options)
    });
    let worker = worker.transpose()?;
    tasks.spawn("topology keeper", |stop| keeper.run(stop));
    tasks.spawn("list of processes", |stop| presence.run(stop));
    if roles.contains(&Role::Relay) {
        let relay = Relay::new(database.clone(), broker, doorbell.clone(), RelayOptions::default());
        tasks.spawn("relay", |stop| relay.run(stop));
    }
    if roles.contains(&Role::Upkeep) {
        let sweeper = Sweeper::new(database.clone(), doorbell.clone(), SweeperOptions::default());
        tasks.spawn("sweeper", |stop| sweeper.run(stop));
        let retention = Retention::new(database.clone(), catalogue, RetentionOptions::default());
        tasks.spawn("retention", |stop| retention.run(stop));
    }
    let file = sqlite_file(&database).map(ToOwned::to_owned);
    tasks.spawn("doorbell", |stop| listen(doorbell, file, stop));
    if let Some(worker) = worker {
        tasks.spawn_worker(|stop| worker.run(stop));
    }
    Ok(tasks)
}

fn worker_options(database: &Database, identity: &Identity, options: &NodeOptions) -> WorkerOptions {
    WorkerOptions {
        name: identity.name.clone(),
        notices: options.notices.clone(),
        concurrency: options.concurrency.clone(),
        in_flight_file: in_flight_file(database),
        archive: options.verb.roles().contains(&Role::Archive),
        consumer_timeout: options.consumer_timeout,
        ..WorkerOptions::default()
    }
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

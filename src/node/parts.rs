//! The parts of a node: which of them its roles ask for, and what each is made from.

use std::path::PathBuf;
use std::sync::Arc;

use ackord_consumers::registry::Registry;
use ackord_consumers::worker::{Worker, WorkerOptions};
use ackord_dashboard::{Api, ApiOptions};
use ackord_entities::database::Database;
use ackord_entities::jobs::Catalogue;
use ackord_entities::queue::process::Role;
use ackord_producer::Doorbell;
use ackord_producer::broker::Broker;
use ackord_producer::broker::topology::Topology;
use ackord_producer::relay::{Relay, RelayOptions};
use ackord_producer::schedules::{Scheduler, SchedulerOptions};
use ackord_producer::syntheses::CatchUp;
use ackord_producer::upkeep::{
    Guarded, Retention, RetentionOptions, Sweeper, SweeperOptions, TopologyKeeper, TopologyOptions,
};
use anyhow::Context;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::presence::Presence;
use super::tasks::Tasks;
use super::{Identity, NodeOptions, standing};
use crate::commands::serve;
use crate::http::{self, ApiDoor, Door, Served};
use crate::session::sqlite_file;
use crate::telemetry::{Gauges, metrics};

/// What all parts work on.
pub(super) struct Place {
    pub(super) database: Database,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) doorbell: Doorbell,
}

/// The addresses that were taken.
pub(super) struct Doors {
    /// For health and metrics.
    pub(super) own: Option<Door>,
    /// For the HTTP API.
    pub(super) api: Option<ApiDoor>,
}

/// Looks after the topology once, then starts what the roles ask for.
///
/// # Errors
/// A queue with other arguments, a kind that the broker would never let finish, whatever the database answers.
pub(super) async fn start(
    place: Place,
    registry: Registry,
    presence: Presence,
    doors: Doors,
    identity: &Identity,
    options: &NodeOptions,
) -> anyhow::Result<Tasks> {
    let catalogue = registry.catalogue();
    let topology = Topology::of(&catalogue);
    let Place { database, broker, doorbell } = place;
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
    let api = match doors.api.zip(options.api.clone()) {
        Some((door, options)) => Some(served_api(&database, &catalogue, &doorbell, door, options).await?),
        None => None,
    };
    let roles = options.verb.roles();
    let kinds: Vec<&'static str> = catalogue.iter().map(|spec| spec.kind).collect();
    let mut tasks = Tasks::default();
    // Before the worker is started: nothing may end early because a later part cannot be made.
    let worker = roles.contains(&Role::Work).then(|| {
        let guarded = Arc::new(Guarded::new(Arc::clone(&broker), topology));
        let options = worker_options(&database, identity, options);
        Worker::new(database.clone(), guarded, registry, doorbell.clone(), options)
    });
    let worker = worker.transpose()?;
    let (mut healths, elsewhere) = (vec![keeper.health()], vec![presence.health()]);
    tasks.spawn("topology keeper", |stop| keeper.run(stop));
    tasks.spawn("list of processes", |stop| presence.run(stop));
    if roles.contains(&Role::Relay) {
        let relay =
            Relay::new(database.clone(), Arc::clone(&broker), doorbell.clone(), RelayOptions::default());
        healths.push(relay.health());
        tasks.spawn("relay", |stop| relay.run(stop));
    }
    if roles.contains(&Role::Upkeep) {
        let sweeper = Sweeper::new(database.clone(), doorbell.clone(), SweeperOptions::default());
        tasks.spawn("sweeper", |stop| sweeper.run(stop));
        if let Some(expression) = &options.sync {
            standing::sync(&database, &catalogue, expression).await?;
        }
        let options = SchedulerOptions::default();
        let scheduler = Scheduler::new(database.clone(), catalogue.clone(), doorbell.clone(), options);
        healths.push(scheduler.health());
        tasks.spawn("scheduler", |stop| scheduler.run(stop));
        let catch_up = CatchUp::new(database.clone(), doorbell.clone());
        tasks.spawn("catching up of syntheses", |stop| catch_up.run(stop));
        let retention = Retention::new(database.clone(), catalogue, RetentionOptions::default());
        tasks.spawn("retention", |stop| retention.run(stop));
    }
    if roles.contains(&Role::Relay) {
        let database = database.clone();
        tasks.spawn("doorbell", |stop| async move { doorbell.hear(&database, stop).await });
    }
    if let Some(worker) = worker {
        healths.push(worker.health().part());
        tasks.spawn_worker(|stop| worker.run(stop));
    }
    if let Some((api, door)) = api {
        healths.push(api.health());
        tasks.spawn("HTTP API", |stop| async move {
            let router = ackord_dashboard::router(api.clone());
            let ends = api.clone();
            tokio::join!(http::serve_api(door, router, stop.clone()), api.look_after(), ends.ends_with(stop));
        });
    }
    if let Some(door) = doors.own {
        // The figures belong to whoever moves and cleans up, so that a crowd of workers does not ask for them again and again.
        if roles.contains(&Role::Relay) || roles.contains(&Role::Upkeep) {
            let gauges = Gauges::new(database, kinds);
            healths.push(gauges.health());
            tasks.spawn("figures", |stop| gauges.run(stop));
        }
        let metrics = door.metrics.clone();
        tasks.spawn("metrics", |stop| metrics::upkeep(metrics, stop));
        let served = Served {
            parts: healths,
            elsewhere,
            metrics: door.metrics.clone(),
            broker: Some(broker.state()),
            name: identity.name.clone(),
            roles: roles.into_iter().map(Role::name).collect(),
        };
        tasks.spawn("health and metrics", |stop| http::serve(door, served, None, stop));
    }
    Ok(tasks)
}

/// The API behind its door.
///
/// # Errors
/// Other machines reach the address and there are no tokens; whatever the database answers.
async fn served_api(
    database: &Database,
    catalogue: &Catalogue,
    doorbell: &Doorbell,
    door: ApiDoor,
    options: ApiOptions,
) -> anyhow::Result<(Api, ApiDoor)> {
    let stop = CancellationToken::new();
    let api = Api::new(database.clone(), catalogue.clone(), doorbell.clone(), options, stop);
    serve::check(&api).await?;
    Ok((api, door))
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

//! A process that works on a database and a broker: the composition behind `up`, `work`, `relay` and `demo`.
//!
//! Start: lock, schema, broker, the list of processes, leases of the dead, topology; then the tasks. Stop: the worker drains
//! first, while the relay still sends; then the rest ends.

pub(crate) mod broker;
mod identity;
mod parts;
pub(crate) mod presence;
mod roles;
mod standing;
mod tasks;

pub(crate) use identity::Identity;
pub(crate) use roles::Verb;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ackord_consumers::registry::Registry;
use ackord_dashboard::ApiOptions;
use ackord_entities::database::Database;
use ackord_entities::queue::lease;
use ackord_entities::queue::process::{self, Role};
use ackord_producer::Doorbell;
use ackord_producer::broker::Description;
use ackord_producer::upkeep::put_back_expired;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::commands;
use crate::config::{BrokerChoice, BrokerTls, Config, ListenAddress};
use crate::http;
use crate::lock::{self, WorkerLock};
use crate::schema;
use crate::session::sqlite_file;
use tasks::Tasks;

/// What a node is made from, beside the database and its kinds.
#[derive(Clone, Debug)]
pub(crate) struct NodeOptions {
    /// Which parts run.
    pub(crate) verb: Verb,
    pub(crate) broker: BrokerChoice,
    pub(crate) broker_tls: BrokerTls,
    /// Where health and metrics are served, if they are.
    pub(crate) listen: Option<ListenAddress>,
    /// Where and how the HTTP API is served, if it is.
    pub(crate) api: Option<ApiOptions>,
    /// Kinds whose notices are sent.
    pub(crate) notices: Vec<String>,
    pub(crate) concurrency: BTreeMap<String, usize>,
    pub(crate) consumer_timeout: std::time::Duration,
    /// When all graphs are copied, as a cron expression, if they are.
    pub(crate) sync: Option<String>,
}

impl NodeOptions {
    /// What the configuration says.
    pub(crate) fn of(verb: Verb, config: &Config) -> Self {
        Self {
            verb,
            broker: config.broker.clone(),
            broker_tls: config.broker_tls.clone(),
            listen: config.listen,
            api: api(verb, config),
            notices: config.worker.notices.0.clone(),
            concurrency: config.worker.concurrency.0.clone(),
            consumer_timeout: config.worker.consumer_timeout.0,
            sync: config.sync.expression(),
        }
    }

    /// Everything in this process with the embedded broker, whatever the configuration says.
    pub(crate) fn embedded(config: &Config) -> Self {
        Self {
            broker: BrokerChoice::Embedded,
            broker_tls: BrokerTls::default(),
            listen: None,
            api: None,
            sync: None,
            ..Self::of(Verb::Up, config)
        }
    }

    /// Refuses what cannot work, before anything is opened.
    ///
    /// # Errors
    /// A process of its own for a broker that lives in one process.
    pub(crate) fn check(&self) -> Result<(), crate::problem::Problem> {
        roles::check(self)
    }
}

/// Of the nodes, `up` serves the API where it is told to.
fn api(verb: Verb, config: &Config) -> Option<ApiOptions> {
    let address = config.api.listen.filter(|_| verb == Verb::Up)?.0;
    Some(commands::serve::options(config, address))
}

/// A running node. [`Node::run`] must be awaited: dropping it ends the tasks without a drain.
pub(crate) struct Node {
    database: Database,
    doorbell: Doorbell,
    broker: Description,
    identity: Identity,
    listens: Option<SocketAddr>,
    serves_api: Option<SocketAddr>,
    tasks: Tasks,
    // Freed last: until then no other worker may start on the file.
    _lock: Option<WorkerLock>,
}

impl Node {
    /// Starts everything on `database`, which may be empty.
    ///
    /// # Errors
    /// Another process is in the way; a newer schema; a broker that refuses us or has a queue with other arguments; whatever the
    /// database answers. A broker that is away is none.
    pub(crate) async fn start(
        database: Database,
        registry: Registry,
        options: NodeOptions,
    ) -> anyhow::Result<Self> {
        options.check()?;
        let door = match options.listen {
            Some(address) => Some(http::open(address.0).await?),
            None => None,
        };
        let listens = door.as_ref().map(|door| door.address);
        let api_door = match &options.api {
            Some(api) => Some(http::open_api(api.address).await?),
            None => None,
        };
        let serves_api = api_door.as_ref().map(|door| door.address);
        let lock =
            sqlite_file(&database).map(|file| lock::take_for(file, options.verb.name())).transpose()?;
        let migrated = schema::bring_up(&database).await?;
        if !migrated.is_empty() {
            info!(migrations = migrated.join(", "), "the schema was brought up");
        }
        let identity = Identity::new();
        let broker = broker::open(&options.broker, &options.broker_tls, &identity.name).await?;
        let description = broker.description();
        let roles = options.verb.roles();
        let presence = presence::Presence::register(&database, &identity, &roles, &description.url).await?;
        // Without a relay here, whatever is committed has to be told to those of other processes.
        let doorbell =
            if roles.contains(&Role::Relay) { Doorbell::default() } else { Doorbell::outside(&database) };
        if lock.is_some() {
            release_leases_of_the_dead(&database, &doorbell).await?;
        }
        let place = parts::Place { database: database.clone(), broker, doorbell: doorbell.clone() };
        let started = parts::start(
            place,
            registry,
            presence,
            parts::Doors { own: door, api: api_door },
            &identity,
            &options,
        )
        .await;
        let tasks = match started {
            Ok(tasks) => tasks,
            Err(error) => {
                // Nobody should have to wait for a process that never was.
                let _ = process::leave(database.write(), &identity.name).await;
                return Err(error);
            }
        };
        Ok(Self {
            database,
            doorbell,
            broker: description,
            identity,
            listens,
            serves_api,
            tasks,
            _lock: lock,
        })
    }

    /// The database that everything works on.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// The broker that everything works with.
    pub(crate) fn broker(&self) -> &Description {
        &self.broker
    }

    /// Who this is.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where health and metrics are served, if they are.
    pub(crate) fn listens(&self) -> Option<SocketAddr> {
        self.listens
    }

    /// Where the HTTP API is served, if it is.
    pub(crate) fn serves_api(&self) -> Option<SocketAddr> {
        self.serves_api
    }

    /// Wakes the relay after a commit of this process.
    pub(crate) fn doorbell(&self) -> &Doorbell {
        &self.doorbell
    }

    /// Runs until `stop`, then drains and closes the database.
    ///
    /// # Errors
    /// A task ended before it was told to; the others were stopped in order.
    pub(crate) async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let ended = self.tasks.run(stop).await;
        self.database.clone().close().await;
        ended
    }
}

/// One process per file: whoever held a lease before this one started is dead. On a server others may be alive.
async fn release_leases_of_the_dead(database: &Database, doorbell: &Doorbell) -> anyhow::Result<()> {
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    lease::expire_all_runs(&tx, now).await?;
    tx.commit().await?;
    put_back_expired(database, doorbell).await?;
    Ok(())
}

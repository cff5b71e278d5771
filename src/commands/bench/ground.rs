//! Where it is measured: a database of its own, a virtual host that is nobody's. Both are left as they were.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ackord_consumers::registry::Registry;
use ackord_entities::database::{Database, DatabaseOptions, Location};
use ackord_entities::jobs::Job;
use ackord_producer::Doorbell;
use ackord_producer::broker::topology::{DEAD_LETTERS, Topology, queue_of};
use ackord_producer::broker::{AmqpBroker, Broker, BrokerError, EmbeddedBroker, EmbeddedOptions};
use anyhow::Context;
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::GROUP;
use super::kinds::{Load, LoadHandler, SET, make_effects};
use super::probe::Recorder;
use crate::config::BrokerChoice;
use crate::node::broker::amqp_options;
use crate::problem::Problem;
use crate::schema;
use crate::session::Session;

/// The kind of all that is measured.
pub(super) type Measured<const SHAPE: u8> = Load<SHAPE, GROUP>;

/// The place of a measurement.
pub(super) struct Ground {
    pub(super) database: Database,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) doorbell: Doorbell,
    /// Jobs that were published so far.
    published: AtomicUsize,
    amqp: Option<Arc<AmqpBroker>>,
    topology: Topology,
    place: Place,
}

/// What is to be removed.
enum Place {
    Folder(PathBuf),
    /// A database on the server that `admin` is connected to.
    Database {
        admin: Database,
        name: String,
    },
}

impl Ground {
    /// Makes the place, with `finished` finished jobs in its table.
    ///
    /// # Errors
    /// A virtual host that has queues of ackord; a server that lets us make no database; whatever either answers.
    pub(super) async fn make(session: &Session, finished: u32) -> anyhow::Result<Self> {
        let config = session.config();
        let registry = Registry::new().with(LoadHandler::<SET, GROUP> { recorder: Recorder::new(0) });
        let topology = Topology::of(&registry.catalogue());
        let (broker, amqp): (Arc<dyn Broker>, _) = match &config.broker {
            BrokerChoice::Embedded => (Arc::new(EmbeddedBroker::new(EmbeddedOptions::default())), None),
            BrokerChoice::Amqp(url) => {
                let broker = AmqpBroker::connect(amqp_options(url, &config.broker_tls, "bench")).await?;
                let broker = Arc::new(broker);
                (Arc::clone(&broker) as Arc<dyn Broker>, Some(broker))
            }
        };
        refuse_what_is_used(&*broker).await?;
        let (database, place) = open(&config.database).await?;
        let ground = Self {
            database,
            broker,
            doorbell: Doorbell::default(),
            published: AtomicUsize::new(0),
            amqp,
            topology,
            place,
        };
        if let Err(error) = ground.prepare(finished).await {
            let _ = ground.remove().await;
            return Err(error);
        }
        Ok(ground)
    }

    async fn prepare(&self, finished: u32) -> anyhow::Result<()> {
        schema::bring_up(&self.database).await?;
        make_effects(&self.database).await?;
        fill(&self.database, finished).await.context("the finished jobs cannot be written")?;
        self.broker.apply(&self.topology).await?;
        Ok(())
    }

    /// The queue of what is measured.
    pub(super) fn queue() -> String {
        queue_of(Measured::<SET>::KIND)
    }

    /// Notes that jobs were published. Answers the number of the first.
    pub(super) fn note_published(&self, jobs: usize) -> usize {
        self.published.fetch_add(jobs, Ordering::Relaxed)
    }

    /// Jobs that were published so far.
    pub(super) fn published(&self) -> usize {
        self.published.load(Ordering::Relaxed)
    }

    /// Which servers these are.
    pub(super) fn servers(&self) -> (String, String) {
        let broker = self.broker.description();
        let broker = broker.server.map_or(broker.url.clone(), |server| format!("{server} at {}", broker.url));
        (self.database.location().to_string(), broker)
    }

    /// A number from the database.
    pub(super) async fn count(&self, sql: &str) -> anyhow::Result<usize> {
        let statement = Statement::from_string(self.database.backend(), sql);
        let row = self.database.read().query_one_raw(statement).await?.context("a count without a row")?;
        Ok(usize::try_from(row.try_get_by_index::<i64>(0)?)?)
    }

    /// Leaves everything as it was.
    pub(super) async fn remove(self) -> anyhow::Result<()> {
        self.database.close().await;
        let database = match self.place {
            Place::Folder(folder) => {
                std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())
            }
            Place::Database { admin, name } => {
                let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                let dropped = admin.write().execute_unprepared(&statement).await;
                let dropped = dropped.map(drop).with_context(|| format!("the database {name} stays behind"));
                admin.close().await;
                dropped
            }
        };
        if let Some(broker) = self.amqp {
            broker
                .remove(&self.topology)
                .await
                .context("queues of the measurement stay behind in the virtual host")?;
        }
        database
    }
}

/// A virtual host with queues of ackord is somebody's.
async fn refuse_what_is_used(broker: &dyn Broker) -> anyhow::Result<()> {
    match broker.depth(DEAD_LETTERS).await {
        Err(BrokerError::NoSuchQueue { .. }) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err(Problem::refused(format!(
            "{} has queues of ackord: a measurement would mix its jobs with those of others",
            broker.description().url
        ))
        .remedy(
            "make a virtual host for it (`rabbitmqctl add_vhost bench`, `rabbitmqctl set_permissions -p bench USER '.*' '.*' '.*'`) and name it in --broker; \
             one that an interrupted measurement left behind is removed by `rabbitmqctl delete_vhost`",
        )
        .into()),
    }
}

/// A database of its own, beside the one that is configured.
async fn open(url: &str) -> anyhow::Result<(Database, Place)> {
    let name = format!("ackord_bench_{}", Uuid::now_v7().simple());
    if let Ok(Location::Sqlite(file)) = url.parse() {
        let folder = file.parent().map_or_else(|| PathBuf::from(&name), |parent| parent.join(&name));
        let mut options = DatabaseOptions::new(format!("sqlite:{}", folder.join("ackord.db").display()));
        options.create = true;
        return Ok((options.open().await?, Place::Folder(folder)));
    }
    let mut own = url::Url::parse(url)?;
    own.set_path(&name);
    let admin = DatabaseOptions::new(url).open().await?;
    if let Err(error) = admin.write().execute_unprepared(&format!("CREATE DATABASE {name}")).await {
        return Err(anyhow::Error::new(error).context(
            "no database can be made for the measurement: its user needs CREATEDB (`ALTER ROLE .. CREATEDB`)",
        ));
    }
    let place = Place::Database { admin: admin.clone(), name: name.clone() };
    match DatabaseOptions::new(own.as_str()).open().await {
        Ok(database) => Ok((database, place)),
        Err(error) => {
            let _ = admin.write().execute_unprepared(&format!("DROP DATABASE {name}")).await;
            Err(error.into())
        }
    }
}

/// Rows of jobs that ended, with ids in the order of their time, as a table has them that was worked on for a while.
async fn fill(database: &Database, finished: u32) -> anyhow::Result<()> {
    /// Rows of one statement.
    const STEP: u32 = 100_000;
    for first in (0..finished).step_by(STEP as usize) {
        let last = (first + STEP).min(finished) - 1;
        // A UUIDv7 of each passing millisecond of the past: 48 bits of time, the version, the rest at random.
        let statement = match database.backend() {
            DbBackend::Postgres => format!(
                "INSERT INTO jobs (id, kind, version, state, seq, origin, attempt, max_attempts, deferrals, payload, created_at, finished_at) \
                 SELECT (lpad(to_hex(1700000000000 + n), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid, \
                 'finished', 1, 'succeeded', 1, 'enqueue', 1, 5, 0, '{{\"number\":1,\"note\":\"a job that ended before the measurement began\"}}', now(), now() \
                 FROM generate_series({first}::bigint, {last}::bigint) AS n"
            ),
            _ => format!(
                "WITH RECURSIVE counted (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM counted WHERE n < {last}) \
                 INSERT INTO jobs (id, kind, version, state, seq, origin, attempt, max_attempts, deferrals, payload, created_at, finished_at) \
                 SELECT unhex(printf('%012x', 1700000000000 + n) || '7' || substr(hex(randomblob(2)), 1, 3) || '8' || substr(hex(randomblob(8)), 1, 15)), \
                 'finished', 1, 'succeeded', 1, 'enqueue', 1, 5, 0, '{{\"number\":1,\"note\":\"a job that ended before the measurement began\"}}', \
                 strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now'), strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now') FROM counted"
            ),
        };
        let tx = database.begin_unlimited().await?;
        tx.execute_unprepared(&statement).await?;
        tx.commit().await?;
    }
    if finished > 0 {
        database.write().execute_unprepared("ANALYZE").await?;
    }
    Ok(())
}

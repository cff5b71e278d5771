//! `testbed up`: what `ackord up` puts together, with the kinds of this program.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ackord_consumers::worker::{Worker, WorkerOptions};
use ackord_entities::database::{Database, Location};
use ackord_entities::jobs::{Catalogue, Job as _, Recombination, Regeneration, SuperSynthesis, Synthesis};
use ackord_entities::queue::lease;
use ackord_entities::queue::schedule::{Definition, Overlap};
use ackord_producer::Doorbell;
use ackord_producer::broker::topology::Topology;
use ackord_producer::broker::{AmqpBroker, AmqpOptions, Broker, EmbeddedBroker, EmbeddedOptions};
use ackord_producer::relay::{Relay, RelayOptions};
use ackord_producer::schedules::{Scheduler, SchedulerOptions, ensure};
use ackord_producer::upkeep::{
    Guarded, Sweeper, SweeperOptions, TopologyKeeper, TopologyOptions, put_back_expired,
};
use anyhow::{Context, bail};
use sea_orm::{ConnectionTrait, DbErr, Statement};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::graphs::with_graphs;
use crate::kinds::{Count, registry};
use crate::presence;
use crate::texts::with_texts;

/// How often `--until-quiet` looks.
const LOOK: Duration = Duration::from_millis(10);

/// How to run.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub struct UpArgs {
    /// Drain and end as soon as every job has ended.
    #[arg(long)]
    until_quiet: bool,
    /// Run the kinds of texts too.
    #[arg(long)]
    texts: bool,
    /// Run the kind that copies graphs too.
    #[arg(long)]
    graphs: bool,
    /// One job of each kind of text at a time.
    #[arg(long, requires = "texts")]
    narrow: bool,
    /// Publish a job by the clock, each second.
    #[arg(long)]
    each_second: bool,
    /// How long a drain lets slow halves go on, in milliseconds.
    #[arg(long, default_value_t = 5_000)]
    grace: u64,
    /// How long a lease lasts, in milliseconds.
    #[arg(long, default_value_t = 30_000)]
    lease: u64,
    /// The time between two looks of the sweeper, in milliseconds.
    #[arg(long, default_value_t = 5_000)]
    sweep: u64,
    /// The time between two signs of life on the list of processes, in milliseconds.
    #[arg(long, default_value_t = 10_000)]
    beat: u64,
    /// RabbitMQ. Without it the broker is embedded.
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
    /// How often the two sides of a connection to the broker say that they live, in seconds.
    #[arg(long, default_value_t = 10)]
    heartbeat: u64,
    /// The time between two looks at the broker's queues, in milliseconds.
    #[arg(long, default_value_t = 1_000)]
    look: u64,
}

/// At most one worker has a file. A server needs no lock.
///
/// # Errors
/// Another one has it, or the lock file cannot be made.
pub fn take_lock(database: &Database) -> anyhow::Result<Option<File>> {
    let Location::Sqlite(database) = database.location() else { return Ok(None) };
    let path = beside(database, "lock");
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("the lock file {} cannot be made", path.display()))?;
    lock.try_lock().with_context(|| format!("another worker has {}", database.display()))?;
    Ok(Some(lock))
}

/// Runs until a signal, or until it is quiet. Prints `ready` when everything runs.
///
/// # Errors
/// Whatever cannot start, and a task that ends before it was told to.
pub async fn run(database: &Database, args: &UpArgs) -> anyhow::Result<()> {
    let registry = if args.texts { with_texts(registry()) } else { registry() };
    let registry = if args.graphs { with_graphs(registry) } else { registry };
    let catalogue = registry.catalogue();
    let topology = Topology::of(&catalogue);
    let doorbell = Doorbell::default();
    let broker = open_broker(args).await?;
    let options =
        TopologyOptions { interval: Duration::from_millis(args.look), ..TopologyOptions::default() };
    let mut keeper = TopologyKeeper::new(
        database.clone(),
        Arc::clone(&broker),
        topology.clone(),
        doorbell.clone(),
        options,
    );
    let file = match database.location() {
        Location::Sqlite(file) => Some(file.clone()),
        Location::Postgres { .. } => None,
    };
    if file.is_some() {
        release_leases_of_the_dead(database, &doorbell).await?;
    }
    keeper.first_look().await.context("the topology")?;

    let (stop_worker, stop_rest) = (CancellationToken::new(), CancellationToken::new());
    let options = WorkerOptions {
        grace: Duration::from_millis(args.grace),
        lease: Duration::from_millis(args.lease),
        concurrency: if args.narrow { one_of_each() } else { BTreeMap::new() },
        in_flight_file: file.as_deref().map(|file| beside(file, "in-flight")),
        ..WorkerOptions::default()
    };
    let name = options.name.clone();
    if file.is_none() {
        presence::register(database, &name).await.context("the list of processes")?;
    }
    let guarded = Arc::new(Guarded::new(Arc::clone(&broker), topology));
    let worker = Worker::new(database.clone(), guarded, registry, doorbell.clone(), options)?;
    let sweeper = SweeperOptions { interval: Duration::from_millis(args.sweep) };
    let mut rest = JoinSet::new();
    rest.spawn(keeper.run(stop_rest.clone()));
    rest.spawn(
        Relay::new(database.clone(), broker, doorbell.clone(), RelayOptions::default())
            .run(stop_rest.clone()),
    );
    rest.spawn(Sweeper::new(database.clone(), doorbell.clone(), sweeper).run(stop_rest.clone()));
    if args.each_second {
        each_second(database, &catalogue).await?;
        let options = SchedulerOptions::default();
        let scheduler = Scheduler::new(database.clone(), catalogue, doorbell.clone(), options);
        rest.spawn(scheduler.run(stop_rest.clone()));
    }
    if let Some(file) = file {
        rest.spawn(listen(doorbell, file, stop_rest.clone()));
    } else {
        let beat = Duration::from_millis(args.beat);
        rest.spawn(presence::run(database.clone(), name, beat, stop_rest.clone()));
    }
    let mut worker = tokio::spawn(worker.run(stop_worker.child_token()));
    // Before it says that it is ready: whoever reads that may tell it to stop at once.
    let terminate = signal(SignalKind::terminate())?;
    println!("ready");

    tokio::select! {
        () = told_to_stop(database, terminate, args.until_quiet) => {}
        ended = &mut worker => { ended?; bail!("the worker ended by itself") }
        Some(ended) = rest.join_next() => { ended?; bail!("a task ended by itself") }
    }
    stop_worker.cancel();
    worker.await?;
    stop_rest.cancel();
    while let Some(ended) = rest.join_next().await {
        ended?;
    }
    Ok(())
}

/// A schedule whose every tick has a job.
async fn each_second(database: &Database, catalogue: &Catalogue) -> anyhow::Result<()> {
    let definition = Definition {
        kind: Count::KIND.to_owned(),
        payload: "{}".to_owned(),
        payload_version: Count::VERSION,
        expression: "* * * * * *".to_owned(),
        zone: "UTC".to_owned(),
        catch_up: "all:100".parse()?,
        overlap: Overlap::Allow,
        enabled: true,
    };
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    ensure(&tx, catalogue, &"each-second".parse()?, &definition, now).await?;
    Ok(tx.commit().await?)
}

fn one_of_each() -> BTreeMap<String, usize> {
    let kinds = [Recombination::KIND, Regeneration::KIND, SuperSynthesis::KIND, Synthesis::KIND];
    kinds.into_iter().map(|kind| (kind.to_owned(), 1)).collect()
}

async fn open_broker(args: &UpArgs) -> anyhow::Result<Arc<dyn Broker>> {
    let Some(url) = &args.broker else {
        return Ok(Arc::new(EmbeddedBroker::new(EmbeddedOptions::default())));
    };
    let options = AmqpOptions { heartbeat: Duration::from_secs(args.heartbeat), ..AmqpOptions::new(url) };
    Ok(Arc::new(AmqpBroker::connect(options).await?))
}

async fn told_to_stop(database: &Database, mut terminate: Signal, until_quiet: bool) {
    tokio::select! {
        _ = terminate.recv() => info!("told to stop"),
        () = quiet(database), if until_quiet => info!("every job has ended"),
    }
}

async fn quiet(database: &Database) {
    loop {
        // A database that is away is not quiet.
        if let Ok((0, 0)) = unfinished(database).await {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Jobs that have not ended, and suspects.
async fn unfinished(database: &Database) -> Result<(i64, i64), DbErr> {
    let sql = "SELECT (SELECT count(*) FROM jobs WHERE state IN ('pending', 'running')), (SELECT count(*) FROM suspects)";
    let row = database.read().query_one_raw(Statement::from_string(database.backend(), sql)).await?;
    row.map_or(Ok((0, 0)), |row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?)))
}

/// One worker per file: whoever held a lease before this one started is dead.
async fn release_leases_of_the_dead(database: &Database, doorbell: &Doorbell) -> Result<(), DbErr> {
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    lease::expire_all_runs(&tx, now).await?;
    tx.commit().await?;
    put_back_expired(database, doorbell).await?;
    Ok(())
}

async fn listen(doorbell: Doorbell, database: PathBuf, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => return,
        Err(error) = doorbell.listen(&database) => warn!(error = %error, "other processes cannot ring"),
    }
    stop.cancelled().await;
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".");
    path.push(suffix);
    PathBuf::from(path)
}

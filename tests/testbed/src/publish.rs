//! `testbed publish`: a publisher in a process of its own, beside the one that works.

use std::path::PathBuf;

use ackord_entities::database::{Database, Location};
use ackord_entities::fault;
use ackord_entities::jobs::Job;
use ackord_producer::{Publish, enqueue_all, ring_from_outside};
use anyhow::{Context, bail};

use crate::kinds::{Chain, Count, Doomed, Flaky, Long, Poison, PoisonCommit, PoisonLong, Slow};

/// What to publish.
#[derive(Debug, clap::Args)]
pub struct PublishArgs {
    /// Jobs in one transaction.
    #[arg(long, default_value_t = 10)]
    batch: usize,
    /// How long `slow` and `long` take.
    #[arg(long, default_value_t = 5)]
    milliseconds: u64,
    /// A file that `slow` waits for.
    #[arg(long, value_name = "FILE")]
    until_file: Option<PathBuf>,
    /// The lease that `long` takes beside its own.
    #[arg(long)]
    key: Option<String>,
    /// How many jobs come behind each `chain`.
    #[arg(long, default_value_t = 2)]
    further: u32,
    /// Pairs: a kind and how many of it.
    #[arg(required = true, num_args = 2.., value_names = ["KIND", "NUMBER"])]
    jobs: Vec<String>,
}

/// Publishes.
///
/// # Errors
/// An unknown kind, and whatever the database answers. What was printed is committed.
pub async fn run(database: &Database, args: &PublishArgs) -> anyhow::Result<()> {
    for pair in args.jobs.chunks(2) {
        let [kind, number] = pair else { bail!("give pairs: a kind and how many of it") };
        let number: usize = number.parse().with_context(|| format!("how many of `{kind}`"))?;
        publish_kind(database, args, kind, number).await?;
    }
    Ok(())
}

async fn publish_kind(
    database: &Database,
    args: &PublishArgs,
    kind: &str,
    number: usize,
) -> anyhow::Result<()> {
    let milliseconds = args.milliseconds;
    match kind {
        Count::KIND => publish(database, args, &Count {}, number).await,
        Slow::KIND => {
            let job = Slow { milliseconds, until_file: args.until_file.clone() };
            publish(database, args, &job, number).await
        }
        Long::KIND => publish(database, args, &Long { milliseconds, key: args.key.clone() }, number).await,
        Chain::KIND => publish(database, args, &Chain { further: args.further }, number).await,
        Flaky::KIND => publish(database, args, &Flaky {}, number).await,
        Doomed::KIND => publish(database, args, &Doomed {}, number).await,
        Poison::KIND => publish(database, args, &Poison {}, number).await,
        PoisonCommit::KIND => publish(database, args, &PoisonCommit {}, number).await,
        PoisonLong::KIND => publish(database, args, &PoisonLong {}, number).await,
        unknown => bail!("there is no kind `{unknown}`"),
    }
}

async fn publish<J: Job>(
    database: &Database,
    args: &PublishArgs,
    job: &J,
    number: usize,
) -> anyhow::Result<()> {
    for batch in vec![job.clone(); number].chunks(args.batch.max(1)) {
        let tx = database.begin().await?;
        let now = database.clock().now(&tx).await?;
        let enqueued = enqueue_all(&tx, batch, &Publish::at(now)).await?;
        fault::point("publisher_before_commit");
        tx.commit().await?;
        fault::point("publisher_after_commit");
        if let Location::Sqlite(path) = database.location() {
            ring_from_outside(path);
        }
        for one in enqueued {
            println!("{}", one.id);
        }
    }
    Ok(())
}

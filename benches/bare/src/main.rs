//! The limit that the engine is measured against: lapin and tokio-postgres, and nothing else. What it does is what any worker has to do that
//! acknowledges after the commit: publish with confirms, take deliveries, one row that claims the job, one row that is its effect, commit, ack.
//!
//!     cargo run --release -p ackord-bare -- --database postgres://.. --broker amqp://..
//!
//! It works in a schema and a queue of its own (`ackord_bare`), which it removes at the end.

#![allow(clippy::cast_precision_loss, reason = "a measurement: counts become rates")]

mod broker;
mod consume;
mod database;
#[path = "../../../src/commands/bench/figures.rs"]
#[allow(dead_code, reason = "shared with the program's own bench, which uses all of it")]
mod figures;
mod latency;
mod publish;

use anyhow::Result;
use clap::Parser;
use figures::{Series, cpu_seconds, memory_mb};
use serde_json::json;

use broker::Broker;
use consume::Shape;
use database::Table;

/// Measures what lapin and tokio-postgres reach without the engine.
#[derive(Debug, Parser)]
struct Options {
    /// `postgres://USER:PASSWORD@HOST/NAME`
    #[arg(long)]
    database: String,
    /// `amqp://USER:PASSWORD@HOST/VHOST`
    #[arg(long)]
    broker: String,
    /// Jobs of one measurement
    #[arg(long, default_value_t = 100_000)]
    jobs: usize,
    /// How often everything is measured
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Jobs in a transaction at most
    #[arg(long, default_value_t = 200)]
    group: usize,
    /// Messages that wait for their confirm
    #[arg(long, default_value_t = 1_000)]
    window: usize,
    /// Jobs per second of the fixed load
    #[arg(long, default_value_t = 200)]
    load: u32,
    /// How long the fixed load is offered, in seconds; 0 leaves it out
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Answer with one JSON value
    #[arg(long)]
    json: bool,
}

/// What is measured, in this order.
const LINES: [(&str, &str); 7] = [
    ("publish", "publish, confirmed, jobs/s"),
    ("set", "effect as a set, jobs/s"),
    ("each", "a statement for each job, savepoints, one connection, jobs/s"),
    ("each_two", "a statement for each job, savepoints, two connections, jobs/s"),
    ("p50_ms", "direct publish to commit, p50, ms"),
    ("p99_ms", "direct publish to commit, p99, ms"),
    ("cpu_us_set_worker", "effect as a set: processor time of this process, µs a job"),
];

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let broker = Broker::open(&options.broker).await?;
    let table = Table::open(&options.database).await?;
    table.check_durable().await?;
    let mut lines: [Series; LINES.len()] = Default::default();
    let measured = measure(&options, &broker, &table, &mut lines).await;
    broker.remove().await?;
    table.remove().await?;
    measured?;
    if options.json {
        let figures: serde_json::Map<String, serde_json::Value> =
            LINES.iter().zip(&lines).map(|((key, _), series)| ((*key).to_owned(), series.json())).collect();
        println!("{}", json!({ "jobs": options.jobs, "group": options.group, "figures": figures }));
        return Ok(());
    }
    println!("{} jobs, {} runs, each figure: median (lowest to highest).\n", options.jobs, options.runs);
    println!("| without the engine | figure |\n|---|---|");
    for ((_, name), series) in LINES.iter().zip(&lines) {
        println!("| {name} | {series} |");
    }
    println!("\nresident memory at the peak: {:.0} MB", memory_mb(std::process::id(), "VmHWM"));
    Ok(())
}

async fn measure(options: &Options, broker: &Broker, table: &Table, lines: &mut [Series]) -> Result<()> {
    for run in 1..=options.runs {
        eprintln!("run {run} of {}", options.runs);
        for (line, shape) in
            [(1, Shape::Set), (2, Shape::Each { connections: 1 }), (3, Shape::Each { connections: 2 })]
        {
            let published = publish::all(broker, options.jobs, options.window).await?;
            lines[0].push(options.jobs as f64 / published.as_secs_f64());
            let before = cpu_seconds(std::process::id()).unwrap_or_default();
            let taken = consume::all(broker, &options.database, shape, options.jobs, options.group).await?;
            if shape == Shape::Set {
                let spent = cpu_seconds(std::process::id()).unwrap_or_default() - before;
                lines[6].push(spent * 1e6 / options.jobs as f64);
            }
            lines[line].push(options.jobs as f64 / taken.as_secs_f64());
            table.audit(options.jobs).await?;
        }
        if options.seconds > 0 {
            let waits = latency::publish_to_commit(options, broker).await?;
            lines[4].push(figures::percentile_ms(&waits, 0.5));
            lines[5].push(figures::percentile_ms(&waits, 0.99));
            table.audit(waits.len()).await?;
        }
    }
    Ok(())
}

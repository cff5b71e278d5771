//! How fast the HTTP API is on a full database: `cargo build --release && cargo bench --bench api`.
//!
//! It starts a Postgres of its own below target/, with `fsync` on, fills it with a million finished jobs and 100,000 syntheses, starts
//! `ackord serve` on it, and asks for lists and for single things over 1 and over 16 connections that stay open, each for some
//! seconds, several times. Every answer is read to its end and must be a 200. What it started ends with it.
//! `cargo bench --bench api -- --quick` takes half a minute and shows that it works; its figures say little.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss, reason = "a measurement")]

#[path = "../../src/commands/bench/figures.rs"]
#[allow(dead_code, reason = "the program's own bench uses all of it")]
mod figures;
mod fill;
mod load;
mod serve;

use ackord_test_servers::{PostgresOptions, PostgresServer};
use clap::Parser;
use figures::{Series, cpu_seconds, memory_mb, percentile_ms};

use fill::Filled;
use serve::Serve;

/// Connections that ask at the same time.
const CONNECTIONS: [usize; 2] = [1, 16];
/// So far back is a deep page.
const DEEP: usize = 100_000;

/// Measures the HTTP API.
#[derive(Debug, Parser)]
struct Options {
    /// A short run that shows that it works
    #[arg(long)]
    quick: bool,
    /// Finished jobs [default: 1000000, quick: 5000]
    #[arg(long, value_name = "N")]
    jobs: Option<u32>,
    /// Syntheses [default: 100000, quick: 1000]
    #[arg(long, value_name = "N")]
    syntheses: Option<u32>,
    /// How often everything is measured [default: 3, quick: 1]
    #[arg(long, value_name = "N")]
    runs: Option<usize>,
    /// How long each request is repeated [default: 5, quick: 1]
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u32>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn or<T>(&self, given: Option<T>, usual: T, quick: T) -> T {
        given.unwrap_or(if self.quick { quick } else { usual })
    }
}

/// What is asked for, and how it went.
struct Line {
    name: &'static str,
    path: String,
    connections: usize,
    rate: Series,
    p50: Series,
    p99: Series,
    cpu: Series,
}

fn main() {
    let options = Options::parse();
    let (jobs, syntheses) =
        (options.or(options.jobs, 1_000_000, 5_000), options.or(options.syntheses, 100_000, 1_000));
    let (runs, seconds) = (options.or(options.runs, 3, 1), options.or(options.seconds, 5, 1));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let settings = [("shared_buffers", "512MB"), ("max_wal_size", "4GB"), ("synchronous_commit", "on")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let postgres = PostgresOptions { fsync: true, settings, ..PostgresOptions::default() };
    let postgres = runtime.block_on(PostgresServer::start(postgres)).expect("PostgreSQL is not installed");
    let url = postgres.url();
    serve::make_schema(&url);
    eprintln!("filling it with {jobs} jobs and {syntheses} syntheses");
    let filled = runtime.block_on(fill::fill(&url, jobs, syntheses));
    let serve = Serve::start(&url);
    let mut lines = lines(&serve, &filled, jobs as usize);
    for run in 1..=runs {
        eprintln!("run {run} of {runs}");
        for line in &mut lines {
            measure(&serve, line, seconds);
        }
    }
    print(&lines);
    println!("\nresident memory of `ackord serve` at its peak: {:.1} MB", memory_mb(serve.id(), "VmHWM"));
    drop((serve, postgres));
}

fn measure(serve: &Serve, line: &mut Line, seconds: u32) {
    let before = cpu_seconds(serve.id()).unwrap_or(f64::NAN);
    let asked = load::ask(serve, &line.path, line.connections, seconds);
    let cpu = cpu_seconds(serve.id()).unwrap_or(f64::NAN) - before;
    let count = asked.waits.len() as f64;
    line.rate.push(count / asked.took.as_secs_f64());
    line.p50.push(percentile_ms(&asked.waits, 0.5));
    line.p99.push(percentile_ms(&asked.waits, 0.99));
    line.cpu.push(cpu / count * 1e6);
}

fn lines(serve: &Serve, filled: &Filled, jobs: usize) -> Vec<Line> {
    let recent = filled.minutes_ago(5);
    let asked = [
        ("jobs, first page", "/jobs".to_owned()),
        ("jobs, a deep page", format!("/jobs?{}", load::deep(serve, DEEP.min(jobs / 2)))),
        ("jobs, failed of a kind", "/jobs?kind=synthesis&state=failed".to_owned()),
        ("jobs, succeeded of a kind", "/jobs?kind=synthesis&state=succeeded".to_owned()),
        ("jobs, of the last minutes, to the end", format!("/jobs?since={recent}&limit=200")),
        ("a job", format!("/jobs/{}", filled.job)),
        ("syntheses, first page", "/syntheses".to_owned()),
        ("syntheses, failed", "/syntheses?state=error".to_owned()),
        ("syntheses, of a creator", "/syntheses?creator=creator-7".to_owned()),
        ("syntheses, in parts", "/syntheses?type=supersynthesis".to_owned()),
        ("a synthesis with its sentences", format!("/syntheses/{}", filled.synthesis)),
        (
            "the facts of a sentence",
            format!("/syntheses/{}/sentences/{}/facts", filled.synthesis, filled.sentence),
        ),
    ];
    let of = |connections| {
        asked.iter().map(move |&(name, ref path)| Line {
            name,
            path: path.clone(),
            connections,
            rate: Series::default(),
            p50: Series::default(),
            p99: Series::default(),
            cpu: Series::default(),
        })
    };
    CONNECTIONS.into_iter().flat_map(of).collect()
}

fn print(lines: &[Line]) {
    println!("| asked for | connections | requests/s | p50, ms | p99, ms | processor of `serve`, µs |");
    println!("|---|---|---|---|---|---|");
    for Line { name, connections, rate, p50, p99, cpu, .. } in lines {
        println!("| {name} | {connections} | {rate} | {p50} | {p99} | {cpu} |");
    }
}

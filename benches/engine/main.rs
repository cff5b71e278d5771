//! How fast the embedded engine is: SQLite as the program opens it, the embedded broker, a relay and a worker in one process.
//!
//! `cargo bench --bench engine` prints Markdown tables for `docs/performance.md`: jobs per second for groups of 1, 10 and 100,
//! what the same database gives without the engine, and the time from publishing to the commit at a fixed offered load.
//! `cargo bench --bench engine -- --quick` takes half a minute and shows that it works; its figures say little.
//!
//! The data lies in a folder under target/: put target/ on the disk that the figures shall be about.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a measurement"
)]

#[path = "../../src/commands/bench/figures.rs"]
#[allow(dead_code, reason = "the program's own bench uses all of it")]
mod figures;
#[path = "../../src/commands/bench/kinds.rs"]
mod kinds;
mod latency;
mod limits;
#[path = "../../src/commands/bench/probe.rs"]
mod probe;
mod rates;
mod stage;

use clap::{Parser, ValueEnum};
use figures::{Series, memory_mb};

/// Measures the embedded engine.
#[derive(Debug, Parser)]
struct Options {
    /// A short run that shows that it works
    #[arg(long)]
    quick: bool,
    /// How often everything is measured [default: 5, quick: 1]
    #[arg(long, value_name = "N")]
    runs: Option<usize>,
    /// How long the fixed load is offered [default: 20, quick: 3]
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u32>,
    /// Jobs per second of the fixed load
    #[arg(long, value_name = "N", default_value_t = 200)]
    load: u32,
    /// Only this part
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Rates,
    Latency,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}

const GROUPS: [usize; 3] = [1, 10, 100];
/// Jobs of one measurement, for each group size: some seconds each.
const JOBS: [usize; 3] = [3_000, 20_000, 50_000];
const QUICK_JOBS: [usize; 3] = [300, 1_000, 3_000];

/// A figure for each group size.
type Line = [Series; 3];

#[tokio::main]
async fn main() {
    let options = Options::parse();
    let runs = options.runs.unwrap_or(if options.quick { 1 } else { 5 });
    let jobs = if options.quick { QUICK_JOBS } else { JOBS };
    let (mut fsync_p50, mut fsync_p99) = (Series::default(), Series::default());
    let mut engine: [Line; rates::NAMES.len()] = Default::default();
    let mut bare: [Line; limits::NAMES.len()] = Default::default();
    let mut waits: [Series; 3] = Default::default();
    for run in 1..=runs {
        eprintln!("run {run} of {runs}");
        let (p50, p99) = limits::fsync(if options.quick { 50 } else { 300 });
        fsync_p50.push(p50);
        fsync_p99.push(p99);
        if options.wants(Part::Rates) {
            measure_rates(&jobs, &mut engine, &mut bare).await;
        }
        if options.wants(Part::Latency) {
            let seconds = options.seconds.unwrap_or(if options.quick { 3 } else { 20 });
            let latency = latency::publish_to_commit(options.load, seconds).await;
            for (series, value) in waits.iter_mut().zip([latency.p50, latency.p99, latency.longest]) {
                series.push(value);
            }
        }
    }
    println!("{runs} runs, each figure: median (lowest to highest).\n");
    if options.wants(Part::Rates) {
        print_rates("Embedded engine, jobs/s", rates::NAMES.iter().zip(&engine));
        print_rates(
            "Limit: the same SQLite file without the engine, rows/s",
            limits::NAMES.iter().zip(&bare),
        );
    }
    row(&[&"one at a time", &"ms"]);
    row(&[&"---", &"---"]);
    if options.wants(Part::Latency) {
        for (name, series) in ["p50", "p99", "longest"].iter().zip(&waits) {
            row(&[&format!("publish to commit at {} jobs/s, {name}", options.load), series]);
        }
    }
    row(&[&"4 KiB and fdatasync in the same folder, p50", &fsync_p50]);
    row(&[&"4 KiB and fdatasync in the same folder, p99", &fsync_p99]);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "\n{cores} cores; this process took {:.0} MB at its peak, the payloads of the publisher included.",
        memory_mb(std::process::id(), "VmHWM")
    );
}

/// One figure for each line and group size. The lines take turns within a run, so that a slow minute of the machine meets all.
async fn measure_rates(jobs: &[usize; 3], engine: &mut [Line], bare: &mut [Line]) {
    let measured = [
        rates::of_group::<1>(jobs[0]).await,
        rates::of_group::<10>(jobs[1]).await,
        rates::of_group::<100>(jobs[2]).await,
    ];
    for (column, figures) in measured.into_iter().enumerate() {
        for (line, figure) in engine.iter_mut().zip(figures) {
            line[column].push(figure);
        }
    }
    for (column, group) in GROUPS.into_iter().enumerate() {
        let figures = limits::of_group(jobs[column], group).await;
        for (line, figure) in bare.iter_mut().zip(figures) {
            line[column].push(figure);
        }
    }
}

fn print_rates<'a>(title: &str, lines: impl Iterator<Item = (&'a &'a str, &'a Line)>) {
    row(&[&title, &"group of 1", &"group of 10", &"group of 100"]);
    row(&[&"---", &"---", &"---", &"---"]);
    for (name, [one, ten, hundred]) in lines {
        row(&[name, one, ten, hundred]);
    }
    println!();
}

/// One line of a Markdown table.
fn row(cells: &[&dyn std::fmt::Display]) {
    let cells: Vec<String> = cells.iter().map(ToString::to_string).collect();
    println!("| {} |", cells.join(" | "));
}

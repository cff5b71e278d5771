//! The engine beside the bare program on the same servers, in turn: `cargo build --release -p ackord-bare && cargo bench --bench compare`.
//!
//! It starts a RabbitMQ and a Postgres of its own below target/, with `fsync` on, and stops them at the end. Options behind `--`:
//! `--runs N`, `--jobs N`, `--seconds N`, and whatever else `ackord bench` takes goes to it alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement")]

#[path = "../../src/commands/bench/figures.rs"]
#[allow(dead_code, reason = "shared with the program's own bench, which uses all of it")]
mod figures;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ackord_test_servers::{PostgresOptions, PostgresServer, RabbitNode, RabbitOptions};
use serde_json::Value;

use figures::short;

/// What both programs are told.
#[derive(Debug)]
struct Options {
    runs: usize,
    jobs: String,
    seconds: String,
    /// For `ackord bench` alone.
    further: Vec<String>,
}

impl Options {
    fn read() -> Self {
        let mut options =
            Self { runs: 3, jobs: "100000".to_owned(), seconds: "20".to_owned(), further: Vec::new() };
        let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().expect("a value behind the option");
            match argument.as_str() {
                "--runs" => options.runs = value().parse().expect("a number of runs"),
                "--jobs" => options.jobs = value(),
                "--seconds" => options.seconds = value(),
                _ => options.further.push(argument),
            }
        }
        options
    }
}

/// The medians of each figure, run by run.
type Figures = BTreeMap<String, Vec<f64>>;

/// The lines that both have: what it is, its key for the bare program and for the engine.
const LINES: [(&str, &str, &str); 6] = [
    ("publish, confirmed, jobs/s", "publish", "publish"),
    ("effect as a set, jobs/s", "set", "set"),
    ("a statement for each job, one connection without the engine, jobs/s", "each", "each"),
    ("a statement for each job, two connections without the engine, jobs/s", "each_two", "each"),
    ("direct publish to commit, p50, ms", "p50_ms", "direct_p50_ms"),
    ("direct publish to commit, p99, ms", "p99_ms", "direct_p99_ms"),
];

fn main() {
    let options = Options::read();
    let bare = bare_program();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (postgres, rabbit) = runtime.block_on(async {
        let settings = [("shared_buffers", "512MB"), ("max_wal_size", "4GB"), ("synchronous_commit", "on")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let postgres =
            PostgresServer::start(PostgresOptions { fsync: true, settings, ..PostgresOptions::default() });
        let postgres = postgres.await.expect("PostgreSQL is not installed");
        let rabbit = RabbitNode::start(RabbitOptions { all_processors: true, ..RabbitOptions::default() });
        (postgres, rabbit.await.expect("RabbitMQ is not installed"))
    });
    let (mut limit, mut engine) = (Figures::new(), Figures::new());
    for run in 1..=options.runs {
        eprintln!("run {run} of {}: the bare program", options.runs);
        add(&mut limit, &answer(&bare, &[], &options, &postgres.url(), &rabbit.url()));
        eprintln!("run {run} of {}: the engine", options.runs);
        let further = [vec!["bench".to_owned()], processes(), options.further.clone()].concat();
        let ackord = Path::new(env!("CARGO_BIN_EXE_ackord"));
        add(&mut engine, &answer(ackord, &further, &options, &postgres.url(), &rabbit.url()));
    }
    print(&limit, &engine);
    drop((postgres, rabbit));
}

/// Built beside the program.
fn bare_program() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_ackord")).with_file_name("ackord-bare");
    assert!(path.exists(), "{} is missing: cargo build --release -p ackord-bare", path.display());
    path
}

/// One run of a program, and what it answers.
fn answer(program: &Path, further: &[String], options: &Options, database: &str, broker: &str) -> Value {
    let output = Command::new(program)
        .args(further)
        .args(["--json", "--runs", "1", "--jobs", &options.jobs, "--seconds", &options.seconds])
        .args(["--database", database, "--broker", broker])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{} ended with {}", program.display(), output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The servers, which are children of this process: `--cpu NAME=PID`.
fn processes() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let lists = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let children: String = lists.collect::<Vec<_>>().join(" ");
    let named = children.split_whitespace().filter_map(|pid| {
        let command = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        let name = match command.trim() {
            "postgres" => "database",
            name if name.starts_with("beam") => "broker",
            _ => return None,
        };
        Some(["--cpu".to_owned(), format!("{name}={pid}")])
    });
    named.flatten().collect()
}

fn add(figures: &mut Figures, answer: &Value) {
    for (key, series) in answer["figures"].as_object().unwrap() {
        if let Some(median) = series["median"].as_f64() {
            figures.entry(key.clone()).or_default().push(median);
        }
    }
}

/// The median and the range.
fn series(figures: &Figures, key: &str) -> (f64, String) {
    let mut values = figures.get(key).cloned().unwrap_or_default();
    values.sort_by(f64::total_cmp);
    let (Some(lowest), Some(highest)) = (values.first(), values.last()) else {
        return (f64::NAN, "not measured".to_owned());
    };
    let median = values[values.len() / 2];
    (median, format!("{} ({} to {})", short(median), short(*lowest), short(*highest)))
}

fn print(limit: &Figures, engine: &Figures) {
    println!("| measured | without the engine | ackord | share |\n|---|---|---|---|");
    for (name, bare_key, engine_key) in LINES {
        let ((bare, bare_text), (own, own_text)) = (series(limit, bare_key), series(engine, engine_key));
        println!("| {name} | {bare_text} | {own_text} | {:.0} % |", own / bare * 100.0);
    }
    for (key, _) in engine.iter().filter(|(key, _)| LINES.iter().all(|(_, _, known)| known != key)) {
        println!("| {key} | | {} | |", series(engine, key).1);
    }
}

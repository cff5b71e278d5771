//! A super-synthesis end to end: documents in, a text of many parts out, by the program itself.
//!
//! `cargo bench --bench whole` makes 20 MB of documents (the same ones every time), imports them with `ackord import`, starts `ackord up`, asks
//! for a text in 20 parts with `ackord synthesis super --wait`, and prints seconds and memory of each step. Options behind `--`:
//! `--megabytes N`, `--parts N`, `--documents FOLDER` for documents of your own with `--topic TEXT`, `--keep` to look at what came of it, and
//! `--quick`, which takes seconds and shows that it works.
//!
//! The data lies in a folder under target/, in a SQLite file with the embedded broker. `--database URL` takes another, empty, database.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss, reason = "a measurement")]

mod corpus;
mod steps;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ackord_entities::database::{Database, DatabaseOptions};
use ackord_entities::ids::SynthesisId;
use clap::Parser;
use rustix::process::{Pid, Signal, kill_process};

/// Measures a super-synthesis end to end.
#[derive(Debug, Parser)]
struct Options {
    /// Megabytes of documents
    #[arg(long, value_name = "N", default_value_t = 20)]
    megabytes: usize,
    /// Parts to divide the topic into
    #[arg(long, value_name = "N", default_value_t = 20)]
    parts: u32,
    /// What to write about
    #[arg(long, value_name = "TEXT", default_value = corpus::TOPIC)]
    topic: String,
    /// Documents instead of those that are made
    #[arg(long, value_name = "FOLDER")]
    documents: Option<PathBuf>,
    /// Another database than a SQLite file: it must be empty
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Leave the data there, and say where
    #[arg(long)]
    keep: bool,
    /// Half a megabyte and four parts
    #[arg(long)]
    quick: bool,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// A step, as it is printed.
struct Step {
    name: &'static str,
    took: Duration,
    /// The most memory that its process had at once, in MB.
    memory: Option<f64>,
    remark: String,
}

#[tokio::main]
async fn main() {
    let mut options = Options::parse();
    if options.quick {
        (options.megabytes, options.parts) = (0, 4);
    }
    let target = Path::new(env!("CARGO_BIN_EXE_ackord")).parent().unwrap();
    let folder = tempfile::Builder::new().prefix("whole-").tempdir_in(target).unwrap();
    let documents = options.documents.clone().unwrap_or_else(|| {
        let made = folder.path().join("documents");
        let kilobytes = if options.quick { 500 } else { options.megabytes * 1_000 };
        corpus::write(&made, kilobytes);
        made
    });
    let file = format!("sqlite:{}", folder.path().join("whole.db").display());
    let url = options.database.clone().unwrap_or(file);
    let steps = measured(&options, &documents, &url).await;
    print(&steps);
    if options.keep {
        println!("\nkept: {url}");
        let _ = folder.keep();
    }
}

async fn measured(options: &Options, documents: &Path, url: &str) -> Vec<Step> {
    let mut steps = vec![import(documents, url)];
    let up = Up(ackord(&["up", "--database", url]).spawn().expect("`ackord up` starts"));
    let memory = Watch::of(&up.0);
    let parts = options.parts.to_string();
    let asked =
        ["synthesis", "super", &options.topic, "--parts", &parts, "--wait", "--json", "--database", url];
    let began = Instant::now();
    let ended = ackord(&asked).stdout(Stdio::piped()).output().expect("`ackord synthesis super` runs");
    let took = began.elapsed();
    assert!(ended.status.success(), "no text came of it: {}", String::from_utf8_lossy(&ended.stdout));
    let answer: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    let id: SynthesisId = answer["id"].as_str().unwrap().parse().unwrap();
    let database = DatabaseOptions::new(url).open().await.unwrap();
    steps.extend(steps::of(&database, id).await);
    steps.push(whole(&database, id, took, &memory).await);
    database.close().await;
    steps
}

/// `ackord up`, which is told to stop at the end, whatever the end.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

fn import(documents: &Path, url: &str) -> Step {
    let began = Instant::now();
    let child = ackord(&["import", &documents.display().to_string(), "--json", "--database", url])
        .stdout(Stdio::piped())
        .spawn()
        .expect("`ackord import` starts");
    let memory = Watch::of(&child);
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "the documents cannot be imported");
    let report: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    let remark = format!(
        "{:.1} MB in {} files became {} facts",
        report["bytes"].as_f64().unwrap_or_default() / 1e6,
        report["taken"],
        report["facts"]
    );
    Step { name: "import", took: began.elapsed(), memory: memory.most(), remark }
}

async fn whole(database: &Database, id: SynthesisId, took: Duration, memory: &Watch) -> Step {
    let remark = steps::remark(database, id).await;
    Step { name: "all but the import, from asking to the text", took, memory: memory.most(), remark }
}

fn ackord(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ackord"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).env("ACKORD_LOG", "warn");
    command
}

/// Looks at a process's memory until it ends.
struct Watch(Arc<AtomicU64>);

impl Watch {
    fn of(child: &Child) -> Self {
        let most = Arc::new(AtomicU64::new(0));
        let (status, seen) = (format!("/proc/{}/status", child.id()), Arc::clone(&most));
        std::thread::spawn(move || {
            while let Some(kilobytes) = high_water(&status) {
                seen.store(kilobytes, Ordering::Relaxed);
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a thread of its own, that looks now and then"
                )]
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self(most)
    }

    /// In MB; none where the system does not say it.
    fn most(&self) -> Option<f64> {
        let kilobytes = self.0.load(Ordering::Relaxed);
        (kilobytes > 0).then(|| kilobytes as f64 / 1e3)
    }
}

/// The most memory that a process had at once, in kB; none once it has ended.
fn high_water(status: &str) -> Option<u64> {
    let status = std::fs::read_to_string(status).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

fn print(steps: &[Step]) {
    println!("| step | seconds | most memory, MB | |\n|---|---|---|---|");
    for Step { name, took, memory, remark } in steps {
        let memory = memory.map_or_else(String::new, |memory| format!("{memory:.0}"));
        println!("| {name} | {:.2} | {memory} | {remark} |", took.as_secs_f64());
    }
}

//! How fast documents become a graph, on SQLite.
//!
//! `cargo bench -p ackord-graph --bench import` imports 20 MB of Markdown, made the same way every time, several times into
//! a fresh database, and prints MB/s. Then it imports once more while somebody else writes, and prints how long he waits.
//!
//! `ACKORD_BENCH_CORPUS=FOLDER` takes the documents of a folder instead, `ACKORD_BENCH_RUNS=N` another number of runs (5).
//! `ACKORD_BENCH_FILE_KB=N` makes files of another size (10 KB), `ACKORD_BENCH_MB=N` another amount (20 MB).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss, reason = "a measurement")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ackord_entities::database::Database;
use ackord_entities::testing::TestDatabase;
use ackord_graph::import::{Import, ImportOptions, Report};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() {
    let made = tempfile::tempdir().unwrap();
    let corpus = if let Some(folder) = std::env::var_os("ACKORD_BENCH_CORPUS") {
        PathBuf::from(folder)
    } else {
        write_corpus(made.path(), number("ACKORD_BENCH_MB", 20), number("ACKORD_BENCH_FILE_KB", 10));
        made.path().to_owned()
    };
    parse_only(&corpus);
    let mut rates = Vec::new();
    for run in 1..=number("ACKORD_BENCH_RUNS", 5) {
        let test = TestDatabase::sqlite().await;
        let report = import(test.database(), &corpus).await;
        let rate = report.bytes as f64 / 1e6 / report.duration.as_secs_f64();
        let again = import(test.database(), &corpus).await;
        println!(
            "run {run}: {rate:.2} MB/s, {:.0} facts/s ({:.1} MB, {} files, {} facts, {:.2} s); unchanged again: {:.2} s; {}",
            report.facts as f64 / report.duration.as_secs_f64(),
            report.bytes as f64 / 1e6,
            report.taken,
            report.facts,
            report.duration.as_secs_f64(),
            again.duration.as_secs_f64(),
            rows(test.database()).await,
        );
        rates.push(rate);
    }
    rates.sort_by(f64::total_cmp);
    println!(
        "median {:.2} MB/s, from {:.2} to {:.2}",
        rates[rates.len() / 2],
        rates[0],
        rates[rates.len() - 1]
    );
    beside_another_writer(&corpus).await;
}

async fn import(database: &Database, corpus: &Path) -> Report {
    Import::new(database.clone(), ImportOptions::default()).run(&[corpus.to_owned()]).await.unwrap()
}

/// What reading alone takes, on one thread.
fn parse_only(corpus: &Path) {
    let mut reader = ackord_graph::text::Reader::new();
    let begun = Instant::now();
    let mut bytes = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let Ok(text) = std::fs::read_to_string(entry.unwrap().path()) else { continue };
        bytes += text.len();
        std::hint::black_box(reader.read(ackord_graph::text::Format::Markdown, &text));
    }
    println!("reading alone, one thread: {:.1} MB/s", bytes as f64 / 1e6 / begun.elapsed().as_secs_f64());
}

async fn rows(database: &Database) -> String {
    let mut line = String::new();
    for table in ["fact_sources", "facts", "nodes", "node_sources", "node_facts", "edges"] {
        let sql = format!("SELECT count(*) AS n FROM write_{table}");
        let row =
            database.read().query_one_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
        let count: i64 = row.unwrap().try_get("", "n").unwrap();
        write!(line, "{table} {count} ").unwrap();
    }
    line
}

/// Somebody writes one row every 20 ms: how long does each of his transactions take while an import runs?
async fn beside_another_writer(corpus: &Path) {
    let test = TestDatabase::sqlite().await;
    let database = test.database().clone();
    let other = tokio::spawn(async move {
        let mut waits: Vec<Duration> = Vec::new();
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let begun = Instant::now();
            let transaction = database.begin().await.unwrap();
            transaction.execute_unprepared("UPDATE graphs SET name = name").await.unwrap();
            transaction.commit().await.unwrap();
            waits.push(begun.elapsed());
            WAITS.lock().unwrap().clone_from(&waits);
        }
    });
    let report = import(test.database(), corpus).await;
    other.abort();
    let mut waits = WAITS.lock().unwrap().clone();
    waits.sort();
    let at = |share: usize| waits[(waits.len() * share / 100).min(waits.len() - 1)];
    println!(
        "beside another writer: {:.2} MB/s; his {} transactions took p50 {:?}, p99 {:?}, at most {:?}",
        report.bytes as f64 / 1e6 / report.duration.as_secs_f64(),
        waits.len(),
        at(50),
        at(99),
        at(100),
    );
}

static WAITS: std::sync::Mutex<Vec<Duration>> = std::sync::Mutex::new(Vec::new());

/// A small generator of numbers (xorshift64*), the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides as u64).unwrap()
    }

    /// Few of the `sides` come often, most seldom, as words do.
    fn word(&mut self, sides: usize) -> usize {
        let narrow = self.roll(sides) + 1;
        self.roll(narrow)
    }
}

const GRAMMAR: [&str; 24] = [
    "the", "of", "and", "a", "in", "to", "is", "that", "for", "with", "on", "by", "an", "which", "from",
    "are", "was", "its", "at", "when", "this", "not", "has", "each",
];

fn syllables(number: usize) -> String {
    const PARTS: [&str; 20] = [
        "ka", "ren", "to", "mil", "ses", "va", "dor", "lin", "pe", "gra", "nu", "tis", "bo", "ral", "fen",
        "ci", "mor", "ule", "ha", "zen",
    ];
    let mut word = String::new();
    let mut left = number + 20;
    while left > 0 {
        word.push_str(PARTS[left % 20]);
        left /= 20;
    }
    word
}

fn capital(word: &str) -> String {
    let mut capital = word.to_owned();
    capital[..1].make_ascii_uppercase();
    capital
}

/// Each document is about some thirty words and a few names out of many: so terms recur in it, as they do in prose.
fn write_corpus(folder: &Path, megabytes: usize, kilobytes: usize) {
    let mut dice = Dice(0x5EED_0FAC_C0DE);
    for number in 0..megabytes * 1_000 / kilobytes {
        let topic: Vec<String> = (0..30).map(|_| syllables(dice.word(4_000))).collect();
        let names: Vec<String> = (0..6)
            .map(|_| {
                format!("{} {}", capital(&syllables(dice.word(900))), capital(&syllables(dice.word(3_000))))
            })
            .collect();
        let mut text = format!("# {} of {}\n\n", capital(&topic[0]), topic[1]);
        while text.len() < kilobytes * 1_000 {
            if dice.roll(6) == 0 {
                writeln!(text, "## {} {}\n", capital(&topic[dice.roll(30)]), topic[dice.roll(30)]).unwrap();
            }
            let list = dice.roll(8) == 0;
            for _ in 0..3 + dice.roll(4) {
                if list {
                    text.push_str("- ");
                }
                text.push_str(&sentence(&mut dice, &topic, &names));
                text.push(if list { '\n' } else { ' ' });
            }
            text.push_str("\n\n");
        }
        std::fs::write(folder.join(format!("{number:05}.md")), text).unwrap();
    }
}

fn sentence(dice: &mut Dice, topic: &[String], names: &[String]) -> String {
    let mut sentence = String::new();
    for place in 0..11 + dice.roll(16) {
        let word = match dice.roll(20) {
            0..9 => GRAMMAR[dice.roll(24)].to_owned(),
            9 => topic[dice.roll(30)].clone(),
            10 if place > 0 && dice.roll(2) == 0 => names[dice.roll(6)].clone(),
            11 if dice.roll(4) == 0 => format!("*{}*", topic[dice.roll(30)]),
            _ => syllables(dice.word(12_000)),
        };
        if place > 0 {
            sentence.push_str(if dice.roll(14) == 0 { ", " } else { " " });
        }
        sentence.push_str(&word);
    }
    let mut sentence = if sentence.starts_with('*') { format!("The {sentence}") } else { capital(&sentence) };
    sentence.push('.');
    sentence
}

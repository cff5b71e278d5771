//! How fast a graph is copied: `cargo bench -p ackord-graph --bench sync`.
//!
//! It starts a Postgres of its own below target/, with `fsync` on, and makes two databases in it: one that is written, one that is read. The
//! graph has `--facts` facts (a million), each with a place in a source and three nodes: five rows. It is copied as a whole, then facts that
//! are new and facts that have changed, then there is nothing to do. Each step is printed with the memory of this process, and beside it
//! what the server can do by itself. At the end the rows of both sides are counted. What noting the changes costs whoever writes is told, too. `-- --sqlite` does the same with two files; `-- --quick` shows in seconds that it works.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::cast_precision_loss, reason = "a measurement")]

#[path = "../../../src/commands/bench/figures.rs"]
#[allow(dead_code, reason = "the program's own bench uses all of it")]
mod figures;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ackord_entities::database::{Database, DatabaseOptions};
use ackord_entities::graph::graphs;
use ackord_entities::ids::GraphId;
use ackord_graph::sync::engine::Engine;
use ackord_graph::sync::{Claim, Cycle, CycleEnd, Progress, SyncContext, SyncProvider, TableCount};
use ackord_migration::{Migrator, MigratorTrait};
use ackord_test_servers::{PostgresOptions, PostgresServer};
use clap::Parser;
use figures::{memory_mb, percentile_ms};
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio_util::sync::CancellationToken;

/// Facts of one statement.
const STEP: u32 = 50_000;
/// Facts of one source.
const OF_A_SOURCE: u32 = 100;
const IDLE: usize = 200;

/// Measures the copying of a graph.
#[derive(Debug, Parser)]
struct Options {
    /// Facts of the graph [default: 1000000, quick: 10000]
    #[arg(long, value_name = "N")]
    facts: Option<u32>,
    /// Two SQLite files instead of a Postgres
    #[arg(long)]
    sqlite: bool,
    /// A short run that shows that it works
    #[arg(long)]
    quick: bool,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// Both sides, and how far the engine is.
struct Sides {
    write: Database,
    read: Database,
    graph: GraphId,
    words: Words,
    progress: Progress,
}

const NOW: &str = "'2026-11-22T00:00:00+00:00'";

fn nodes_of(facts: u32) -> u32 {
    facts / 50 + 3
}

/// From `first` to `last` in steps that a statement can do.
fn steps(first: u32, last: u32) -> impl Iterator<Item = (u32, u32)> {
    (first..=last).step_by(STEP as usize).map(move |first| (first, last.min(first + STEP - 1)))
}

/// What the databases call differently.
struct Words {
    is_postgres: bool,
    /// The graph's id.
    graph: String,
}

impl Words {
    fn literal(&self, id: Uuid) -> String {
        if self.is_postgres { format!("'{id}'") } else { format!("unhex('{}')", id.simple()) }
    }

    /// The id of what has that name and that number.
    fn id(&self, name: &str, number: &str) -> String {
        if self.is_postgres {
            format!("md5('{name} ' || {number})::uuid")
        } else {
            // SQLite has no hash: the order is that of the low digits.
            format!("unhex(printf('%02x%06x%024x', {number} % 251, {number}, {}))", name.len())
        }
    }

    fn series(&self, first: u32, last: u32) -> String {
        if self.is_postgres {
            format!("generate_series({first}, {last}) AS s(n)")
        } else {
            format!(
                "(WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last}) SELECT n FROM s) AS s"
            )
        }
    }

    fn node_key(&self, number: &str) -> String {
        if self.is_postgres {
            format!("'node-' || {number}")
        } else {
            format!("'node-' || CAST({number} AS text)")
        }
    }
}

#[tokio::main]
async fn main() {
    let options = Options::parse();
    let facts = options.facts.unwrap_or(if options.quick { 10_000 } else { 1_000_000 });
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("sync-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut server = None;
    let urls = if options.sqlite {
        ["write", "read"].map(|name| format!("sqlite:{}", folder.join(format!("{name}.db")).display()))
    } else {
        let settings = [("shared_buffers", "512MB"), ("max_wal_size", "4GB"), ("synchronous_commit", "on")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let postgres = PostgresOptions { fsync: true, settings, ..PostgresOptions::default() };
        let postgres = PostgresServer::start(postgres).await.expect("PostgreSQL is not installed");
        let first = DatabaseOptions::new(postgres.url()).open().await.unwrap();
        first.write().execute_unprepared("CREATE DATABASE read_side").await.unwrap();
        first.close().await;
        let url = postgres.url();
        let (server_url, _) = url.rsplit_once('/').unwrap();
        let read = format!("{server_url}/read_side");
        server = Some(postgres);
        [url, read]
    };
    let mut sides = Sides::open(&urls).await;
    sides.fill(facts).await;
    let more = facts.min(STEP) / OF_A_SOURCE * OF_A_SOURCE;
    sides.more(more, facts + 1, "nobody follows the graph").await;
    println!("| step | seconds | rows moved | facts/s | rows/s | memory, MB |\n|---|---|---|---|---|---|");
    sides.step("everything", facts + more).await;
    sides.more(more, facts + more + 1, "its changes are noted").await;
    sides.step("the new ones", more).await;
    let changed = sides.change(facts).await;
    sides.step("some that changed", changed).await;
    for side in [&sides.write, &sides.read] {
        sides.rest(side).await;
    }
    sides.idle().await;
    sides.limit().await;
    sides.compare().await;
    drop(server);
    std::fs::remove_dir_all(&folder).unwrap();
}

impl Sides {
    async fn open(urls: &[String; 2]) -> Self {
        let mut both = Vec::new();
        for url in urls {
            let database = DatabaseOptions::new(url.as_str()).open().await.unwrap();
            let tx = database.begin_unlimited().await.unwrap();
            Migrator::up(&tx, None).await.unwrap();
            tx.commit().await.unwrap();
            both.push(database);
        }
        let read = both.pop().unwrap();
        let write = both.pop().unwrap();
        let now = write.clock().now(write.read()).await.unwrap();
        let graph = graphs::ensure(write.write(), graphs::DEFAULT, now).await.unwrap();
        let is_postgres = write.backend() == DbBackend::Postgres;
        let mut words = Words { is_postgres, graph: String::new() };
        words.graph = words.literal(graph.0);
        Self { write, read, graph, words, progress: Progress::default() }
    }

    /// Writes the graph, without its search index.
    async fn fill(&self, facts: u32) {
        let (nodes, sources) = (nodes_of(facts), facts / OF_A_SOURCE);
        let Words { graph, .. } = &self.words;
        for (first, last) in steps(1, nodes) {
            // Ids as they are derived: the edges name nodes by their keys.
            let rows: Vec<String> = (first..=last)
                .map(|number| {
                    let id = ackord_entities::graph::node::id_of(self.graph, &format!("node-{number}")).0;
                    let id = self.words.literal(id);
                    format!("({id}, {graph}, 'node-{number}', 'Node {number}', 'name', 'public', 0, 1, {NOW}, {NOW})")
                })
                .collect();
            self.run(&format!(
                "INSERT INTO write_nodes (id, graph_id, key, concept, node_type, visibility, fact_count, strength, created_at, updated_at) VALUES {}",
                rows.join(",")
            ))
            .await;
        }
        self.write_sources(1, sources).await;
        self.write_facts(1, facts, nodes).await;
        for (first, last) in steps(1, nodes) {
            self.run(&format!(
                "INSERT INTO write_edges (graph_id, source_key, target_key, relationship_type, weight, stated, updated_at) \
                 SELECT {graph}, {}, {}, 'draws_from', 1, 0, {NOW} FROM {}",
                self.words.node_key("n"),
                self.words.node_key(&format!("(n % {nodes} + 1)")),
                self.words.series(first, last)
            ))
            .await;
        }
        self.rest(&self.write).await;
    }

    async fn write_sources(&self, first: u32, last: u32) {
        let Words { graph, .. } = &self.words;
        for (first, last) in steps(first, last) {
            self.run(&format!(
                "INSERT INTO write_sources (id, graph_id, uri, title, content_hash, content_type, byte_size, fact_count, created_at, updated_at) \
                 SELECT {}, {graph}, 'file:///source-' || n, 'Source ' || n, 'x', 'text/markdown', 1, {OF_A_SOURCE}, {NOW}, {NOW} FROM {}",
                self.words.id("source", "n"),
                self.words.series(first, last)
            ))
            .await;
        }
    }

    /// Facts with a place in a source and three nodes each: five rows.
    async fn write_facts(&self, first: u32, last: u32, nodes: u32) {
        let Words { graph, is_postgres } = &self.words;
        let search = if *is_postgres { (", search", ", ''::tsvector") } else { ("", "") };
        for (first, last) in steps(first, last) {
            let all = self.words.series(first, last);
            let fact = self.words.id("fact", "n");
            self.run(&format!(
                "INSERT INTO write_facts (id, graph_id, content, fact_type, created_at, updated_at{}) SELECT {fact}, {graph}, \
                 'Fact ' || n || ' says that a lease is an exclusive claim on a key that ends by itself.', 'sentence', {NOW}, {NOW}{} FROM {all}",
                search.0, search.1
            ))
            .await;
            self.run(&format!(
                "INSERT INTO write_fact_sources (source_id, position, fact_id, line, start_byte, end_byte, node_keys) \
                 SELECT {}, (n - 1) % {OF_A_SOURCE}, {fact}, 1, 0, 1, '' FROM {all}",
                self.words.id("source", &format!("((n - 1) / {OF_A_SOURCE} + 1)"))
            ))
            .await;
            for offset in 0..3 {
                self.run(&format!(
                    "INSERT INTO write_node_facts (node_id, fact_id) SELECT w.id, {fact} FROM {all} JOIN write_nodes AS w \
                     ON w.graph_id = {graph} AND w.key = {}",
                    self.words.node_key(&format!("((n * 7 + {offset}) % {nodes} + 1)"))
                ))
                .await;
            }
        }
    }

    /// Lets a server come to rest, so that nothing is measured of what was before.
    async fn rest(&self, database: &Database) {
        if self.words.is_postgres {
            database.write().execute_unprepared("VACUUM (ANALYZE)").await.unwrap();
            database.write().execute_unprepared("CHECKPOINT").await.unwrap();
        }
    }

    /// Writes as many facts more, and tells how long it took: with nobody following the graph, or with its changes being noted.
    async fn more(&self, facts: u32, first: u32, what: &str) {
        let last = first + facts - 1;
        let begun = Instant::now();
        self.write_sources((first - 1) / OF_A_SOURCE + 1, last / OF_A_SOURCE).await;
        self.write_facts(first, last, nodes_of(facts)).await;
        let seconds = begun.elapsed().as_secs_f64();
        eprintln!(
            "writing {facts} facts more, {what}: {seconds:.1} s, {:.0} facts/s",
            f64::from(facts) / seconds
        );
    }

    /// What the server of the read side can do at most: the same links once more, in one statement, into a table like theirs.
    async fn limit(&self) {
        if !self.words.is_postgres {
            return;
        }
        let tables = "CREATE TABLE again (LIKE node_facts INCLUDING ALL, FOREIGN KEY (fact_id) REFERENCES facts (id) ON DELETE CASCADE, \
                      FOREIGN KEY (node_id) REFERENCES nodes (id) ON DELETE CASCADE)";
        self.read.write().execute_unprepared(tables).await.unwrap();
        let begun = Instant::now();
        let copied = self
            .read
            .write()
            .execute_unprepared("INSERT INTO again SELECT * FROM node_facts ORDER BY fact_id LIMIT 300000")
            .await;
        let rows = copied.unwrap().rows_affected();
        println!(
            "\nthe limit: the server writes {:.0} links/s by itself, in one statement of {rows}",
            rows as f64 / begun.elapsed().as_secs_f64()
        );
        self.read.write().execute_unprepared("DROP TABLE again").await.unwrap();
    }

    /// Changes every tenth fact. Returns how many that are.
    async fn change(&self, facts: u32) -> u32 {
        let tenth = match self.write.backend() {
            DbBackend::Postgres => "substr(id::text, 36) = '7'",
            _ => "seq % 16 = 7",
        };
        let begun = Instant::now();
        self.run(&format!("UPDATE write_facts SET content = content || ' It is renewed.' WHERE {tenth}"))
            .await;
        eprintln!("changing some of {facts} facts in one statement: {:.1} s", begun.elapsed().as_secs_f64());
        let count = format!("SELECT count(*) FROM write_facts WHERE {tenth}");
        u32::try_from(self.number(&self.write, &count).await).unwrap()
    }

    async fn run(&self, sql: &str) {
        let tx = self.write.begin_unlimited().await.unwrap();
        tx.execute_unprepared(sql).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn number(&self, database: &Database, sql: &str) -> i64 {
        let statement = Statement::from_string(database.backend(), sql);
        database.read().query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
    }

    fn context(&self) -> SyncContext {
        SyncContext {
            graph: self.graph,
            slug: graphs::DEFAULT.to_owned(),
            name: graphs::DEFAULT.to_owned(),
            write: self.write.clone(),
            read: self.read.clone(),
            jobs: self.write.clone(),
            claim: Claim { key: "sync:default".to_owned(), term: 1 },
            stop: CancellationToken::new(),
            budget: Duration::from_secs(30),
            afresh: false,
        }
    }

    async fn cycle(&mut self) -> Cycle {
        let cycle = Engine.cycle(&self.context(), &self.progress).await.unwrap();
        assert!(cycle.held.is_empty(), "{:?}", cycle.held);
        if let Some(state) = &cycle.state {
            self.progress.state = Some(state.clone());
        }
        cycle
    }

    /// Cycles until everything is copied.
    async fn step(&mut self, name: &str, facts: u32) {
        let begun = Instant::now();
        let mut tables: BTreeMap<&str, TableCount> = BTreeMap::new();
        loop {
            let cycle = self.cycle().await;
            for (table, count) in cycle.tables {
                let sum = tables.entry(table).or_default();
                sum.moved += count.moved;
                sum.seconds += count.seconds;
            }
            match cycle.end {
                CycleEnd::Complete => break,
                CycleEnd::Waits => tokio::time::sleep(Duration::from_millis(10)).await,
                CycleEnd::Continues => {}
                CycleEnd::Idle => panic!("there was something to do"),
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        let moved: u64 = tables.values().map(|table| table.moved).sum();
        println!(
            "| {name} | {seconds:.1} | {moved} | {:.0} | {:.0} | {:.0} |",
            f64::from(facts) / seconds,
            moved as f64 / seconds,
            memory_mb(std::process::id(), "VmHWM"),
        );
        for (table, count) in tables {
            eprintln!("  {table}: {} rows in {:.1} s", count.moved, count.seconds);
        }
    }

    /// Cycles that have nothing to do.
    async fn idle(&mut self) {
        let mut waits = Vec::new();
        // The first ones open connections.
        for _ in 0..IDLE / 10 {
            self.cycle().await;
        }
        for _ in 0..IDLE {
            let begun = Instant::now();
            let cycle = self.cycle().await;
            assert_eq!(cycle.end, CycleEnd::Idle);
            waits.push(begun.elapsed());
        }
        waits.sort_unstable();
        println!(
            "\nan idle cycle: p50 {:.2} ms, p99 {:.2} ms",
            percentile_ms(&waits, 0.5),
            percentile_ms(&waits, 0.99)
        );
    }

    /// Both sides have the same number of rows.
    async fn compare(&self) {
        for table in ["sources", "facts", "nodes", "fact_sources", "node_facts", "edges"] {
            let read = self.number(&self.read, &format!("SELECT count(*) FROM {table}")).await;
            let written = self.number(&self.write, &format!("SELECT count(*) FROM write_{table}")).await;
            assert_eq!(read, written, "{table}");
        }
        println!("both sides have the same number of rows in each table");
    }
}

//! Prints how Postgres runs the statements of the engine and of its operators on a table of millions: `docs/postgres.md` has the
//! short form.
//!
//!     ACKORD_PLANS_URL=postgres://postgres@127.0.0.1/ackord_plans cargo bench -p ackord-entities --bench plans
//!
//! The database must be there and the user a superuser (for `auto_explain`). An empty one is migrated and filled, which takes
//! minutes and gigabytes; the next run finds it filled. What is run is the engine's own code, each piece twice in a transaction that
//! is rolled back: with plans made anew, with prepared (generic) ones, and without statistics. `ACKORD_PLANS_FINISHED` is the number of
//! finished jobs, 5 million by default. The last thing it says is which statements read a large table from end to end.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

mod fill;
mod operators;
mod plan;
mod runner;
mod workers;

use ackord_entities::database::{Database, DatabaseOptions, Limits};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use plan::Plans;
use runner::{Row, Runner};

const EXPLAIN: [&str; 6] = [
    "session_preload_libraries=auto_explain",
    "auto_explain.log_min_duration=0",
    "auto_explain.log_analyze=on",
    "auto_explain.log_buffers=on",
    "auto_explain.log_timing=off",
    "auto_explain.log_level=notice",
];

/// Within a transaction: as if the table had never been looked at.
const FORGET: [&str; 2] = [
    "DELETE FROM pg_statistic WHERE starelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)",
    "UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')",
];

#[tokio::main]
async fn main() {
    let Ok(url) = std::env::var("ACKORD_PLANS_URL") else {
        println!("ACKORD_PLANS_URL names no database: left out");
        return;
    };
    let plans = Plans::default();
    let filter = tracing_subscriber::EnvFilter::new("sqlx::postgres::notice=info");
    tracing_subscriber::registry().with(filter).with(plans.clone()).init();
    let database = open(url.clone()).await;
    fill::fill(&database).await;
    database.close().await;

    let mut scans = Vec::new();
    let modes: [(&str, &str, &[&str]); 3] = [
        ("planned anew", "force_custom_plan", &[]),
        ("prepared", "force_generic_plan", &[]),
        ("prepared, without statistics", "force_generic_plan", &FORGET),
    ];
    for (title, mode, before) in modes {
        println!("\n# {title}\n");
        let mut runner = Runner::new(explained(&url, mode).await, plans.clone(), before).await;
        workers::run(&mut runner).await;
        operators::run(&mut runner).await;
        let rows = runner.close().await;
        println!("\n| statement | ms | pages | indexes | read from end to end |\n|---|---|---|---|---|");
        for row in &rows {
            println!("{row}");
        }
        scans.extend(rows.into_iter().filter(Row::scans).map(|row| format!("{title}: {row}")));
    }
    println!("\n# Large tables that are read from end to end\n");
    println!("{}", if scans.is_empty() { "none".to_owned() } else { scans.join("\n") });
}

async fn open(url: String) -> Database {
    let hours = std::time::Duration::from_secs(3600);
    let limits = Limits { statement: hours, answer: hours, ..Limits::default() };
    DatabaseOptions { limits, ..DatabaseOptions::new(url) }.open().await.unwrap()
}

async fn explained(url: &str, plan_cache_mode: &str) -> Database {
    let settings: Vec<String> = EXPLAIN.iter().map(|setting| format!("-c%20{setting}")).collect();
    let separator = if url.contains('?') { '&' } else { '?' };
    let settings = settings.join("%20");
    open(format!("{url}{separator}options={settings}%20-c%20plan_cache_mode={plan_cache_mode}")).await
}

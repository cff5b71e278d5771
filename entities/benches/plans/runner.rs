//! Runs a piece of the engine's code and prints what the server made of it.

use std::fmt;

use ackord_entities::database::Database;
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::plan::{Plan, Plans};

/// Runs everything in one mode.
pub(super) struct Runner {
    database: Database,
    plans: Plans,
    before: &'static [&'static str],
    now: DateTime<Utc>,
    rows: Vec<Row>,
}

/// One line of the summary.
pub(super) struct Row {
    label: &'static str,
    plans: Vec<Plan>,
}

impl Row {
    pub(super) fn scans(&self) -> bool {
        self.plans.iter().any(|plan| !plan.scanned().is_empty())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis: f64 = self.plans.iter().map(|plan| plan.millis).sum();
        let pages: u64 = self.plans.iter().map(Plan::pages).sum();
        let listed = |mut names: Vec<&str>| {
            names.sort_unstable();
            names.dedup();
            names.join(", ")
        };
        let indexes = listed(self.plans.iter().flat_map(Plan::indexes).collect());
        let scanned = listed(self.plans.iter().flat_map(Plan::scanned).collect());
        write!(formatter, "| {} | {millis:.2} | {pages} | {indexes} | {scanned} |", self.label)
    }
}

impl Runner {
    pub(super) async fn new(database: Database, plans: Plans, before: &'static [&'static str]) -> Self {
        let now = database.clock().now(database.read()).await.unwrap();
        Self { database, plans, before, now, rows: Vec::new() }
    }

    /// The database's time when the run began.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// What the statements need to know beforehand.
    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// Runs `work` twice, each time in a transaction that is rolled back: the first time fills the caches.
    pub(super) async fn run<T>(
        &mut self,
        label: &'static str,
        work: impl AsyncFn(&DatabaseTransaction) -> Result<T, DbErr>,
    ) -> T {
        let mut answer = None;
        let mut plans = Vec::new();
        for _ in 0..2 {
            let tx = self.database.begin_unlimited().await.unwrap();
            for sql in self.before {
                tx.execute_unprepared(sql).await.unwrap();
            }
            self.plans.take();
            answer = Some(work(&tx).await.unwrap());
            plans = self.plans.take();
            tx.rollback().await.unwrap();
        }
        println!("## {label}\n");
        for plan in &plans {
            println!("{:.2} ms", plan.millis);
            for line in plan.text.lines() {
                println!("    {}", shortened(line));
            }
            for table in plan.scanned() {
                println!("    >>> reads {table} from end to end");
            }
            println!();
        }
        assert!(!plans.is_empty(), "{label}: the server explained nothing; is the user a superuser?");
        self.rows.push(Row { label, plans });
        answer.unwrap()
    }

    pub(super) async fn close(self) -> Vec<Row> {
        self.database.close().await;
        self.rows
    }
}

/// Sets of hundreds of ids are of no interest.
fn shortened(line: &str) -> String {
    const LONGEST: usize = 400;
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ..", &line[..end]),
        None => line.to_owned(),
    }
}

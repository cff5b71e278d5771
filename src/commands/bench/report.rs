//! What was measured, for people and for programs.

use std::time::Duration;

use serde_json::{Value, json};

use super::BenchArgs;
use super::costs::Costs;
use super::figures::{Series, percentile_ms};
use super::ground::Ground;
use super::measure::Audit;
use crate::terminal::{Column, table};

/// All figures.
pub(super) struct Report {
    args: BenchArgs,
    servers: (String, String),
    pub(super) publish: Series,
    pub(super) set: Series,
    pub(super) each: Series,
    pub(super) end_to_end: Series,
    pub(super) direct: Waits,
    pub(super) outbox: Waits,
    pub(super) memory: Series,
    pub(super) costs: Costs,
    pub(super) audit: Option<Audit>,
}

/// From publishing to the commit, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Waits {
    p50: Series,
    p99: Series,
}

impl Waits {
    /// Adds a run; the shortest wait first.
    pub(super) fn push(&mut self, sorted: &[Duration]) {
        self.p50.push(percentile_ms(sorted, 0.5));
        self.p99.push(percentile_ms(sorted, 0.99));
    }
}

impl Report {
    /// Before anything was measured.
    pub(super) fn new(args: &BenchArgs, ground: &Ground) -> Self {
        Self {
            args: args.clone(),
            servers: ground.servers(),
            publish: Series::default(),
            set: Series::default(),
            each: Series::default(),
            end_to_end: Series::default(),
            direct: Waits::default(),
            outbox: Waits::default(),
            memory: Series::default(),
            costs: Costs::default(),
            audit: None,
        }
    }

    /// Whether nothing was lost and nothing doubled.
    pub(super) fn is_clean(&self) -> bool {
        self.audit.as_ref().is_some_and(Audit::is_clean)
    }

    fn lines(&self) -> Vec<(String, String, &Series)> {
        let load = self.args.load;
        let lines = [
            ("publish", "publish, confirmed, jobs/s".to_owned(), &self.publish),
            ("set", "worker, effect as a set, jobs/s".to_owned(), &self.set),
            ("each", "worker, a plain commit for each job, jobs/s".to_owned(), &self.each),
            ("end_to_end", "enqueue, outbox, relay and worker, jobs/s".to_owned(), &self.end_to_end),
            ("direct_p50_ms", format!("direct publish to commit at {load}/s, p50, ms"), &self.direct.p50),
            ("direct_p99_ms", format!("direct publish to commit at {load}/s, p99, ms"), &self.direct.p99),
            ("outbox_p50_ms", format!("enqueue to commit at {load}/s, p50, ms"), &self.outbox.p50),
            ("outbox_p99_ms", format!("enqueue to commit at {load}/s, p99, ms"), &self.outbox.p99),
            ("memory_mb", "resident memory with 1,000 unsettled deliveries, MB".to_owned(), &self.memory),
        ];
        let mut lines: Vec<(String, String, &Series)> =
            lines.into_iter().map(|(key, name, series)| (key.to_owned(), name, series)).collect();
        lines.extend(self.costs.in_transactions.iter().map(|(what, series)| {
            (format!("in_transactions_{what}"), format!("{what}: share of the time in transactions"), series)
        }));
        lines.extend(self.costs.cpu.iter().map(|((what, name), series)| {
            (format!("cpu_us_{what}_{name}"), format!("{what}: processor time of {name}, µs a job"), series)
        }));
        lines
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let figures: serde_json::Map<String, Value> =
            self.lines().into_iter().map(|(key, _, series)| (key, series.json())).collect();
        json!({
            "database": self.servers.0,
            "broker": self.servers.1,
            "jobs": self.args.jobs,
            "runs": self.args.runs,
            "group": super::GROUP,
            "backlog": self.args.backlog,
            "finished": self.args.finished,
            "figures": figures,
            "audit": self.audit,
            "clean": self.is_clean(),
        })
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let rows = self.lines().into_iter().map(|(_, name, series)| vec![name, series.to_string()]).collect();
        let table = table(&[Column::text("MEASURED"), Column::numbers("MEDIAN (LOWEST TO HIGHEST)")], rows);
        let audit = match &self.audit {
            Some(audit) if audit.is_clean() => {
                format!("Audit: {} jobs, each with its effect once.", audit.published)
            }
            Some(audit) => format!(
                "AUDIT FAILED: {} jobs were published, {} succeeded, {} effects, {} dead letters.",
                audit.published, audit.succeeded, audit.effects, audit.dead_letters
            ),
            None => "Not audited.".to_owned(),
        };
        format!(
            "{} jobs in groups of up to {}, {} runs; {} messages waiting, {} jobs finished before.\n{}\n{}\n\n{table}\n{audit}",
            self.args.jobs,
            super::GROUP,
            self.args.runs,
            self.args.backlog,
            self.args.finished,
            self.servers.0,
            self.servers.1,
        )
    }
}

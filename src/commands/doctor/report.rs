//! The answer of `ackord doctor`.

use ackord_entities::queue::process::{self, Model};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::check::{Check, Checks, Finding};
use crate::terminal::{Column, ago, bad, dim, good, table, waiting};

/// The JSON is a stable interface.
#[derive(Serialize)]
pub(super) struct Report {
    /// Whether nothing failed.
    pub(super) healthy: bool,
    checks: Vec<Check>,
    /// Who works on the database.
    processes: Vec<Process>,
}

/// A process that works on the database.
#[derive(Serialize)]
pub(super) struct Process {
    name: String,
    roles: Vec<&'static str>,
    host: String,
    process: i64,
    version: String,
    broker: String,
    started_at: DateTime<Utc>,
    seen_at: DateTime<Utc>,
    #[serde(skip)]
    now: DateTime<Utc>,
}

impl Process {
    pub(super) fn of(row: &Model, now: DateTime<Utc>) -> Self {
        let Model { name, host, process, version, broker, started_at, seen_at, .. } = row.clone();
        let roles = process::roles_of(row).into_iter().map(process::Role::name).collect();
        Self { name, roles, host, process, version, broker, started_at, seen_at, now }
    }
}

impl Report {
    pub(super) fn new(checks: Checks, processes: Vec<Process>) -> Self {
        let Checks(checks) = checks;
        let healthy = checks.iter().all(|check| check.finding() != Finding::Failed);
        Self { healthy, checks, processes }
    }

    pub(super) fn text(&self) -> String {
        let width = self.checks.iter().map(|check| check.check.len()).max().unwrap_or_default();
        let mut text: String = self.checks.iter().map(|check| lines(check, width)).collect();
        if !self.processes.is_empty() {
            let columns = [
                Column::text("PROCESS"),
                Column::text("ROLES"),
                Column::text("VERSION"),
                Column::text("BROKER"),
                Column::text("STARTED"),
            ];
            let row = |one: &Process| {
                let started = ago(one.started_at, one.now);
                vec![one.name.clone(), one.roles.join(","), one.version.clone(), one.broker.clone(), started]
            };
            text = format!("{text}\n{}", table(&columns, self.processes.iter().map(row).collect()));
        }
        text
    }
}

fn lines(check: &Check, width: usize) -> String {
    // Padded before it is coloured: a colour has letters of its own.
    let result = match check.finding() {
        Finding::Ok => good("ok     "),
        Finding::Warning => waiting("warning"),
        Finding::Failed => bad("failed "),
    };
    let line = format!("{result}  {:width$}  {}\n", check.check, check.found);
    match &check.remedy {
        None => line,
        Some(remedy) => format!("{line}         {:width$}  {} {remedy}\n", "", dim("help:")),
    }
}

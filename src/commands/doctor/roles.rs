//! Who runs what, and what nobody runs.

use ackord_entities::database::Database;
use ackord_entities::queue::process::{self, Model};
use chrono::{DateTime, Utc};
use sea_orm::DbErr;

use super::check::{Check, Checks};
use super::report::Process;
use crate::lock;
use crate::node::presence::nobody_runs;
use crate::session::sqlite_file;

pub(super) async fn look(
    database: &Database,
    now: DateTime<Utc>,
    checks: &mut Checks,
) -> Result<Vec<Process>, DbErr> {
    let alive = alive(database, now).await?;
    let missing = process::missing_roles(&alive);
    if alive.is_empty() {
        let remedy = "start `ackord up`, or `ackord work` and `ackord relay`";
        checks.add(Check::failed("processes.roles", "no process works on this database", remedy));
    } else if missing.is_empty() {
        let found = format!("every role is run, by {}", super::count_processes(alive.len()));
        checks.add(Check::ok("processes.roles", found));
    }
    for role in missing.into_iter().filter(|_| !alive.is_empty()) {
        let nobody = nobody_runs(role);
        let (found, remedy) = nobody.split_once(": ").unwrap_or((&nobody, ""));
        checks.add(Check::failed("processes.roles", format!("{}: {found}", role.name()), remedy));
    }
    let mut versions: Vec<&str> = alive.iter().map(|one| one.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.len() > 1 {
        let found = format!("several versions run beside each other: {}", versions.join(", "));
        checks.add(Check::warning("processes.versions", found, "finish the deployment"));
    }
    Ok(alive.iter().map(|row| Process::of(row, now)).collect())
}

/// On a file the lock says who lives, on a server the signs of life do.
async fn alive(database: &Database, now: DateTime<Utc>) -> Result<Vec<Model>, DbErr> {
    let Some(file) = sqlite_file(database) else { return process::alive(database.read(), now).await };
    match lock::holder(file) {
        Some(_) => process::all(database.read()).await,
        None => Ok(Vec::new()),
    }
}

//! This process on the list of those that work on the database, and what it may not run beside.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::queue::incarnation;
use ackord_entities::queue::process::{self, BEAT, Model, Role, SILENCE};
use ackord_producer::health::Health;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::identity::Identity;
use crate::problem::Problem;
use crate::session::sqlite_file;

/// The condition that speaks of roles which no process has.
const ROLE: &str = "role";
/// What the list says about a process whose broker lives within it.
pub(crate) const EMBEDDED: &str = "embedded";
/// How often a start looks whether the one in its way is alive.
const LOOK: Duration = Duration::from_millis(500);

/// This process on the list.
pub(super) struct Presence {
    database: Database,
    row: Model,
    health: Health,
}

impl Presence {
    /// Puts this process on the list. One that lives may have to be waited for: until it gives a sign of life or counts as dead.
    ///
    /// # Errors
    /// A process with another broker works on the database; whatever the database answers.
    pub(super) async fn register(
        database: &Database,
        identity: &Identity,
        roles: &BTreeSet<Role>,
        broker: &str,
    ) -> anyhow::Result<Self> {
        let mut first_seen: Option<Model> = None;
        loop {
            let row = |now| row(identity, roles, broker, now);
            let Some(other) = try_register(database, row).await? else { break };
            let lives = match &first_seen {
                Some(before) if before.name == other.name => other.seen_at > before.seen_at,
                // A dead one of this machine is off the list already.
                _ => other.host == identity.host,
            };
            if lives {
                return Err(refusal(database, &other, broker).into());
            }
            if first_seen.as_ref().is_none_or(|before| before.name != other.name) {
                warn!(
                    process = other.name,
                    "another process is on the list; up to {} s show whether it lives",
                    SILENCE.as_secs()
                );
                first_seen = Some(other);
            }
            tokio::time::sleep(LOOK).await;
        }
        let health = Health::new("processes");
        let now = database.clock().now(database.read()).await?;
        let presence = Self { database: database.clone(), row: row(identity, roles, broker, now), health };
        presence.look_for_roles(now).await?;
        Ok(presence)
    }

    /// What it says about the roles of all processes.
    pub(super) fn health(&self) -> Health {
        self.health.clone()
    }

    /// Gives signs of life until `stop`, then leaves the list.
    pub(super) async fn run(self, stop: CancellationToken) {
        // One process per file, and its lock says whether it lives: nothing to write every few seconds.
        let beats = sqlite_file(&self.database).is_none();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(BEAT), if beats => {}
            }
            if let Err(error) = self.beat().await {
                debug!(error = %error, "no sign of life can be given at the moment");
            }
        }
        if let Err(error) = process::leave(self.database.write(), &self.row.name).await {
            debug!(error = %error, "the process stays on the list until it is silent for long enough");
        }
    }

    async fn beat(&self) -> Result<(), DbErr> {
        let now = self.database.clock().now(self.database.read()).await?;
        if !process::beat(self.database.write(), &self.row.name, now).await? {
            // Taken off: silent for a day, or a database that was restored.
            let again = async {
                let tx = self.database.begin().await?;
                process::register(&tx, Model { seen_at: now, ..self.row.clone() }).await?;
                tx.commit().await
            };
            self.database.within_limit(again).await?;
        }
        self.look_for_roles(now).await
    }

    async fn look_for_roles(&self, now: DateTime<Utc>) -> Result<(), DbErr> {
        let alive = process::alive(self.database.read(), now).await?;
        let missing = process::missing_roles(&alive);
        for role in Role::ALL {
            if missing.contains(&role) {
                self.health.fails_for(ROLE, role.name(), nobody_runs(role));
            } else {
                self.health.holds_for(ROLE, role.name());
            }
        }
        Ok(())
    }
}

/// What a role that no process has leaves undone, and the remedy.
pub(crate) fn nobody_runs(role: Role) -> String {
    match role {
        Role::Work => "no process performs jobs: start `ackord work`".to_owned(),
        Role::Archive => "no process keeps dead letters: start `ackord work` without --no-archive".to_owned(),
        Role::Relay => "no process sends messages to the broker: start `ackord relay`".to_owned(),
        Role::Upkeep => {
            "no process puts back the jobs of lost workers or removes what is old: start `ackord relay`"
                .to_owned()
        }
    }
}

fn row(identity: &Identity, roles: &BTreeSet<Role>, broker: &str, now: DateTime<Utc>) -> Model {
    Model {
        name: identity.name.clone(),
        roles: process::joined(roles),
        host: identity.host.clone(),
        process: i64::from(std::process::id()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        broker: broker.to_owned(),
        started_at: now,
        seen_at: now,
    }
}

/// Registers unless somebody is in the way, who is the answer then.
async fn try_register(
    database: &Database,
    row: impl Fn(DateTime<Utc>) -> Model,
) -> Result<Option<Model>, DbErr> {
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    // Two that start at once must see each other.
    incarnation::lock(&tx, now).await?;
    let row = row(now);
    let is_file = sqlite_file(database).is_some();
    let mut in_the_way = None;
    for other in process::all(&tx).await? {
        // Whoever else was on a file's list is dead: this process has the lock.
        if is_file || is_over(&other, &row, now) {
            process::leave(&tx, &other.name).await?;
        } else if other.broker == EMBEDDED || row.broker == EMBEDDED {
            in_the_way = in_the_way.or(Some(other));
        }
    }
    if in_the_way.is_none() {
        process::register(&tx, row).await?;
    }
    tx.commit().await?;
    Ok(in_the_way)
}

/// Silent for long enough, or a process of this machine that is no more.
fn is_over(other: &Model, me: &Model, now: DateTime<Utc>) -> bool {
    let silence = TimeDelta::from_std(SILENCE).unwrap_or(TimeDelta::zero());
    let was_here = other.host == me.host && (other.process == me.process || !is_running(other.process));
    other.seen_at <= now - silence || was_here
}

fn is_running(process: i64) -> bool {
    Path::new("/proc").join(process.to_string()).exists()
}

fn refusal(database: &Database, other: &Model, broker: &str) -> Problem {
    let Model { host, process, .. } = other;
    let location = database.location();
    let message = if other.broker == EMBEDDED {
        format!("process {process} on {host} works on {location} with the broker embedded in it")
    } else {
        format!("process {process} on {host} works on {location} with the broker {}", other.broker)
    };
    let remedy = if broker == EMBEDDED && other.broker != EMBEDDED {
        "give this process the same --broker"
    } else {
        "stop it, or give both the same RabbitMQ with --broker: an embedded broker cannot be shared"
    };
    Problem::refused(message).remedy(remedy)
}

//! Gauges that the database knows: asked every few seconds, not for each scrape.

#![allow(clippy::cast_precision_loss, reason = "a gauge is shown with fewer digits than it has")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::error_chain;
use ackord_entities::queue::{figures, outbox, pause};
use ackord_producer::health::Health;
use ackord_producer::metrics::Metric;
use chrono::{DateTime, Utc};
use metrics::gauge;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Between two looks. One look reads an index per figure, and no more of it than a limit: some milliseconds together.
const INTERVAL: Duration = Duration::from_secs(5);
/// A figure that takes longer than this has no answer.
const LIMIT: Duration = Duration::from_secs(10);
/// What is due for longer than this does not move.
const STANDS_STILL_AFTER: f64 = 60.0;

const DUE: &str = "ackord_outbox_due_messages";
const DUE_AGE: &str = "ackord_outbox_oldest_due_age_seconds";
const OLDEST: &str = "ackord_oldest_waiting_job_age_seconds";
const LETTERS: &str = "ackord_dead_letters_open";
const LEASES: &str = "ackord_leases_held";
const PAUSED: &str = "ackord_kind_paused";
const REFRESHED: &str = "ackord_figures_refreshed_timestamp_seconds";
/// Set when somebody asks.
pub(crate) const READY: &str = "ackord_ready";
/// Set when somebody asks.
pub(crate) const CONDITION: &str = "ackord_condition";
/// Set when somebody asks.
pub(crate) const BROKER: &str = "ackord_broker_state";
/// Set when somebody asks.
pub(crate) const DATABASE: &str = "ackord_database_up";
/// Set once.
pub(crate) const BUILD: &str = "ackord_build_info";

/// The metrics of this module and of the server.
pub(crate) const METRICS: &[Metric] = &[
    Metric::gauge(
        DUE,
        &[],
        "Messages in the outbox that are due and not sent, of kinds that are not paused; of each kind up to 10000 are counted.",
    ),
    Metric::gauge(DUE_AGE, &[], "For how many seconds the oldest of them is due; 0 when none is."),
    Metric::gauge(
        OLDEST,
        &["kind"],
        "For how many seconds the oldest waiting job of the kind waits, be it in the outbox, with the broker or for its \
         commit; 0 when none waits. A job that is scheduled for later does not wait.",
    ),
    Metric::gauge(
        LETTERS,
        &["kind", "reason"],
        "Dead letters that nobody has replayed or discarded; counted up to 100000.",
    ),
    Metric::gauge(
        LEASES,
        &[],
        "Leases that are held: jobs that run handed over, and what they keep for themselves.",
    ),
    Metric::gauge(PAUSED, &["kind"], "1 while the kind is paused."),
    Metric::gauge(
        REFRESHED,
        &[],
        "When the figures that the database knows were read last, in seconds since 1970.",
    ),
    Metric::gauge(READY, &[], "1 while the process is ready, as /readyz says it."),
    Metric::gauge(
        CONDITION,
        &["part", "name", "subject"],
        "1 while the condition holds, 0 while it does not.",
    ),
    Metric::gauge(BROKER, &["state"], "1 for the state in which the broker is: open, blocked or closed."),
    Metric::gauge(DATABASE, &[], "1 while no part of the process misses the database."),
    Metric::gauge(BUILD, &["version", "roles"], "1, with the program's version and what this process runs."),
];

/// Reads the figures and keeps the gauges.
pub(crate) struct Gauges {
    database: Database,
    kinds: Vec<&'static str>,
    health: Health,
    /// Gauges that were set for letters, and have to fall to zero when there are none.
    letters: BTreeSet<(String, String)>,
}

impl Gauges {
    /// Gauges of `database` for these kinds.
    pub(crate) fn new(database: Database, kinds: Vec<&'static str>) -> Self {
        let health = Health::new("outbox");
        health.fails("moves", "the outbox has not been looked at yet");
        Self { database, kinds, health, letters: BTreeSet::new() }
    }

    /// Whether what is due moves.
    pub(crate) fn health(&self) -> Health {
        self.health.clone()
    }

    /// Runs until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = tokio::time::timeout(LIMIT, self.look()) => looked,
            };
            match looked {
                Ok(Ok(())) => {}
                // Said by the parts that need the database; here the figures merely grow old.
                Ok(Err(error)) => {
                    debug!(error = error_chain(&error), "the figures cannot be read at the moment");
                }
                Err(_elapsed) => {
                    debug!("the figures cannot be read at the moment: the database does not answer");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    async fn look(&mut self) -> Result<(), DbErr> {
        let now = self.database.clock().now(self.database.read()).await?;
        let due = outbox::backlog(self.database.read(), now, figures::MOST_DUE).await?;
        let due_age = age(due.oldest, now);
        gauge!(DUE).set(due.messages as f64);
        gauge!(DUE_AGE).set(due_age);
        if due_age > STANDS_STILL_AFTER {
            let reason =
                format!("messages in the outbox are due for {due_age:.0} s and not sent: is there a relay?");
            self.health.fails("moves", reason);
        } else {
            self.health.holds("moves");
        }
        let paused: BTreeSet<String> =
            pause::all(self.database.read()).await?.into_iter().map(|row| row.kind).collect();
        for kind in &self.kinds {
            let since = figures::oldest_waiting(self.database.read(), kind, now).await?;
            gauge!(OLDEST, "kind" => *kind).set(age(since, now));
            gauge!(PAUSED, "kind" => *kind).set(if paused.contains(*kind) { 1.0 } else { 0.0 });
        }
        gauge!(LEASES).set(figures::leases_held(self.database.read()).await? as f64);
        self.letters().await?;
        gauge!(REFRESHED).set(ackord_entities::clock::machine_now().timestamp() as f64);
        Ok(())
    }

    async fn letters(&mut self) -> Result<(), DbErr> {
        let mut open: BTreeMap<(String, String), i64> =
            std::mem::take(&mut self.letters).into_iter().map(|key| (key, 0)).collect();
        for one in figures::open_letters(self.database.read()).await? {
            // A stranger's kind may be any text; only the known ones become a label.
            let known = one.kind.filter(|kind| self.kinds.contains(&kind.as_str()));
            let kind = known.unwrap_or_else(|| "unknown".to_owned());
            *open.entry((kind, one.reason.to_string())).or_default() += one.letters;
        }
        for ((kind, reason), letters) in open {
            gauge!(LETTERS, "kind" => kind.clone(), "reason" => reason.clone()).set(letters as f64);
            self.letters.insert((kind, reason));
        }
        Ok(())
    }
}

fn age(since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> f64 {
    since.map_or(0.0, |since| (now - since).as_seconds_f64().max(0.0))
}

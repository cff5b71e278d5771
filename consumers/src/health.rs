//! How a worker is, for health checks and for people.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ackord_producer::health::{Condition as One, Health as Part};

/// The database takes what the worker writes.
pub(crate) const DATABASE: &str = "database";
/// Each kind that is not paused has a consumer.
pub(crate) const CONSUMER: &str = "consumer";
/// What waits in a kind's queue is taken.
pub(crate) const TAKEN: &str = "taken";
/// What was delivered can be read.
pub(crate) const READ: &str = "read";
/// What is finished is committed in time.
pub(crate) const COMMIT: &str = "commit";
/// The worker was not told to stop.
pub(crate) const STOPPING: &str = "not_draining";
/// The queues of what was given up are archived.
pub(crate) const ARCHIVE: &str = "archive";

/// How a worker is.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Condition {
    /// Why the database cannot be used, if it cannot. Nothing is acknowledged and nobody's attempt is counted meanwhile.
    pub database: Option<String>,
    /// Kinds that are paused.
    pub paused: Vec<String>,
    /// Kinds whose consumer is not there, with the reason; it is tried again for ever.
    pub not_consuming: BTreeMap<String, String>,
    /// Kinds whose messages wait although there is room for them, with the reason.
    pub not_taken: BTreeMap<String, String>,
    /// Kinds whose deliveries are held because they cannot be read at the moment, with the reason.
    pub not_read: BTreeMap<String, String>,
    /// Kinds whose commits take too long, with the reason.
    pub stuck: BTreeMap<String, String>,
    /// Whether the worker takes no new work because it was told to stop.
    pub draining: bool,
}

impl Condition {
    /// Whether the worker takes work.
    #[must_use]
    pub fn takes_work(&self) -> bool {
        self.database.is_none()
            && !self.draining
            && self.not_consuming.is_empty()
            && self.not_taken.is_empty()
            && self.not_read.is_empty()
            && self.stuck.is_empty()
    }
}

/// A worker's condition, as it is at the moment. Clones show the same.
#[derive(Clone, Debug)]
pub struct Health {
    part: Part,
    paused: Arc<Mutex<Vec<String>>>,
}

impl Health {
    pub(crate) fn new() -> Self {
        let part = Part::new("worker");
        part.holds(STOPPING);
        Self { part, paused: Arc::default() }
    }

    /// The condition now.
    #[must_use]
    pub fn condition(&self) -> Condition {
        let conditions = self.part.conditions();
        let failing = |name: &'static str| {
            conditions
                .iter()
                .filter(move |one| one.name == name && !one.ok)
                .map(|one| (subject(one), reason(one)))
        };
        Condition {
            database: failing(DATABASE).next().map(|(_, reason)| reason),
            paused: self.paused.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            not_consuming: failing(CONSUMER).collect(),
            not_taken: failing(TAKEN).collect(),
            not_read: failing(READ).collect(),
            stuck: failing(COMMIT).collect(),
            draining: failing(STOPPING).next().is_some(),
        }
    }

    /// The conditions one by one, to be joined with those of the process's other parts.
    #[must_use]
    pub fn part(&self) -> Part {
        self.part.clone()
    }

    pub(crate) fn say(&self) -> &Part {
        &self.part
    }

    pub(crate) fn set_paused(&self, kinds: Vec<String>) {
        *self.paused.lock().unwrap_or_else(PoisonError::into_inner) = kinds;
    }
}

fn subject(one: &One) -> String {
    one.subject.clone().unwrap_or_default()
}

fn reason(one: &One) -> String {
    one.reason.clone().unwrap_or_default()
}

//! How a worker is, for health checks and for people.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How a worker is.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Condition {
    /// Why the database cannot be used, if it cannot. Nothing is acknowledged and nobody's attempt is counted meanwhile.
    pub database: Option<String>,
    /// Kinds that are paused.
    pub paused: Vec<String>,
    /// Kinds whose consumer is not there, with the reason; it is tried again for ever.
    pub not_consuming: BTreeMap<String, String>,
    /// Whether the worker takes no new work because it was told to stop.
    pub draining: bool,
}

impl Condition {
    /// Whether the worker takes work.
    #[must_use]
    pub fn takes_work(&self) -> bool {
        self.database.is_none() && !self.draining && self.not_consuming.is_empty()
    }
}

/// A worker's condition, as it is at the moment. Clones show the same.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Condition>>);

impl Health {
    /// The condition now.
    #[must_use]
    pub fn condition(&self) -> Condition {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Condition)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

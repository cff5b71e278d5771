//! Notices that a job is through, without asking anybody.
//!
//! The runtime keeps the payload of a delivery until its transaction is committed and the broker has its answer, and drops it
//! then. A payload that was armed by its commit half says so when it is dropped: no query and no polling that would disturb
//! what is measured.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Longer than any measurement: a job that is lost must not look like a slow one.
const PATIENCE: Duration = Duration::from_secs(600);

/// When which job was through.
pub(crate) struct Recorder {
    expected: usize,
    through: Mutex<Vec<(usize, Instant)>>,
    all: Notify,
}

impl Recorder {
    pub(crate) fn new(expected: usize) -> Arc<Self> {
        Arc::new(Self { expected, through: Mutex::new(Vec::with_capacity(expected)), all: Notify::new() })
    }

    /// Waits until every expected job is through, but not for ever. Answers the number of each with its time, in the order in which they
    /// came; fewer than expected are the ones that did not.
    pub(crate) async fn all(&self) -> Vec<(usize, Instant)> {
        let _ = tokio::time::timeout(PATIENCE, self.all.notified()).await;
        std::mem::take(&mut *self.through.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_through(&self, number: usize) {
        let now = Instant::now();
        let mut through = self.through.lock().unwrap_or_else(PoisonError::into_inner);
        through.push((number, now));
        if through.len() == self.expected {
            self.all.notify_one();
        }
    }
}

/// Part of a payload, outside of its JSON.
#[derive(Default)]
pub(crate) struct Probe(OnceLock<(Arc<Recorder>, usize)>);

impl Probe {
    /// From here on, its end is the end of job `number`.
    pub(crate) fn arm(&self, recorder: &Arc<Recorder>, number: usize) {
        // A commit half that runs again after a rollback finds it armed.
        let _ = self.0.set((Arc::clone(recorder), number));
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some((recorder, number)) = self.0.get() {
            recorder.is_through(*number);
        }
    }
}

/// A copy of a payload is not the payload that the runtime holds.
impl Clone for Probe {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Probe")
    }
}

//! Suspects: what was in flight when a process died, and may have killed it.
//!
//! A small file beside an embedded database has a slot of 16 bytes for each job in flight. It is written without fsync: the
//! death of a process does not lose what it wrote, and after a power cut nobody is to blame. What stands in it at the next
//! start is a suspect; so is what a broker hands over for the third time. A suspect's start is recorded before it, and no
//! other suspect runs beside it: what is counted for a death ran alone among the suspects. What became of the start before is
//! found out first, see `starter.rs`: a process that outlived it was not killed by it.
//!
//! What only came for the third time is first started in company, since a broker counts a death for everything that it had
//! handed over, and those may be thousands. That start is recorded too and does not count: it says who was there at the next death.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ackord_entities::fault;
use ackord_entities::ids::JobId;
use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::{job, suspect};
use sea_orm::DbErr;
use sea_orm::prelude::Uuid;

use super::item::Work;
use super::shared::Shared;
use super::starter::Judged;
use crate::handler::Failure;

const SLOT: usize = 16;
/// A message that was handed over this often before is a suspect: its third delivery.
const DELIVERIES: u32 = 2;
/// A handed-over job is not delivered again: one that lost its worker this often is a suspect.
pub(super) const LOST: u32 = 2;

/// The suspects of one worker.
pub(crate) struct Suspects {
    book: Arc<Mutex<Book>>,
    /// One suspect at a time.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// Short jobs hold this shared; a suspect holds it alone.
    pub(crate) alone: tokio::sync::RwLock<()>,
}

#[derive(Default)]
struct Book {
    file: Option<File>,
    slots: usize,
    free: Vec<usize>,
    /// Suspects, with the slot that keeps them one over the next death.
    suspects: HashMap<JobId, Option<usize>>,
    /// Whose start this worker has recorded and has outlived so far.
    started: HashSet<JobId>,
}

/// What became of the wish to record a start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// The suspect may begin.
    Begin,
    /// It was started so often, and each time its process died.
    Exhausted(u32),
    /// Somebody else has started it since the last start was judged: judge that one.
    Overtaken,
}

/// Who runs beside a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Nobody.
    Nobody,
    /// Others that came for the third time, and jobs that nobody suspects.
    Others,
}

/// A job in flight. Dropping it says that the job is not in flight any more.
pub(crate) struct InFlight {
    book: Arc<Mutex<Book>>,
    slot: usize,
}

impl Suspects {
    /// Reads who was in flight at the last death. Without a file, only deliveries make suspects.
    pub(crate) fn open(path: Option<&Path>) -> std::io::Result<Self> {
        let mut book = Book::default();
        if let Some(path) = path {
            let mut file =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            let found: HashSet<JobId> = bytes
                .chunks_exact(SLOT)
                .filter_map(|chunk| Uuid::from_slice(chunk).ok())
                .filter(|id| !id.is_nil())
                .map(JobId)
                .collect();
            file.set_len(0)?;
            book.file = Some(file);
            for id in found {
                let slot = book.take_slot(id);
                book.suspects.insert(id, slot);
            }
        }
        Ok(Self {
            book: Arc::new(Mutex::new(book)),
            turn: tokio::sync::Mutex::default(),
            alone: tokio::sync::RwLock::default(),
        })
    }

    /// How many there are at the moment.
    pub(crate) fn count(&self) -> usize {
        lock(&self.book).suspects.len()
    }

    fn ids(&self) -> Vec<JobId> {
        lock(&self.book).suspects.keys().copied().collect()
    }

    /// Whether `job`, handed over `deliveries_before` times before, may have killed a process.
    pub(crate) fn is_suspect(&self, job: JobId, deliveries_before: u32) -> bool {
        has_been_lost_often(deliveries_before) || lock(&self.book).suspects.contains_key(&job)
    }

    /// Whether `job` is known to have been in flight when a process died.
    pub(crate) fn was_in_flight(&self, job: JobId) -> bool {
        lock(&self.book).suspects.contains_key(&job)
    }

    /// Clears jobs that got through without killing anybody.
    pub(crate) fn clear(&self, jobs: impl IntoIterator<Item = JobId>) {
        let mut book = lock(&self.book);
        if book.suspects.is_empty() && book.started.is_empty() {
            return;
        }
        for job in jobs {
            book.started.remove(&job);
            if let Some(Some(slot)) = book.suspects.remove(&job) {
                book.free_slot(slot);
            }
        }
    }

    /// Whether this worker has recorded the start of `job`, and lives.
    pub(crate) fn has_started(&self, job: JobId) -> bool {
        lock(&self.book).started.contains(&job)
    }

    /// Notes that `job` is in flight. Nothing to note without a file.
    pub(crate) fn in_flight(&self, job: JobId) -> Option<InFlight> {
        let slot = lock(&self.book).take_slot(job)?;
        Some(InFlight { book: Arc::clone(&self.book), slot })
    }
}

/// Whether so many deliveries before this one are more than chance.
pub(crate) fn has_been_lost_often(deliveries_before: u32) -> bool {
    deliveries_before >= DELIVERIES
}

/// What becomes of a suspect that was started often enough.
pub(crate) fn killed_worker(starts: u32) -> Work {
    let failure = Failure {
        code: "killed_worker".to_owned(),
        operator: format!("the process died {starts} times while this job ran alone"),
        public: "the work ended its worker each time it ran".to_owned(),
    };
    Work::GiveUp(Reason::KilledWorker, failure)
}

impl Shared {
    /// Records the start of a suspect, committed before it begins, unless it was started often enough. `judged` says what became
    /// of the newest start.
    ///
    /// # Errors
    /// The database; nothing was recorded.
    pub(crate) async fn record_start(
        &self,
        job: JobId,
        judged: &Judged,
        beside: Beside,
    ) -> Result<Recorded, DbErr> {
        let recorded = async {
            let tx = self.database.begin().await?;
            let now = self.database.clock().now(&tx).await?;
            let row = suspect::lock(&tx, job).await?;
            // In company is only the first start.
            if !judged.is_about(row.as_ref()) || (beside == Beside::Others && row.is_some()) {
                return Ok(Recorded::Overtaken);
            }
            let starts = row.map_or(0, |row| row.starts);
            if starts >= suspect::MAX_STARTS && !judged.survived {
                return Ok(Recorded::Exhausted(starts.unsigned_abs()));
            }
            match beside {
                Beside::Nobody => {
                    suspect::record_start(&tx, job, &self.name, now, judged.survived).await?;
                }
                Beside::Others => suspect::record_company(&tx, job, &self.name, now).await?,
            }
            tx.commit().await?;
            lock(&self.suspects.book).started.insert(job);
            fault::point("start_recorded");
            Ok(Recorded::Begin)
        };
        self.database.within_limit(recorded).await
    }

    /// Takes the newest start of a suspect back that did not begin after all. It stays a suspect.
    pub(crate) async fn take_back_start(&self, job: JobId) {
        lock(&self.suspects.book).started.remove(&job);
        let taken_back = self.database.within_limit(async {
            let tx = self.database.begin().await?;
            suspect::take_back_start(&tx, job, &self.name).await?;
            tx.commit().await
        });
        if let Err(error) = taken_back.await {
            tracing::warn!(job.id = %job, error = %error, "a start that was none stays recorded");
        }
    }

    /// Drops suspects that had ended before the process died.
    ///
    /// # Errors
    /// The database; they stay suspects.
    pub(crate) async fn drop_finished_suspects(&self) -> Result<(), DbErr> {
        let ids = self.suspects.ids();
        if ids.is_empty() {
            return Ok(());
        }
        let rows = job::fences(self.database.read(), &ids).await?;
        let unfinished: HashSet<JobId> =
            rows.iter().filter(|row| !row.state.is_end()).map(|row| row.id).collect();
        self.suspects.clear(ids.into_iter().filter(|id| !unfinished.contains(id)));
        Ok(())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        lock(&self.book).free_slot(self.slot);
    }
}

impl Book {
    fn take_slot(&mut self, job: JobId) -> Option<usize> {
        let file = self.file.as_ref()?;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        });
        // A disk that is full costs us a suspect, not the job.
        let _ = file.write_all_at(job.0.as_bytes(), (slot * SLOT) as u64);
        Some(slot)
    }

    fn free_slot(&mut self, slot: usize) {
        if let Some(file) = &self.file {
            let _ = file.write_all_at(&[0; SLOT], (slot * SLOT) as u64);
        }
        self.free.push(slot);
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_was_in_flight_at_a_death_is_suspect_at_the_next_start_and_the_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inflight");
        let (done, guilty) = (JobId::new(), JobId::new());
        let first = Suspects::open(Some(&path)).unwrap();
        drop(first.in_flight(done));
        // A process that dies drops nothing.
        std::mem::forget(first.in_flight(guilty));

        let second = Suspects::open(Some(&path)).unwrap();
        assert!(second.is_suspect(guilty, 0));
        assert!(!second.is_suspect(done, 0));

        // Another death before it got its turn: still a suspect.
        let third = Suspects::open(Some(&path)).unwrap();
        assert!(third.is_suspect(guilty, 0));
        third.clear([guilty]);
        assert_eq!(Suspects::open(Some(&path)).unwrap().count(), 0);
    }

    #[test]
    fn a_third_delivery_makes_a_suspect_without_a_file() {
        let suspects = Suspects::open(None).unwrap();
        assert!(!suspects.is_suspect(JobId::new(), 1));
        assert!(suspects.is_suspect(JobId::new(), 2));
    }
}

//! The statements of `ackord_entities::queue`, as far as the protocol needs them.

use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::state::JobState;

use crate::world::{Database, Letter, Row, RunLease, Waiting};

/// A row that a transaction needs is locked by another one: the step is not possible yet.
#[derive(Debug)]
pub struct Locked;

impl Database {
    /// `job::insert`: `pending` with seq 1, unless it is there.
    pub fn insert(&mut self, job: u8, direct: bool, max_attempts: u8) {
        self.jobs[usize::from(job)].get_or_insert(Row {
            state: JobState::Pending,
            direct,
            seq: 1,
            attempt: 0,
            max_attempts,
            deferrals: 0,
            cancel_requested: false,
            corrected: false,
        });
    }

    /// `job::transition`: moves an unfinished job on whose row has `seq`. The real one answers how many rows it moved, and the
    /// caller rolls back if one is missing; the rows are locked, so none ever is.
    pub fn transition(&mut self, job: u8, seq: u8, change: impl FnOnce(&mut Row)) {
        let row = self.jobs[usize::from(job)].as_mut();
        let row = row.filter(|row| row.seq == seq && !row.state.is_end());
        change(row.expect("a transition of a row that is locked applies"));
    }

    /// `outbox::put`: a message that still waits is replaced by a newer one. Waits for the relay that is at it.
    pub fn put(&mut self, job: u8, message: Waiting, locked: bool) -> Result<(), Locked> {
        if locked {
            return Err(Locked);
        }
        let waiting = &mut self.outbox[usize::from(job)];
        if waiting.is_none_or(|old| old.seq <= message.seq) {
            *waiting = Some(message);
        }
        Ok(())
    }

    /// `outbox::remove_sent`: unless a newer message took its place.
    pub fn remove_sent(&mut self, job: u8, seq: u8) {
        let waiting = &mut self.outbox[usize::from(job)];
        if waiting.is_some_and(|one| one.seq == seq) {
            *waiting = None;
        }
    }

    /// `outbox::make_due`.
    pub fn make_due(&mut self, job: u8) {
        if let Some(waiting) = &mut self.outbox[usize::from(job)] {
            waiting.due = true;
        }
    }

    /// `outbox::reconcile`: the messages of pending jobs that wait nowhere else, with the seq that they have. Answers whether
    /// there were any.
    pub fn reconcile(&mut self) -> bool {
        let mut written = false;
        for (row, waiting) in self.jobs.iter().zip(&mut self.outbox) {
            let Some(row) = row.filter(|row| row.state == JobState::Pending) else { continue };
            if waiting.is_none() {
                *waiting = Some(Waiting { seq: row.seq, due: true, waits: false });
                written = true;
            }
        }
        written
    }

    /// `lease::acquire` of the run lease: it is free or the job's own.
    pub fn acquire_run(&mut self, job: u8) -> u8 {
        let lease = &mut self.runs[usize::from(job)];
        let term = lease.map_or(1, |lease| lease.term + 1);
        *lease = Some(RunLease { term, expired: false });
        term
    }

    /// `lease::acquire` of the shared lease, if it is free, expired or the job's own.
    pub fn acquire(&mut self, job: u8) -> Option<u8> {
        let lease = &mut self.lease;
        if lease.owner.is_some_and(|owner| owner != job) && !lease.expired {
            return None;
        }
        lease.owner = Some(job);
        lease.expired = false;
        lease.term += 1;
        Some(lease.term)
    }

    /// `lease::verify`: whether the leases still have these terms.
    #[must_use]
    pub fn verify(&self, job: u8, run: u8, lease: Option<u8>) -> bool {
        let has_run = self.runs[usize::from(job)].is_some_and(|held| held.term == run);
        let has_lease = lease.is_none_or(|term| self.lease.owner == Some(job) && self.lease.term == term);
        has_run && has_lease
    }

    /// `lease::free` and `outbox::wake_waiters`: the run lease goes, the shared one keeps its term.
    pub fn free(&mut self, job: u8) {
        self.runs[usize::from(job)] = None;
        if self.lease.owner == Some(job) {
            self.lease.owner = None;
            self.lease.expired = false;
            if let Some(waiter) = self.outbox.iter_mut().flatten().find(|waiting| waiting.waits) {
                waiter.waits = false;
                waiter.due = true;
            }
        }
    }

    /// `dead_letter::insert`: one letter for each seq of a job.
    pub fn insert_letter(&mut self, job: u8, seq: Option<u8>, reason: Reason, by_claim: bool) {
        let letters = &mut self.letters[usize::from(job)];
        if letters.iter().all(|letter| letter.seq != seq) {
            letters.push(Letter { seq, reason, open: true, by_claim });
        }
    }

    /// `job::revive`: a dead job is pending again, with the next seq.
    pub fn revive(&mut self, job: u8, more_attempts: u8, raise: u8) -> Option<u8> {
        let row = self.jobs[usize::from(job)].as_mut().filter(|row| row.state == JobState::Dead)?;
        row.state = JobState::Pending;
        row.seq += raise;
        row.deferrals = 0;
        row.cancel_requested = false;
        row.corrected = true;
        row.max_attempts = row.attempt + more_attempts;
        Some(row.seq)
    }

    /// `dead_letter::resolve` of the job's open letter. Answers whether there was one.
    pub fn resolve(&mut self, job: u8) -> bool {
        let open = self.letters[usize::from(job)].iter_mut().find(|letter| letter.open);
        open.map(|letter| letter.open = false).is_some()
    }
}

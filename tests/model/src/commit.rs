//! The transaction of a group: `Flusher::once` and the desk.

use ackord_consumers::testing::Meaning;
use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::state::JobState;

use crate::coverage::Step;
use crate::database::Locked;
use crate::protocol::Protocol;
use crate::scenario::Defect;
use crate::world::{Answer, Expect, Item, Row, Stage, Waiting, Work, World};

/// One transaction over a world.
pub(crate) struct Transaction<'w> {
    pub(crate) protocol: &'w Protocol,
    pub(crate) world: &'w mut World,
}

impl Transaction<'_> {
    /// `Flusher::once`: claims every job by the fence, writes what became of it, answers what the broker is to be told.
    pub(crate) fn once(&mut self, items: &[Item]) -> Result<Vec<Option<Answer>>, Locked> {
        for item in items.iter().filter(|item| item.is_delivery()) {
            self.make_direct_row(item);
        }
        items.iter().map(|item| self.one(item)).collect()
    }

    fn one(&mut self, item: &Item) -> Result<Option<Answer>, Locked> {
        let row = self.row(item.job);
        let verdict = match item.expect {
            Expect::Delivery(_) => self.judge(item, row.as_ref()),
            Expect::Claim { run, lease } if self.is_ours(item, row.as_ref(), run, lease) => Meaning::Turn,
            Expect::Claim { .. } => {
                self.protocol.reach(Step::LateResultDropped);
                return Ok(None);
            }
        };
        match (verdict, row) {
            (Meaning::Turn, Some(row)) => self.turn(item, row),
            (Meaning::Done, _) => {
                self.protocol.reach(Step::DoneAcked);
                Ok(Some(Answer::Ack))
            }
            (Meaning::RejectAgain, _) => {
                self.protocol.reach(Step::RejectedAgain);
                Ok(Some(Answer::Reject))
            }
            (Meaning::GiveUp(reason), _) => {
                self.world.database.insert_letter(item.job, item.seq, reason, false);
                Ok(Some(Answer::Reject))
            }
            (Meaning::Turn | Meaning::MakeRow, _) => Ok(Some(Answer::HandBack)),
        }
    }

    /// `lock_rows`: a direct publish whose row is not there gets it.
    pub(crate) fn make_direct_row(&mut self, item: &Item) {
        if self.row(item.job).is_none() && self.judge(item, None) == Meaning::MakeRow {
            self.protocol.reach(Step::DirectRowMade);
            self.world.database.insert(item.job, true, self.protocol.scenario.max_attempts);
        }
    }

    /// The fence, with the mistake that it may make.
    pub(crate) fn judge(&self, item: &Item, row: Option<&Row>) -> Meaning {
        let seq = match (self.protocol.scenario.defect, row) {
            (Defect::NoSeqCheck, Some(row)) => item.seq.map(|_| row.seq),
            _ => item.seq,
        };
        self.protocol.fence.judge(seq, row)
    }

    /// `is_ours` and `verify_leases`.
    fn is_ours(&self, item: &Item, row: Option<&Row>, run: u8, lease: Option<u8>) -> bool {
        let defect = self.protocol.scenario.defect;
        let is_current = defect == Defect::NoSeqCheck || row.is_some_and(|row| item.seq == Some(row.seq));
        let is_held = defect == Defect::NoTermCheck || self.world.database.verify(item.job, run, lease);
        row.is_some_and(|row| row.state == JobState::Running) && is_current && is_held
    }

    /// `Flusher::turn`: it is the job's turn, what is there to do about it?
    fn turn(&mut self, item: &Item, row: Row) -> Result<Option<Answer>, Locked> {
        self.note_what_must_not_be(item, &row);
        if row.cancel_requested {
            self.protocol.reach(Step::Cancelled);
            self.end(item, &row, |row| row.state = JobState::Cancelled);
            return Ok(answer(item, Answer::Ack));
        }
        if item.is_delivery() && row.attempt >= row.max_attempts {
            self.protocol.reach(Step::UsedUp);
            return Ok(self.dead(item, &row, row.attempt, Reason::AttemptsExhausted));
        }
        let Stage::Finished(work) = item.stage else { return self.handed_back(item, &row) };
        let attempt = if item.is_delivery() { row.attempt + 1 } else { row.attempt };
        match work {
            Work::Done => {
                self.protocol.reach(Step::Succeeded);
                self.world.ghost.effects[usize::from(item.job)] += 1;
                self.end(item, &row, |row| {
                    row.state = JobState::Succeeded;
                    row.attempt = attempt;
                });
                Ok(answer(item, Answer::Ack))
            }
            Work::Transient if attempt >= row.max_attempts => {
                self.protocol.reach(Step::Exhausted);
                Ok(self.dead(item, &row, attempt, Reason::AttemptsExhausted))
            }
            Work::Transient => {
                self.protocol.reach(Step::Retried);
                self.again(item, &row, 1, false, |row| row.attempt = attempt)
            }
            Work::Deferred if row.deferrals >= self.protocol.scenario.max_deferred => {
                self.protocol.reach(Step::DeferredTooLong);
                Ok(self.dead(item, &row, row.attempt, Reason::DeferredTooLong))
            }
            Work::Deferred => {
                self.protocol.reach(Step::Deferred);
                let raise = u8::from(self.protocol.scenario.defect != Defect::DeferralKeepsSeq);
                self.again(item, &row, raise, false, |row| {
                    row.deferrals += 1;
                    row.attempt = attempt - 1;
                })
            }
            Work::Permanent => {
                self.protocol.reach(Step::Permanent);
                Ok(self.dead(item, &row, attempt, Reason::Permanent))
            }
            Work::Unperformed | Work::HandBack => self.handed_back(item, &row),
        }
    }

    /// The archive's turn: the broker gave up a message that is its job's current one, or a direct one that nobody has committed
    /// anything of, which becomes a job that ends at once.
    pub(crate) fn give_up(&mut self, item: &Item, reason: Reason) {
        if reason == Reason::DeliveryLimit && self.protocol.scenario.defect != Defect::LetterWithoutJob {
            self.make_direct_row(item);
        }
        let row = self.row(item.job);
        match (self.judge(item, row.as_ref()), row) {
            (Meaning::Turn, Some(row)) if row.cancel_requested => {
                self.end(item, &row, |row| row.state = JobState::Cancelled);
            }
            (Meaning::Turn, Some(row)) => {
                self.protocol.reach(Step::GivenUpByBroker);
                self.dead(item, &row, row.attempt, reason);
            }
            (Meaning::MakeRow | Meaning::GiveUp(_) | Meaning::Turn, _) => {
                self.world.database.insert_letter(item.job, item.seq, reason, false);
            }
            (Meaning::Done | Meaning::RejectAgain, _) => {}
        }
    }

    /// `Desk::handed_back`.
    fn handed_back(&mut self, item: &Item, row: &Row) -> Result<Option<Answer>, Locked> {
        self.protocol.reach(Step::HandedBack);
        if item.is_delivery() {
            return Ok(Some(Answer::HandBack));
        }
        self.again(item, row, 1, true, |row| row.attempt -= 1)
    }

    /// `Desk::again`: pending, with the next message.
    fn again(
        &mut self,
        item: &Item,
        row: &Row,
        raise: u8,
        due: bool,
        change: impl FnOnce(&mut Row),
    ) -> Result<Option<Answer>, Locked> {
        let locked = self.world.is_locked(item.job);
        let seq = row.seq + raise;
        self.world.database.put(item.job, Waiting { seq, due, waits: false }, locked)?;
        self.end(item, row, |row| {
            change(row);
            row.state = JobState::Pending;
            row.seq = seq;
        });
        Ok(answer(item, Answer::Ack))
    }

    /// `Desk::dead`: the end, and its letter.
    fn dead(&mut self, item: &Item, row: &Row, attempts: u8, reason: Reason) -> Option<Answer> {
        self.end(item, row, |row| {
            row.state = JobState::Dead;
            row.attempt = attempts;
        });
        self.world.database.insert_letter(item.job, Some(row.seq), reason, !item.is_delivery());
        answer(item, Answer::Reject)
    }

    /// `Desk::end` and the ledger: the transition, and the leases of a claim.
    fn end(&mut self, item: &Item, row: &Row, change: impl FnOnce(&mut Row)) {
        self.world.database.transition(item.job, row.seq, change);
        if !item.is_delivery() {
            self.world.database.free(item.job);
        }
    }

    /// What the code cannot see. A claim that writes must be its job's current one and have its lease; a delivery must not
    /// decide about a job whose current message still waits for its time.
    pub(crate) fn note_what_must_not_be(&mut self, item: &Item, row: &Row) {
        let database = &self.world.database;
        match item.expect {
            Expect::Claim { lease, .. } => {
                let lost = lease.is_some_and(|term| {
                    database.lease.owner != Some(item.job) || database.lease.term != term
                });
                self.world.ghost.late_write |= lost || item.seq != Some(row.seq);
            }
            Expect::Delivery(_) => {
                let waits = database.outbox[usize::from(item.job)];
                self.world.ghost.ran_too_early |=
                    waits.is_some_and(|waiting| waiting.seq == row.seq && !waiting.due);
            }
        }
    }

    pub(crate) fn row(&self, job: u8) -> Option<Row> {
        self.world.database.jobs[usize::from(job)]
    }
}

/// A claim has nothing to answer.
fn answer(item: &Item, answer: Answer) -> Option<Answer> {
    item.is_delivery().then_some(answer)
}

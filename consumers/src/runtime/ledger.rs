//! What one transaction has decided, collected job by job and written set by set.

use std::collections::HashSet;

use ackord_entities::ids::JobId;
use ackord_entities::queue::attempt::{self, Record};
use ackord_entities::queue::dead_letter::{self, NewLetter};
use ackord_entities::queue::job::{self, Transition};
use ackord_entities::queue::outbox::{self, NewMessage};
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{lease, suspect};
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};

/// Decisions that are not written yet.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) transitions: Vec<Transition>,
    pub(crate) attempts: Vec<Record>,
    pub(crate) messages: Vec<NewMessage>,
    pub(crate) letters: Vec<NewLetter>,
    /// Jobs whose leases end with this transaction.
    pub(crate) leases_end: Vec<JobId>,
    /// Suspects that got through.
    pub(crate) cleared: Vec<JobId>,
    /// Jobs that this transaction has written as succeeded before it knew.
    pub(crate) ended_ahead: HashSet<JobId>,
}

impl Ledger {
    /// Writes everything. The jobs are locked by this transaction, so every transition must apply.
    ///
    /// # Errors
    /// Whatever the database answers; a transition that did not apply is `RecordNotUpdated`.
    pub(crate) async fn write(mut self, tx: &DatabaseTransaction, now: DateTime<Utc>) -> Result<(), DbErr> {
        // What came as was expected stands there already.
        self.transitions.retain(|one| !(is_plain_success(one) && self.ended_ahead.remove(&one.id)));
        job::reopen(tx, &self.ended_ahead.into_iter().collect::<Vec<_>>()).await?;
        let moved = job::transition(tx, &self.transitions, now).await?;
        if moved != self.transitions.len() as u64 {
            return Err(DbErr::RecordNotUpdated);
        }
        attempt::record(tx, &self.attempts, now).await?;
        outbox::put(tx, &self.messages, now).await?;
        for letter in self.letters {
            dead_letter::insert(tx, letter, now).await?;
        }
        if !self.leases_end.is_empty() {
            let freed = lease::free(tx, &self.leases_end).await?;
            outbox::wake_waiters(tx, &freed, now).await?;
        }
        suspect::clear(tx, &self.cleared).await
    }
}

/// Whether it is what [`job::insert_ended`] and [`job::end_ahead`] write.
fn is_plain_success(transition: &Transition) -> bool {
    transition.state == JobState::Succeeded
        && (transition.next_seq, transition.attempt, transition.deferrals) == (transition.seq, 1, 0)
        && transition.started_at.is_none()
        && transition.error.is_none()
        && transition.result.is_none()
}

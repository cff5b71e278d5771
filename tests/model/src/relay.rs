//! The relay, the reconciler and the sweeper.

use ackord_entities::queue::state::JobState;

use crate::coverage::Step;
use crate::database::Locked;
use crate::protocol::Protocol;
use crate::scenario::{Defect, JOBS};
use crate::world::{Expect, Memory, Message, Waiting, Window, World};

impl World {
    /// Whether a relay's open transaction has a job's waiting message.
    pub(crate) fn is_locked(&self, job: u8) -> bool {
        self.relays.iter().flatten().any(|window| window.job == job)
    }

    /// Messages that a relay may claim: due, and with no other relay.
    pub(crate) fn claimable(&self) -> impl Iterator<Item = u8> {
        (0..JOBS as u8).filter(|job| {
            self.database.outbox[usize::from(*job)].is_some_and(|one| one.due) && !self.is_locked(*job)
        })
    }

    fn send(&mut self, window: Window) {
        self.queue.push(Message { job: window.job, seq: Some(window.seq), returned: 0 });
    }

    /// Whether the worker lives that runs a job under its lease.
    pub(crate) fn is_attended(&self, job: u8) -> bool {
        let Some(row) = self.database.jobs[usize::from(job)] else { return false };
        let mut items = self.workers.iter().flat_map(|worker| &worker.items);
        items.any(|item| {
            item.job == job && matches!(item.expect, Expect::Claim { .. }) && item.seq == Some(row.seq)
        })
    }
}

impl Protocol {
    /// `Relay::round`, up to the broker's confirm: a due message is claimed and published.
    pub(crate) fn relay_publish(&self, world: &mut World, relay: usize, job: u8) {
        let Some(waiting) = world.database.outbox[usize::from(job)] else { return };
        let window = Window { job, seq: waiting.seq };
        world.relays[relay] = Some(window);
        if self.scenario.defect == Defect::RelayDeletesFirst {
            world.database.remove_sent(job, waiting.seq);
        } else {
            world.send(window);
        }
    }

    /// The rest of `Relay::round`: what was confirmed is deleted, and the transaction ends.
    pub(crate) fn relay_commit(&self, world: &mut World, relay: usize) {
        let Some(window) = world.relays[relay].take() else { return };
        if self.scenario.defect == Defect::RelayDeletesFirst {
            world.send(window);
        } else {
            world.database.remove_sent(window.job, window.seq);
        }
    }

    /// `outbox::reconcile` waits for the relays that are at a message of its own.
    pub(crate) fn may_reconcile(&self, world: &World) -> bool {
        self.scenario.defect == Defect::ReconcilerDoesNotWait || world.relays.iter().all(Option::is_none)
    }

    /// `reconcile`: the broker is told again.
    pub(crate) fn reconcile(&self, world: &mut World) {
        if world.database.reconcile() {
            self.reach(Step::WrittenAgain);
        }
    }

    /// One step of a reconciliation after the broker lost its disk: first the messages, then the mark.
    pub(crate) fn recover(&self, world: &mut World) {
        let is_messages_turn =
            (world.memory == Memory::Lost) == (self.scenario.defect != Defect::ImprintFirst);
        if is_messages_turn {
            self.reconcile(world);
        }
        world.memory = if world.memory == Memory::Lost { Memory::Halfway } else { Memory::Imprinted };
    }

    /// The reconciler dies between its two steps. The next one believes the mark.
    pub(crate) fn reconciler_crash(&self, world: &mut World) {
        let is_imprinted = self.scenario.defect == Defect::ImprintFirst;
        world.memory = if is_imprinted { Memory::Imprinted } else { Memory::Lost };
    }

    /// `put_back_expired`: pending again with the next seq, so that the worker that had it is late.
    #[allow(clippy::unused_self, reason = "a step of the protocol, like the others")]
    pub(crate) fn put_back(&self, world: &mut World, job: u8) -> Result<(), Locked> {
        let Some(row) = world.database.jobs[usize::from(job)] else { return Ok(()) };
        if row.state == JobState::Running {
            let seq = row.seq + 1;
            let locked = world.is_locked(job);
            world.database.put(job, Waiting { seq, due: true, waits: false }, locked)?;
            world.database.transition(job, row.seq, |row| {
                row.state = JobState::Pending;
                row.seq = seq;
            });
        }
        world.database.free(job);
        Ok(())
    }
}

impl World {
    /// Nobody renewed the leases of a job.
    pub(crate) fn expire(&mut self, job: u8) {
        if let Some(lease) = &mut self.database.runs[usize::from(job)] {
            lease.expired = true;
        }
        if self.database.lease.owner == Some(job) {
            self.database.lease.expired = true;
        }
    }
}

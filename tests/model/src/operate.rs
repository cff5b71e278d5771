//! Publishers, operators, and the archive.

use ackord_entities::queue::dead_letter::Reason;

use crate::commit::Transaction;
use crate::coverage::Step;
use crate::database::Locked;
use crate::protocol::Protocol;
use crate::scenario::Defect;
use crate::world::{Expect, Item, Message, Stage, Waiting, Work, World};

impl Protocol {
    /// `enqueue`, and the publisher's commit.
    pub(crate) fn enqueue(&self, world: &mut World, job: u8) {
        world.database.insert(job, false, self.scenario.max_attempts);
        world.database.outbox[usize::from(job)] = Some(Waiting { seq: 1, due: true, waits: false });
        world.ghost.accepted[usize::from(job)] = true;
    }

    /// A client publishes straight to the broker and has its confirm.
    pub(crate) fn publish_direct(world: &mut World, job: u8) {
        world.queue.push(Message { job, seq: None, returned: 0 });
        world.ghost.accepted[usize::from(job)] = true;
    }

    /// `operate::cancel`: a flag, and the job's message becomes due.
    pub(crate) fn cancel(world: &mut World, job: u8) {
        if let Some(row) = &mut world.database.jobs[usize::from(job)] {
            row.cancel_requested = true;
        }
        world.database.make_due(job);
    }

    /// `operate::replay` with a corrected payload: another life under the next seq.
    pub(crate) fn replay(&self, world: &mut World, job: u8) -> Result<(), Locked> {
        let raise = u8::from(self.scenario.defect != Defect::ReplayKeepsSeq);
        let Some(seq) = world.database.revive(job, self.scenario.max_attempts, raise) else { return Ok(()) };
        let locked = world.is_locked(job);
        world.database.put(job, Waiting { seq, due: true, waits: false }, locked)?;
        world.database.resolve(job);
        Ok(())
    }

    /// `Archive::keep`, and its acknowledgement unless it dies before.
    pub(crate) fn archive(&self, world: &mut World, place: usize, acknowledged: bool) {
        let message = world.dead_letters[place];
        let reason = if message.returned > 0 { Reason::DeliveryLimit } else { Reason::Rejected };
        let item = Item {
            job: message.job,
            seq: message.seq,
            expect: Expect::Delivery(None),
            stage: Stage::Finished(Work::Unperformed),
        };
        Transaction { protocol: self, world }.give_up(&item, reason);
        if acknowledged {
            world.dead_letters.remove(place);
            world.ghost.archived[usize::from(message.job)] |= 1 << message.seq.unwrap_or(1);
            self.reach(Step::Archived);
        }
    }
}

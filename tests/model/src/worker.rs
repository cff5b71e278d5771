//! One delivery from the broker to the commit: `kind.rs`, `run.rs` and `claim.rs` of the worker.

use ackord_consumers::testing::Meaning;
use ackord_entities::queue::state::JobState;

use crate::commit::Transaction;
use crate::coverage::Step;
use crate::database::Locked;
use crate::protocol::Protocol;
use crate::scenario::Defect;
use crate::world::{Answer, Expect, Item, Settlement, Stage, Waiting, Work, World};

impl Protocol {
    /// `KindRunner::receive` and `start`: a look at the row, without locks, to skip what is stale.
    pub(crate) fn deliver(&self, world: &mut World, worker: usize, message: usize) {
        let message = world.queue.remove(message);
        let row = world.database.jobs[usize::from(message.job)];
        let tag = world.workers[worker].next_tag;
        let mut item = Item {
            job: message.job,
            seq: message.seq,
            expect: Expect::Delivery(Some(tag)),
            stage: Stage::Finished(Work::Unperformed),
        };
        let verdict = Transaction { protocol: self, world }.judge(&item, row.as_ref());
        let is_its_turn = verdict == Meaning::Turn
            && row.is_some_and(|row| !row.cancel_requested && row.attempt < row.max_attempts);
        let worker = &mut world.workers[worker];
        if verdict == Meaning::MakeRow || is_its_turn {
            item.stage = if worker.items.iter().any(|other| other.job == item.job && other.is_under_way()) {
                self.reach(Step::Joined);
                Stage::Joined
            } else if self.scenario.plans[usize::from(item.job)].hand_over {
                Stage::ToClaim
            } else {
                Stage::Performing
            };
        }
        worker.next_tag += 1;
        worker.unsettled.push((tag, message));
        worker.items.push(item);
    }

    /// `Flusher::claim`: the row becomes `running` under its leases, with the next seq; then the delivery is acknowledged.
    pub(crate) fn claim(&self, world: &mut World, worker: usize, place: usize) -> Result<(), Locked> {
        let mut item = world.workers[worker].items[place];
        let mut tx = Transaction { protocol: self, world };
        tx.make_direct_row(&item);
        let row = tx.row(item.job);
        let is_its_turn = tx.judge(&item, row.as_ref()) == Meaning::Turn;
        let row = row.filter(|row| is_its_turn && !row.cancel_requested && row.attempt < row.max_attempts);
        let Some(row) = row else {
            self.reach(Step::NotClaimed);
            world.workers[worker].items[place].stage = Stage::Finished(Work::Unperformed);
            return Ok(());
        };
        let lease = if self.scenario.plans[usize::from(item.job)].leased {
            let Some(term) = tx.world.database.acquire(item.job) else {
                return self.put_off(world, worker, place);
            };
            Some(term)
        } else {
            None
        };
        tx.note_what_must_not_be(&item, &row);
        let run = tx.world.database.acquire_run(item.job);
        world.database.transition(item.job, row.seq, |row| {
            row.state = JobState::Running;
            row.seq += 1;
            row.attempt += 1;
        });
        let tag = item.tag();
        item.seq = Some(row.seq + 1);
        item.expect = Expect::Claim { run, lease };
        item.stage = Stage::Performing;
        world.workers[worker].items[place] = item;
        acknowledge(world, worker, tag);
        Ok(())
    }

    /// `Flusher::put_off`: somebody else has the lease.
    fn put_off(&self, world: &mut World, worker: usize, place: usize) -> Result<(), Locked> {
        let item = world.workers[worker].items[place];
        let row = Transaction { protocol: self, world }.row(item.job);
        let Some(row) = row.filter(|row| row.deferrals < self.scenario.max_deferred) else {
            world.workers[worker].items[place].stage = Stage::Finished(Work::Deferred);
            return Ok(());
        };
        self.reach(Step::PutOff);
        let seq = row.seq + u8::from(self.scenario.defect != Defect::DeferralKeepsSeq);
        let locked = world.is_locked(item.job);
        world.database.put(item.job, Waiting { seq, due: false, waits: true }, locked)?;
        world.database.transition(item.job, row.seq, |row| {
            row.seq = seq;
            row.deferrals += 1;
        });
        world.workers[worker].items.remove(place);
        acknowledge(world, worker, item.tag());
        Ok(())
    }

    /// The slow half answers.
    pub(crate) fn perform(&self, world: &mut World, worker: usize, place: usize, work: Work) {
        match work {
            Work::Transient => world.budget.failures -= 1,
            Work::Deferred => world.budget.deferrals -= 1,
            Work::HandBack => world.budget.drains -= 1,
            Work::Done | Work::Permanent | Work::Unperformed => {}
        }
        let item = &mut world.workers[worker].items[place];
        item.stage = Stage::Finished(work);
        if self.scenario.defect == Defect::AckBeforeCommit {
            let tag = item.tag();
            if item.is_delivery() {
                item.expect = Expect::Delivery(None);
            }
            acknowledge(world, worker, tag);
        }
    }

    /// `Flusher::commit`: everything that is finished, different jobs only; a second delivery comes after the first.
    pub(crate) fn commit(&self, world: &mut World, worker: usize, answered: bool) -> Result<(), Locked> {
        let round = round(&world.workers[worker].items);
        if round.len() > 1 {
            self.reach(Step::Group);
        }
        let items: Vec<Item> = round.iter().map(|place| world.workers[worker].items[*place]).collect();
        let answers = Transaction { protocol: self, world }.once(&items)?;
        if !answered {
            // The same group goes through the claim again.
            return Ok(());
        }
        for place in round.into_iter().rev() {
            world.workers[worker].items.remove(place);
        }
        let mut settlement: Vec<(u8, Answer)> =
            items.iter().zip(answers).filter_map(|(item, answer)| Some((item.tag()?, answer?))).collect();
        settlement.sort_unstable();
        if !settlement.is_empty() {
            world.workers[worker].settlements.push(Settlement::Answers(settlement));
        }
        Ok(())
    }
}

/// The places of the items of the next round.
pub(crate) fn round(items: &[Item]) -> Vec<usize> {
    let mut places: Vec<usize> = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let is_ready = match item.stage {
            Stage::Finished(_) => true,
            Stage::Joined => !items.iter().any(|other| other.job == item.job && other.is_under_way()),
            Stage::ToClaim | Stage::Performing => false,
        };
        if is_ready && !places.iter().any(|other| items[*other].job == item.job) {
            places.push(place);
        }
    }
    places
}

fn acknowledge(world: &mut World, worker: usize, tag: Option<u8>) {
    if let Some(tag) = tag {
        world.workers[worker].settlements.push(Settlement::Answers(vec![(tag, Answer::Ack)]));
    }
}

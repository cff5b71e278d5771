//! Settling: the broker hears of a delivery only after its commit. `Settlements::settle` of the worker.

use ackord_consumers::testing::Meaning;

use crate::coverage::Step;
use crate::protocol::Protocol;
use crate::scenario::Defect;
use crate::world::{Answer, Frame, Message, Settlement, Worker, World};

impl Protocol {
    /// The next frame of a settlement. What it decides, it decides before the first.
    pub(crate) fn settle(&self, world: &mut World, worker: usize, call: usize) {
        let mut frames = match &world.workers[worker].settlements[call] {
            Settlement::Frames(frames) => frames.clone(),
            Settlement::Answers(answers) => self.decide(&world.workers[worker], call, answers),
        };
        if self.overtakes() && matches!(world.workers[worker].settlements[call], Settlement::Answers(_)) {
            // What is no acknowledgement goes out under the lock, the others when another settlement may be at it.
            frames.retain(|frame| {
                let is_ack = matches!(frame, Frame::Ack { .. });
                if !is_ack {
                    self.send(world, worker, *frame);
                }
                is_ack
            });
        } else if !frames.is_empty() {
            self.send(world, worker, frames.remove(0));
        }
        let settlements = &mut world.workers[worker].settlements;
        if frames.is_empty() {
            settlements.remove(call);
        } else {
            self.reach(Step::InTheMiddleOfSettling);
            settlements[call] = Settlement::Frames(frames);
        }
    }

    /// Whether two settlements of one channel may be under way at once.
    fn overtakes(&self) -> bool {
        self.scenario.committers > 1
    }

    /// The settler sends a frame; of a tag that is settled already, nothing.
    fn send(&self, world: &mut World, worker: usize, frame: Frame) {
        let is_known = world.workers[worker].unsettled.iter().any(|(tag, _)| *tag == frame.tag());
        if !is_known && self.scenario.defect != Defect::SettledTagsAreSent {
            self.reach(Step::SettledBefore);
            return;
        }
        if matches!(frame, Frame::Ack { multiple: true, .. }) {
            self.reach(Step::Multiple);
        }
        for message in world.frame(worker, frame) {
            if !self.is_superfluous(world, message) {
                world.ghost.acked_too_early = true;
            }
        }
    }

    /// All up to a tag at once when every unsettled delivery up to it is acknowledged; the others singly, after what is not an
    /// acknowledgement.
    fn decide(&self, worker: &Worker, call: usize, answers: &[(u8, Answer)]) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut acks = Vec::new();
        for (tag, answer) in answers {
            match answer {
                Answer::Ack => acks.push(*tag),
                Answer::Reject => frames.push(Frame::Reject(*tag)),
                Answer::HandBack => frames.push(Frame::HandBack(*tag)),
            }
        }
        let low_water = worker.unsettled.iter().map(|(tag, _)| *tag).find(|tag| {
            !answers.iter().any(|(answered, _)| answered == tag) && !is_going_out(worker, call, *tag)
        });
        let mut together =
            low_water.map_or(acks.len(), |low_water| acks.partition_point(|tag| *tag < low_water));
        if self.scenario.defect == Defect::MultipleCoversUncommitted {
            together = acks.len();
        }
        let multiple =
            if self.scenario.defect == Defect::MultipleCoversUncommitted { true } else { together > 1 };
        if let Some(last) = acks[..together].last() {
            frames.push(Frame::Ack { tag: *last, multiple });
        }
        frames.extend(acks[together..].iter().map(|tag| Frame::Ack { tag: *tag, multiple: false }));
        frames
    }

    /// Whether the database has no more need of a message: it decided about it, or it will tell the broker again.
    fn is_superfluous(&self, world: &World, message: Message) -> bool {
        let job = usize::from(message.job);
        let is_done = self.fence.judge(message.seq, world.database.jobs[job].as_ref()) == Meaning::Done;
        let seq = message.seq.unwrap_or(1);
        is_done || world.database.outbox[job].is_some_and(|waiting| waiting.seq >= seq)
    }
}

/// Whether another settlement has decided about a tag already.
fn is_going_out(worker: &Worker, call: usize, tag: u8) -> bool {
    worker.settlements.iter().enumerate().any(|(other, settlement)| {
        let Settlement::Frames(frames) = settlement else { return false };
        other != call && frames.iter().any(|frame| frame.tag() == tag)
    })
}

impl Protocol {
    /// Which settlements of a worker may go on.
    pub(crate) fn may_settle(&self, worker: &Worker) -> Vec<usize> {
        let under_way = worker.settlements.iter().position(|one| matches!(one, Settlement::Frames(_)));
        match under_way {
            Some(one) if !self.overtakes() => vec![one],
            _ => (0..worker.settlements.len()).collect(),
        }
    }
}

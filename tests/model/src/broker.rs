//! RabbitMQ: a quorum queue, the channels of the workers, and the dead letters. What is confirmed stays, unless the disk goes.

use crate::scenario::Scenario;
use crate::world::{Expect, Frame, Memory, Message, Worker, World};

impl World {
    /// A message came back because its channel ended: that counts, and too often is given up.
    fn came_back(&mut self, scenario: &Scenario, mut message: Message) {
        if let Some(limit) = scenario.delivery_limit {
            message.returned += 1;
            if message.returned > limit {
                self.dead_letters.push(message);
                return;
            }
        }
        self.queue.push(message);
    }

    /// A channel ends: what is out with it goes back. Its worker lives on with what it has, and settles nothing of it.
    pub(crate) fn end_channel(&mut self, scenario: &Scenario, worker: usize) {
        let out = std::mem::take(&mut self.workers[worker].unsettled);
        for (_, message) in out {
            self.came_back(scenario, message);
        }
        let worker = &mut self.workers[worker];
        worker.settlements.clear();
        worker.next_tag = 0;
        for item in &mut worker.items {
            if let Expect::Delivery(tag) = &mut item.expect {
                *tag = None;
            }
        }
    }

    /// A worker's process dies, and another one is started.
    pub(crate) fn crash(&mut self, scenario: &Scenario, worker: usize) {
        self.end_channel(scenario, worker);
        self.workers[worker] = Worker::default();
    }

    /// The broker's disk is gone. Publishers of direct messages were told how durable those are.
    pub(crate) fn lose_broker(&mut self, scenario: &Scenario) {
        for worker in 0..self.workers.len() {
            self.end_channel(scenario, worker);
        }
        self.queue.clear();
        self.dead_letters.clear();
        self.memory = Memory::Lost;
        self.ghost.broker_lost = true;
        for (job, row) in self.database.jobs.iter().enumerate() {
            self.ghost.accepted[job] &= row.is_some() || !self.database.letters[job].is_empty();
        }
    }

    /// The broker reads a frame. Answers the messages that are acknowledged by it.
    pub(crate) fn frame(&mut self, worker: usize, frame: Frame) -> Vec<Message> {
        let unsettled = &mut self.workers[worker].unsettled;
        let Some(place) = unsettled.iter().position(|(tag, _)| *tag == frame.tag()) else {
            self.ghost.unknown_tag = true;
            return Vec::new();
        };
        match frame {
            Frame::Ack { multiple: true, .. } => {
                unsettled.drain(..=place).map(|(_, message)| message).collect()
            }
            Frame::Ack { multiple: false, .. } => vec![unsettled.remove(place).1],
            Frame::Reject(_) => {
                let (_, message) = unsettled.remove(place);
                self.dead_letters.push(Message { returned: 0, ..message });
                Vec::new()
            }
            Frame::HandBack(_) => {
                let (_, message) = unsettled.remove(place);
                self.queue.push(message);
                Vec::new()
            }
        }
    }
}

//! Which steps are possible in a world, and what each does.

use ackord_entities::queue::state::JobState;
use stateright::{Model, Property};

use crate::coverage::{Coverage, Step};
use crate::fence::Table;
use crate::properties;
use crate::scenario::{JOBS, Plan, Scenario};
use crate::worker::round;
use crate::world::{Memory, Stage, Work, World};

/// The protocol in a scenario.
#[derive(Debug)]
pub struct Protocol {
    /// What is in the world.
    pub scenario: Scenario,
    /// The worker's fence.
    pub fence: Table,
    coverage: Coverage,
}

/// A step. Where it names a place, that is an index into the sorted world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named after the function that it stands for")]
pub enum Action {
    Enqueue { job: u8 },
    PublishDirect { job: u8 },
    RelayPublish { relay: usize, job: u8 },
    RelayCommit { relay: usize },
    RelayCrash { relay: usize },
    BecomesDue { job: u8 },
    Deliver { worker: usize, message: usize },
    Claim { worker: usize, item: usize },
    Perform { worker: usize, item: usize, work: Work },
    Commit { worker: usize },
    CommitAnswerLost { worker: usize },
    Settle { worker: usize, call: usize },
    Crash { worker: usize },
    CloseChannel { worker: usize },
    LeaseExpires { job: u8 },
    PutBack { job: u8 },
    Cancel { job: u8 },
    Replay { job: u8 },
    LoseBroker,
    Recover,
    ReconcilerCrash,
    ReconcileByHand,
    Archive { letter: usize },
    ArchiveCrash { letter: usize },
}

impl Protocol {
    /// The protocol in `scenario`.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        let fence = Table::of(scenario.plans.iter().any(|plan| plan.direct));
        Self { scenario, fence, coverage: Coverage::default() }
    }

    /// Notes that a step was reached.
    pub(crate) fn reach(&self, step: Step) {
        self.coverage.reach(step);
    }

    /// The steps that a check has reached so far.
    pub fn reached(&self) -> impl Iterator<Item = Step> {
        self.coverage.reached()
    }

    fn steps_of_jobs(&self, world: &World, actions: &mut Vec<Action>) {
        for job in 0..JOBS as u8 {
            let place = usize::from(job);
            let Plan { direct, .. } = self.scenario.plans[place];
            if !(world.ghost.accepted[place] || direct && world.ghost.broker_lost) {
                actions.push(if direct { Action::PublishDirect { job } } else { Action::Enqueue { job } });
            }
            if world.database.outbox[place].is_some_and(|waiting| !waiting.due) {
                actions.push(Action::BecomesDue { job });
            }
            if let Some(lease) = world.database.runs[place] {
                if lease.expired {
                    actions.push(Action::PutBack { job });
                } else if world.budget.freezes > 0 || !world.is_attended(job) {
                    actions.push(Action::LeaseExpires { job });
                }
            }
            let Some(row) = world.database.jobs[place] else { continue };
            if world.budget.cancels > 0 && !row.state.is_end() && !row.cancel_requested {
                actions.push(Action::Cancel { job });
            }
            if world.budget.replays > 0 && row.state == JobState::Dead {
                actions.push(Action::Replay { job });
            }
        }
    }

    fn steps_of_relays(&self, world: &World, actions: &mut Vec<Action>) {
        for (relay, window) in world.relays.iter().enumerate() {
            if window.is_some() {
                actions.push(Action::RelayCommit { relay });
                if world.budget.relay_crashes > 0 {
                    actions.push(Action::RelayCrash { relay });
                }
            } else {
                actions.extend(world.claimable().map(|job| Action::RelayPublish { relay, job }));
            }
        }
        if world.memory != Memory::Imprinted && self.may_reconcile(world) {
            actions.push(Action::Recover);
        }
        if world.memory == Memory::Halfway && world.budget.relay_crashes > 0 {
            actions.push(Action::ReconcilerCrash);
        }
        if world.budget.reconciles > 0 && self.may_reconcile(world) {
            actions.push(Action::ReconcileByHand);
        }
        if world.budget.broker_losses > 0 {
            actions.push(Action::LoseBroker);
        }
        for letter in 0..world.dead_letters.len() {
            actions.push(Action::Archive { letter });
            if world.budget.relay_crashes > 0 {
                actions.push(Action::ArchiveCrash { letter });
            }
        }
    }

    fn steps_of_workers(&self, world: &World, actions: &mut Vec<Action>) {
        for (worker, inside) in world.workers.iter().enumerate() {
            // The workers are sorted: of those that are alike, one is enough.
            if worker > 0 && world.workers[worker - 1] == *inside {
                continue;
            }
            let different =
                |message: &usize| *message == 0 || world.queue[*message] != world.queue[*message - 1];
            actions.extend(
                (0..world.queue.len()).filter(different).map(|message| Action::Deliver { worker, message }),
            );
            for (item, one) in inside.items.iter().enumerate() {
                match one.stage {
                    Stage::ToClaim => actions.push(Action::Claim { worker, item }),
                    Stage::Performing => self.answers(world, one.job, |work| {
                        actions.push(Action::Perform { worker, item, work });
                    }),
                    Stage::Joined | Stage::Finished(_) => {}
                }
            }
            if inside.settlements.len() < self.scenario.committers && !round(&inside.items).is_empty() {
                actions.push(Action::Commit { worker });
                if world.budget.lost_answers > 0 {
                    actions.push(Action::CommitAnswerLost { worker });
                }
            }
            actions.extend(self.may_settle(inside).into_iter().map(|call| Action::Settle { worker, call }));
            if world.budget.crashes > 0 && !(inside.unsettled.is_empty() && inside.items.is_empty()) {
                actions.push(Action::Crash { worker });
            }
            if world.budget.closed_channels > 0 && !inside.unsettled.is_empty() {
                actions.push(Action::CloseChannel { worker });
            }
        }
    }

    /// What a slow half may answer.
    fn answers(&self, world: &World, job: u8, mut answer: impl FnMut(Work)) {
        let row = world.database.jobs[usize::from(job)];
        if self.scenario.plans[usize::from(job)].poison && !row.is_some_and(|row| row.corrected) {
            answer(Work::Permanent);
        } else {
            answer(Work::Done);
            if world.budget.failures > 0 {
                answer(Work::Transient);
            }
            if world.budget.deferrals > 0 {
                answer(Work::Deferred);
            }
        }
        if world.budget.drains > 0 {
            answer(Work::HandBack);
        }
    }

    /// Does a step. `false`: a row that it needs is locked.
    fn step(&self, world: &mut World, action: Action) -> bool {
        let scenario = &self.scenario;
        match action {
            Action::Enqueue { job } => self.enqueue(world, job),
            Action::PublishDirect { job } => Self::publish_direct(world, job),
            Action::RelayPublish { relay, job } => self.relay_publish(world, relay, job),
            Action::RelayCommit { relay } => self.relay_commit(world, relay),
            Action::RelayCrash { relay } => {
                world.budget.relay_crashes -= 1;
                world.relays[relay] = None;
            }
            Action::BecomesDue { job } => world.database.make_due(job),
            Action::Deliver { worker, message } => self.deliver(world, worker, message),
            Action::Claim { worker, item } => return self.claim(world, worker, item).is_ok(),
            Action::Perform { worker, item, work } => self.perform(world, worker, item, work),
            Action::Commit { worker } => return self.commit(world, worker, true).is_ok(),
            Action::CommitAnswerLost { worker } => {
                world.budget.lost_answers -= 1;
                return self.commit(world, worker, false).is_ok();
            }
            Action::Settle { worker, call } => self.settle(world, worker, call),
            Action::Crash { worker } => {
                world.budget.crashes -= 1;
                world.crash(scenario, worker);
            }
            Action::CloseChannel { worker } => {
                world.budget.closed_channels -= 1;
                world.end_channel(scenario, worker);
            }
            Action::LeaseExpires { job } => {
                world.budget.freezes -= u8::from(world.is_attended(job));
                world.expire(job);
            }
            Action::PutBack { job } => return self.put_back(world, job).is_ok(),
            Action::Cancel { job } => {
                world.budget.cancels -= 1;
                Self::cancel(world, job);
            }
            Action::Replay { job } => {
                world.budget.replays -= 1;
                return self.replay(world, job).is_ok();
            }
            Action::LoseBroker => {
                world.budget.broker_losses -= 1;
                world.lose_broker(scenario);
            }
            Action::Recover => self.recover(world),
            Action::ReconcilerCrash => {
                world.budget.relay_crashes -= 1;
                self.reconciler_crash(world);
            }
            Action::ReconcileByHand => {
                world.budget.reconciles -= 1;
                self.reconcile(world);
            }
            Action::Archive { letter } => self.archive(world, letter, true),
            Action::ArchiveCrash { letter } => {
                world.budget.relay_crashes -= 1;
                self.archive(world, letter, false);
            }
        }
        true
    }
}

impl Action {
    /// Whether the world may stand still although this could happen: a fault, or the will of an operator.
    #[must_use]
    pub fn is_optional(self) -> bool {
        match self {
            Self::RelayCrash { .. }
            | Self::CommitAnswerLost { .. }
            | Self::Crash { .. }
            | Self::CloseChannel { .. }
            | Self::Cancel { .. }
            | Self::Replay { .. }
            | Self::LoseBroker
            | Self::ReconcilerCrash
            | Self::ReconcileByHand
            | Self::ArchiveCrash { .. } => true,
            Self::Enqueue { .. }
            | Self::PublishDirect { .. }
            | Self::RelayPublish { .. }
            | Self::RelayCommit { .. }
            | Self::BecomesDue { .. }
            | Self::Deliver { .. }
            | Self::Claim { .. }
            | Self::Perform { .. }
            | Self::Commit { .. }
            | Self::Settle { .. }
            | Self::LeaseExpires { .. }
            | Self::PutBack { .. }
            | Self::Recover
            | Self::Archive { .. } => false,
        }
    }

    fn step(self) -> Step {
        match self {
            Self::Enqueue { .. } => Step::Enqueue,
            Self::PublishDirect { .. } => Step::PublishDirect,
            Self::RelayPublish { .. } => Step::RelayPublish,
            Self::RelayCommit { .. } => Step::RelayCommit,
            Self::RelayCrash { .. } => Step::RelayCrash,
            Self::BecomesDue { .. } => Step::BecomesDue,
            Self::Deliver { .. } => Step::Deliver,
            Self::Claim { .. } => Step::Claim,
            Self::Perform { .. } => Step::Perform,
            Self::Commit { .. } => Step::Commit,
            Self::CommitAnswerLost { .. } => Step::CommitAnswerLost,
            Self::Settle { .. } => Step::Settle,
            Self::Crash { .. } => Step::Crash,
            Self::CloseChannel { .. } => Step::CloseChannel,
            Self::LeaseExpires { .. } => Step::LeaseExpires,
            Self::PutBack { .. } => Step::PutBack,
            Self::Cancel { .. } => Step::Cancel,
            Self::Replay { .. } => Step::Replay,
            Self::LoseBroker => Step::LoseBroker,
            Self::Recover => Step::Recover,
            Self::ReconcilerCrash => Step::ReconcilerCrash,
            Self::ReconcileByHand => Step::ReconcileByHand,
            Self::Archive { .. } => Step::Archive,
            Self::ArchiveCrash { .. } => Step::ArchiveCrash,
        }
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(&self.scenario)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.steps_of_jobs(world, actions);
        self.steps_of_relays(world, actions);
        self.steps_of_workers(world, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        if !self.step(&mut next, action) {
            return None;
        }
        self.reach(action.step());
        next.normalise();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

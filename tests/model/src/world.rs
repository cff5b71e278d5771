//! Everything that is stored somewhere: in the database, in the broker, in the memory of a process.

use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::state::JobState;

use crate::scenario::{Budget, JOBS, Scenario};

/// A state of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// `jobs`, `outbox`, `leases`, `dead_letters`.
    pub database: Database,
    /// What is ready in the queue, sorted: the order of messages promises nothing.
    pub queue: Vec<Message>,
    /// The dead-letter queue, sorted.
    pub dead_letters: Vec<Message>,
    /// Whether the broker remembers its incarnation.
    pub memory: Memory,
    /// The relays' open transactions.
    pub relays: Vec<Option<Window>>,
    /// The workers, sorted: none of them is special.
    pub workers: Vec<Worker>,
    /// What may still go wrong.
    pub budget: Budget,
    /// What no part of the system knows, for the properties.
    pub ghost: Ghost,
}

/// The database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Database {
    /// `jobs`.
    pub jobs: [Option<Row>; JOBS],
    /// `outbox`.
    pub outbox: [Option<Waiting>; JOBS],
    /// The run leases.
    pub runs: [Option<RunLease>; JOBS],
    /// The lease that jobs may share.
    pub lease: Lease,
    /// `dead_letters`, by job.
    pub letters: [Vec<Letter>; JOBS],
}

/// A row of `jobs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// Where it stands.
    pub state: JobState,
    /// Whether it came past `enqueue`.
    pub direct: bool,
    /// The fence.
    pub seq: u8,
    /// Attempts counted.
    pub attempt: u8,
    /// Attempts allowed.
    pub max_attempts: u8,
    /// Deferrals.
    pub deferrals: u8,
    /// Whether somebody called it off.
    pub cancel_requested: bool,
    /// Whether a replay corrected its payload.
    pub corrected: bool,
}

/// A row of `outbox`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Waiting {
    /// The seq that the message will carry.
    pub seq: u8,
    /// Whether its time has come.
    pub due: bool,
    /// Whether it waits for the lease.
    pub waits: bool,
}

/// A run lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunLease {
    /// Its fencing number.
    pub term: u8,
    /// Whether it was not renewed in time.
    pub expired: bool,
}

/// The lease that jobs may share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Who has it.
    pub owner: Option<u8>,
    /// Its fencing number.
    pub term: u8,
    /// Whether it was not renewed in time.
    pub expired: bool,
}

/// A row of `dead_letters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Letter {
    /// The seq of the message that was given up.
    pub seq: Option<u8>,
    /// Why.
    pub reason: Reason,
    /// Whether it waits for an operator.
    pub open: bool,
    /// Whether a claim died, whose message was acknowledged long before.
    pub by_claim: bool,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Message {
    /// Its job.
    pub job: u8,
    /// Its seq; none for a direct publish.
    pub seq: Option<u8>,
    /// Deliveries that went wrong, where somebody counts them.
    pub returned: u8,
}

/// What the broker's incarnation queue says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Memory {
    /// The broker has everything that it was told.
    Imprinted,
    /// It lost its disk.
    Lost,
    /// It was told again, but does not carry the new mark yet.
    Halfway,
}

/// An open transaction of a relay: the row is locked, the message is published and confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// The job.
    pub job: u8,
    /// The seq of the message.
    pub seq: u8,
}

/// A worker with its channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Worker {
    /// What the broker waits for an answer to, by tag.
    pub unsettled: Vec<(u8, Message)>,
    /// The tag of the next delivery.
    pub next_tag: u8,
    /// Deliveries and claims on their way to the commit, in their order.
    pub items: Vec<Item>,
    /// Settlements that are not through.
    pub settlements: Vec<Settlement>,
}

/// A delivery or a claim on its way to the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Item {
    /// Its job.
    pub job: u8,
    /// The seq of its message; of a claim, the seq that it gave the row.
    pub seq: Option<u8>,
    /// What the commit expects.
    pub expect: Expect,
    /// How far it is.
    pub stage: Stage,
}

/// What the commit expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Expect {
    /// A delivery; its tag while its channel lives.
    Delivery(Option<u8>),
    /// A claim: the terms of its leases.
    Claim {
        /// Of the run lease.
        run: u8,
        /// Of the shared one.
        lease: Option<u8>,
    },
}

/// How far an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Waits for its claim.
    ToClaim,
    /// Is performed.
    Performing,
    /// A second delivery of what is performed here: it goes to the commit behind the first.
    Joined,
    /// Waits for the commit.
    Finished(Work),
}

/// What there is to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Work {
    /// The slow half is done.
    Done,
    /// It failed.
    Transient,
    /// It came too early.
    Deferred,
    /// It cannot succeed.
    Permanent,
    /// Nothing was performed: it looked stale, called off or used up.
    Unperformed,
    /// The worker was told to stop.
    HandBack,
}

/// What the broker is to be told about a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    /// Done.
    Ack,
    /// Given up.
    Reject,
    /// Not touched.
    HandBack,
}

/// One call of `settle`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Settlement {
    /// Its transaction is committed; nothing was decided yet.
    Answers(Vec<(u8, Answer)>),
    /// It goes out, one frame after the other.
    Frames(Vec<Frame>),
}

/// What goes to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Frame {
    /// `basic.ack`.
    Ack {
        /// The delivery.
        tag: u8,
        /// And all before it.
        multiple: bool,
    },
    /// `basic.reject` without requeue.
    Reject(u8),
    /// `basic.nack` with requeue.
    HandBack(u8),
}

/// What no part of the system knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ghost {
    /// Jobs whose publisher was told that they are accepted.
    pub accepted: [bool; JOBS],
    /// Effects of each job.
    pub effects: [u8; JOBS],
    /// Seqs of each job whose messages were archived.
    pub archived: [u16; JOBS],
    /// Whether the broker ever lost its disk, and dead letters with it.
    pub broker_lost: bool,
    /// A delivery was acknowledged that the database still needed.
    pub acked_too_early: bool,
    /// A claim wrote that was not the job's current one, or had lost its lease.
    pub late_write: bool,
    /// A job ran whose message waited to become due.
    pub ran_too_early: bool,
    /// The broker heard of a tag that it did not know, which closes the channel.
    pub unknown_tag: bool,
}

impl World {
    /// The beginning.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        Self {
            database: Database {
                jobs: [None; JOBS],
                outbox: [None; JOBS],
                runs: [None; JOBS],
                lease: Lease::default(),
                letters: [Vec::new(), Vec::new()],
            },
            queue: Vec::new(),
            dead_letters: Vec::new(),
            memory: Memory::Imprinted,
            relays: vec![None; scenario.relays],
            workers: vec![Worker::default(); scenario.workers],
            budget: scenario.budget,
            ghost: Ghost::default(),
        }
    }

    /// One form for all states that differ in nothing that matters.
    pub fn normalise(&mut self) {
        self.queue.sort_unstable();
        self.dead_letters.sort_unstable();
        for worker in &mut self.workers {
            if worker.unsettled.is_empty() && worker.settlements.is_empty() {
                worker.next_tag = 0;
            }
        }
        self.workers.sort_unstable();
    }
}

impl Frame {
    /// The delivery that it names.
    #[must_use]
    pub fn tag(self) -> u8 {
        match self {
            Self::Ack { tag, .. } | Self::Reject(tag) | Self::HandBack(tag) => tag,
        }
    }
}

impl Item {
    /// Whether its delivery is still to be settled; a claim has settled it.
    #[must_use]
    pub fn is_delivery(&self) -> bool {
        matches!(self.expect, Expect::Delivery(_))
    }

    /// Its tag, while there is a channel to settle it on.
    #[must_use]
    pub fn tag(&self) -> Option<u8> {
        match self.expect {
            Expect::Delivery(tag) => tag,
            Expect::Claim { .. } => None,
        }
    }

    /// Whether its slow half is before it.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        matches!(self.stage, Stage::ToClaim | Stage::Performing)
    }
}

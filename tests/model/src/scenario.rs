//! What is in a world, how much may go wrong in it, and which mistake the protocol makes.

/// Jobs in a world. Two are enough for every race between jobs: for a lease, in a group, under one `multiple`.
pub const JOBS: usize = 2;

/// A mistake that the protocol could make. Each is a line that somebody could change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// None: the protocol as it is.
    None,
    /// A delivery is acknowledged when it was performed, and committed then.
    AckBeforeCommit,
    /// The fence and the commit of a claim compare states, not seqs.
    NoSeqCheck,
    /// A deferral writes its message with the seq of the one before.
    DeferralKeepsSeq,
    /// A replay writes its message with the seq of the one before.
    ReplayKeepsSeq,
    /// The commit of a claim does not look whether its lease still has its term.
    NoTermCheck,
    /// `multiple` goes up to the newest tag of the group, whatever lies below it.
    MultipleCoversUncommitted,
    /// The settler tells the broker also of tags that an acknowledgement of many has settled before.
    SettledTagsAreSent,
    /// The relay deletes a message, commits, and publishes then.
    RelayDeletesFirst,
    /// The reconciler passes over a message that a relay is at, without waiting for what becomes of it.
    ReconcilerDoesNotWait,
    /// The reconciler says that the broker knows everything before it has written that down.
    ImprintFirst,
    /// The archive keeps a direct message that the broker gave up, and makes no job of it that could end.
    LetterWithoutJob,
}

/// What a job is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its claim is committed and its delivery acknowledged before it is performed.
    pub hand_over: bool,
    /// It wants the one lease key of the world.
    pub leased: bool,
    /// Its handler says that no attempt can succeed, until a replay brings a corrected payload.
    pub poison: bool,
    /// It is published straight over the broker.
    pub direct: bool,
}

impl Plan {
    /// A short job.
    pub const SHORT: Self = Self { hand_over: false, leased: false, poison: false, direct: false };
    /// A short job that cannot succeed.
    pub const POISON: Self = Self { poison: true, ..Self::SHORT };
    /// A short job that is published directly.
    pub const DIRECT: Self = Self { direct: true, ..Self::SHORT };
    /// A long job.
    pub const LONG: Self = Self { hand_over: true, ..Self::SHORT };
    /// A long job that wants the lease.
    pub const LEASED: Self = Self { leased: true, ..Self::LONG };
}

/// How often each thing may still happen that happens by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Processes of workers that die.
    pub crashes: u8,
    /// Channels that are closed under a worker that lives on.
    pub closed_channels: u8,
    /// Relays, reconcilers and archives that die, or never hear the broker's confirm.
    pub relay_crashes: u8,
    /// Commits whose answer is lost.
    pub lost_answers: u8,
    /// Workers that freeze past their lease.
    pub freezes: u8,
    /// Attempts that fail.
    pub failures: u8,
    /// Handlers that defer.
    pub deferrals: u8,
    /// Jobs that a worker hands back because it is told to stop.
    pub drains: u8,
    /// Cancellations.
    pub cancels: u8,
    /// Replays.
    pub replays: u8,
    /// Disks that the broker loses.
    pub broker_losses: u8,
    /// Reconciliations that nobody needed.
    pub reconciles: u8,
}

/// A world before anything happened in it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it shows.
    pub name: &'static str,
    /// Its jobs.
    pub plans: [Plan; JOBS],
    /// Workers, each with one channel.
    pub workers: usize,
    /// Transactions of one worker that may be between their commit and the end of their settlement.
    pub committers: usize,
    /// Relays.
    pub relays: usize,
    /// Attempts of a job.
    pub max_attempts: u8,
    /// Deferrals of a job.
    pub max_deferred: u8,
    /// Deliveries that may go wrong before the broker gives a message up.
    pub delivery_limit: Option<u8>,
    /// How much may go wrong.
    pub budget: Budget,
    /// The protocol's mistake.
    pub defect: Defect,
}

impl Scenario {
    /// Two workers, one relay, short jobs, and nothing goes wrong.
    #[must_use]
    pub fn quiet(name: &'static str) -> Self {
        Self {
            name,
            plans: [Plan::SHORT; JOBS],
            workers: 2,
            committers: 1,
            relays: 1,
            max_attempts: 2,
            max_deferred: 2,
            delivery_limit: None,
            budget: Budget::default(),
            defect: Defect::None,
        }
    }

    /// The same world with a mistake in its protocol.
    #[must_use]
    pub fn with(mut self, defect: Defect) -> Self {
        self.defect = defect;
        self
    }
}

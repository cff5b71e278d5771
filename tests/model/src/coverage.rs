//! Which steps were reached: a model whose steps are never taken proves nothing.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A step of the protocol, or a branch of one, that a check must have reached.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Step { $($(#[$doc])* $name,)* }

        impl Step {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

steps! {
    /// A job is published through `enqueue`.
    Enqueue,
    /// A job is published directly.
    PublishDirect,
    /// The relay publishes a message.
    RelayPublish,
    /// The relay deletes what was confirmed.
    RelayCommit,
    /// A relay dies after the confirm.
    RelayCrash,
    /// The time of a waiting message comes.
    BecomesDue,
    /// A message is delivered.
    Deliver,
    /// A delivery joins one that is performed.
    Joined,
    /// A long job is claimed, or tried to be.
    Claim,
    /// A claim was not possible any more.
    NotClaimed,
    /// A claim waits for a lease.
    PutOff,
    /// A slow half answers.
    Perform,
    /// A group is committed.
    Commit,
    /// A group has more than one job.
    Group,
    /// A commit's answer is lost.
    CommitAnswerLost,
    /// A settlement sends a frame.
    Settle,
    /// A settlement is not through after a frame.
    InTheMiddleOfSettling,
    /// Several deliveries are acknowledged at once.
    Multiple,
    /// A settlement finds that another one has settled its delivery.
    SettledBefore,
    /// A worker dies.
    Crash,
    /// A channel is closed.
    CloseChannel,
    /// A lease is not renewed.
    LeaseExpires,
    /// The sweeper puts a job back.
    PutBack,
    /// A job is called off.
    Cancel,
    /// A dead job is replayed.
    Replay,
    /// The broker's disk is gone.
    LoseBroker,
    /// A step of the recovery from that.
    Recover,
    /// The reconciler dies halfway.
    ReconcilerCrash,
    /// A reconciliation by hand.
    ReconcileByHand,
    /// Messages were written again.
    WrittenAgain,
    /// The archive keeps a message.
    Archive,
    /// It dies before the acknowledgement.
    ArchiveCrash,
    /// It acknowledges.
    Archived,
    /// A direct publish gets its row.
    DirectRowMade,
    /// A stale or finished delivery is acknowledged.
    DoneAcked,
    /// The message of a dead job is rejected again.
    RejectedAgain,
    /// A claim that is not ours any more writes nothing.
    LateResultDropped,
    /// A job succeeds.
    Succeeded,
    /// A job is retried.
    Retried,
    /// A job is deferred.
    Deferred,
    /// A job is deferred too often.
    DeferredTooLong,
    /// The last attempt fails.
    Exhausted,
    /// A job is found used up when it comes again.
    UsedUp,
    /// A job cannot succeed.
    Permanent,
    /// A job ends called off.
    Cancelled,
    /// A job is handed back.
    HandedBack,
    /// The broker gave up a current message, and its job ends.
    GivenUpByBroker,
}

/// How often each step was reached.
#[derive(Debug)]
pub struct Coverage(Vec<AtomicU64>);

impl Default for Coverage {
    fn default() -> Self {
        Self(Step::ALL.iter().map(|_| AtomicU64::new(0)).collect())
    }
}

impl Coverage {
    /// One more.
    pub fn reach(&self, step: Step) {
        self.0[step as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The steps that were reached.
    pub fn reached(&self) -> impl Iterator<Item = Step> {
        Step::ALL.iter().copied().filter(|step| self.0[*step as usize].load(Ordering::Relaxed) > 0)
    }
}

//! One delivery on its way to the commit.

use std::sync::Arc;
use std::time::Instant;

use ackord_entities::envelope::Message;
use ackord_entities::ids::JobId;
use ackord_entities::queue::attempt::Outcome as AttemptOutcome;
use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::lease::Held;
use ackord_producer::broker::Tag;
use ackord_producer::trace;
use chrono::{DateTime, SubsecRound, Utc};
use tracing::Span;

use super::settle::Settlements;
use super::suspects::InFlight;
use crate::error::JobError;
use crate::handler::Failure;
use crate::registry::{AnyOutput, AnyTurn};

/// A delivery, and what is known about it so far.
pub(crate) struct Item {
    /// The job, where the message names one.
    pub(crate) id: Option<JobId>,
    /// The message.
    pub(crate) message: Message,
    /// The queue it came from.
    pub(crate) queue: Arc<str>,
    /// What the commit expects to find.
    pub(crate) expect: Expect,
    /// The payload, once it was read.
    pub(crate) turn: Option<AnyTurn>,
    /// What there is to commit.
    pub(crate) work: Work,
    /// When the work started, if it did.
    pub(crate) started: Option<Started>,
    /// Says in the file of what is in flight that this is; cleared when the item is dropped.
    pub(crate) in_flight: Option<InFlight>,
    /// Whether it ran as a suspect: if it gets through, it is none any more.
    pub(crate) was_suspect: bool,
    /// Keeps the leases of a claim until its commit is settled.
    pub(crate) keeper: Option<Keeper>,
    /// Its part of a trace, which ends when the item is dropped.
    pub(crate) span: Span,
    /// The domain has failed to record its end again and again: the end is recorded without it.
    pub(crate) skip_abandon: bool,
}

/// A task that ends with the item.
pub(crate) struct Keeper(pub(crate) tokio::task::JoinHandle<()>);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// When work started.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Started {
    /// By the database's clock: a claim has read it.
    At(DateTime<Utc>),
    /// By a clock that only measures durations.
    Here(Instant),
}

impl Started {
    /// The start by the database's clock, which says `now`.
    pub(crate) fn by(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(time) => time,
            Self::Here(instant) => {
                let elapsed = chrono::TimeDelta::from_std(instant.elapsed()).unwrap_or_default();
                (now - elapsed).trunc_subsecs(6)
            }
        }
    }
}

/// What the commit expects to find.
#[derive(Clone)]
pub(crate) enum Expect {
    /// A delivery that is to be settled there: the row must be pending with the message's seq.
    Delivery(Tag, Arc<Settlements>),
    /// A claim that was acknowledged already: the row must be running with this seq, and the leases still ours.
    Claim {
        /// The seq that the claim gave the row.
        seq: i32,
        /// The leases of the claim.
        held: Vec<Held>,
    },
}

/// What there is to commit.
#[derive(Clone)]
pub(crate) enum Work {
    /// The slow half is done.
    Done(AnyOutput),
    /// The slow half, or the claim, went wrong.
    Errored(Error),
    /// Nothing was performed: the delivery looked stale, or the job was called off or used up before it began.
    Unperformed,
    /// The message cannot be used.
    GiveUp(Reason, Failure),
    /// A newer program wrote the payload: wait for one that can read it, for a while.
    NewerVersion(Failure),
    /// A drain: give the job back unharmed.
    HandBack,
}

/// An error with the way it showed.
#[derive(Clone, Debug)]
pub(crate) struct Error {
    /// What the handler said, or would have.
    pub(crate) error: JobError,
    /// How the attempt is recorded.
    pub(crate) outcome: AttemptOutcome,
}

impl Error {
    pub(crate) fn errored(error: JobError) -> Self {
        Self { error, outcome: AttemptOutcome::Errored }
    }
}

impl Item {
    /// What the job's follow-ups continue: its own span, or what its message carries.
    pub(crate) fn traceparent(&self) -> Option<String> {
        trace::traceparent(&self.span).or_else(|| self.message.traceparent.clone())
    }

    /// Whether the delivery is still to be settled; a claim has settled it.
    pub(crate) fn is_delivery(&self) -> bool {
        matches!(self.expect, Expect::Delivery(..))
    }
}

//! What a delivery means, for a model of the protocol that asks the worker itself.

use ackord_entities::jobs::KindSpec;
use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::job::Fence;

use crate::runtime::fence::{Verdict, judge};

/// What a delivery means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The job's turn.
    Turn,
    /// Stale, or worked through: acknowledged.
    Done,
    /// Its dead letter is written: rejected again.
    RejectAgain,
    /// The message is given up, its job's row is not touched.
    GiveUp(Reason),
    /// A direct publish whose row is made now.
    MakeRow,
}

/// What the worker takes a delivery of a message with `seq` for, when its job's row is `row`.
#[must_use]
pub fn meaning(seq: Option<i32>, row: Option<&Fence>, spec: &KindSpec) -> Meaning {
    match judge(seq, row, spec) {
        Verdict::Turn => Meaning::Turn,
        Verdict::Done => Meaning::Done,
        Verdict::RejectAgain => Meaning::RejectAgain,
        Verdict::GiveUp(reason) => Meaning::GiveUp(reason),
        Verdict::MakeRow => Meaning::MakeRow,
    }
}

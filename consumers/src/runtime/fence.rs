//! The fence: what a delivery means, by its seq and its job's row.

use ackord_entities::jobs::KindSpec;
use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::job::{Fence, Origin};
use ackord_entities::queue::state::JobState;

/// What a delivery means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The job's turn.
    Turn,
    /// An older message of the job, or one that was worked through: acknowledge.
    Done,
    /// Its dead letter is written, but the reject did not get through: reject again.
    RejectAgain,
    /// Give the message up for this reason. The job's row is not touched.
    GiveUp(Reason),
    /// A direct publish whose row is not there yet: make it, then it is the job's turn.
    MakeRow,
}

/// What a delivery of a message with `seq` means for a job whose row is `row`.
pub(crate) fn judge(seq: Option<i32>, row: Option<&Fence>, spec: &KindSpec) -> Verdict {
    if row.is_some_and(|row| row.kind != spec.kind) {
        // Two publishers used one id for two jobs of different kinds.
        return Verdict::GiveUp(Reason::NotAccepted);
    }
    let accepts_direct = spec.accepts_direct;
    let Some(seq) = effective_seq(seq, row, accepts_direct) else {
        return Verdict::GiveUp(Reason::NotAccepted);
    };
    match row {
        None if seq.is_direct => Verdict::MakeRow,
        None => Verdict::GiveUp(Reason::Orphaned),
        Some(row) if seq.number < row.seq => Verdict::Done,
        Some(row) if seq.number > row.seq => Verdict::GiveUp(Reason::AheadOfRow),
        Some(row) => match row.state {
            // A message is current only until its claim raises the seq, so a running job's current seq has no message.
            JobState::Pending => Verdict::Turn,
            JobState::Dead => Verdict::RejectAgain,
            JobState::Running | JobState::Succeeded | JobState::Failed | JobState::Cancelled => Verdict::Done,
        },
    }
}

struct Seq {
    number: i32,
    is_direct: bool,
}

/// A message without the header did not pass `enqueue`. It counts as seq 1, if its kind and its row allow that.
fn effective_seq(seq: Option<i32>, row: Option<&Fence>, accepts_direct: bool) -> Option<Seq> {
    match (seq, row) {
        (Some(number), _) => Some(Seq { number, is_direct: false }),
        (None, _) if !accepts_direct => None,
        (None, None) => Some(Seq { number: 1, is_direct: true }),
        (None, Some(row)) => (row.origin == Origin::Direct).then_some(Seq { number: 1, is_direct: true }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ackord_entities::clock::machine_now;
    use ackord_entities::ids::JobId;
    use ackord_entities::jobs::Job;
    use rstest::rstest;

    #[derive(Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Order;

    impl Job for Order {
        const KIND: &'static str = "order";
    }

    fn kind(accepts_direct: bool) -> KindSpec {
        let mut spec = KindSpec::of::<Order>();
        spec.accepts_direct = accepts_direct;
        spec
    }

    fn row(seq: i32, state: JobState, origin: Origin) -> Fence {
        Fence {
            id: JobId::new(),
            kind: Order::KIND.to_owned(),
            seq,
            state,
            origin,
            attempt: 0,
            max_attempts: 5,
            deferrals: 0,
            cancel_requested: false,
            dedup_key: None,
            created_at: machine_now(),
        }
    }

    #[rstest]
    #[case::a_lower_seq_is_stale(1, 2, JobState::Pending, Verdict::Done)]
    #[case::a_lower_seq_of_a_dead_job_is_stale(1, 2, JobState::Dead, Verdict::Done)]
    #[case::an_equal_seq_of_an_unfinished_job_is_its_turn(2, 2, JobState::Pending, Verdict::Turn)]
    #[case::an_equal_seq_of_a_running_job_is_done(2, 2, JobState::Running, Verdict::Done)]
    #[case::an_equal_seq_of_a_dead_job_is_rejected_again(2, 2, JobState::Dead, Verdict::RejectAgain)]
    #[case::an_equal_seq_of_a_succeeded_job_is_a_duplicate(2, 2, JobState::Succeeded, Verdict::Done)]
    #[case::an_equal_seq_of_a_failed_job_is_a_duplicate(2, 2, JobState::Failed, Verdict::Done)]
    #[case::an_equal_seq_of_a_cancelled_job_is_a_duplicate(2, 2, JobState::Cancelled, Verdict::Done)]
    #[case::a_higher_seq_is_ahead_of_its_row(3, 2, JobState::Pending, Verdict::GiveUp(Reason::AheadOfRow))]
    #[case::a_higher_seq_of_a_finished_job_is_ahead_too(
        3,
        2,
        JobState::Succeeded,
        Verdict::GiveUp(Reason::AheadOfRow)
    )]
    fn with_a_row(#[case] seq: i32, #[case] row_seq: i32, #[case] state: JobState, #[case] verdict: Verdict) {
        assert_eq!(judge(Some(seq), Some(&row(row_seq, state, Origin::Enqueue)), &kind(false)), verdict);
    }

    #[test]
    fn a_message_that_passed_enqueue_and_has_no_row_is_orphaned() {
        assert_eq!(judge(Some(1), None, &kind(true)), Verdict::GiveUp(Reason::Orphaned));
    }

    #[test]
    fn a_direct_message_makes_its_row_where_the_kind_accepts_it() {
        assert_eq!(judge(None, None, &kind(true)), Verdict::MakeRow);
        assert_eq!(judge(None, None, &kind(false)), Verdict::GiveUp(Reason::NotAccepted));
    }

    #[test]
    fn a_direct_message_counts_as_seq_one_of_a_row_that_came_directly() {
        assert_eq!(judge(None, Some(&row(1, JobState::Pending, Origin::Direct)), &kind(true)), Verdict::Turn);
        assert_eq!(judge(None, Some(&row(2, JobState::Pending, Origin::Direct)), &kind(true)), Verdict::Done);
        assert_eq!(
            judge(None, Some(&row(1, JobState::Succeeded, Origin::Direct)), &kind(true)),
            Verdict::Done
        );
    }

    #[test]
    fn a_direct_message_never_stands_for_a_job_that_was_enqueued() {
        let enqueued = row(1, JobState::Pending, Origin::Enqueue);
        assert_eq!(judge(None, Some(&enqueued), &kind(true)), Verdict::GiveUp(Reason::NotAccepted));
    }

    #[test]
    fn a_message_never_stands_for_a_job_of_another_kind() {
        let mut other = row(1, JobState::Pending, Origin::Direct);
        other.kind = "invoice".to_owned();
        assert_eq!(judge(None, Some(&other), &kind(true)), Verdict::GiveUp(Reason::NotAccepted));
        assert_eq!(judge(Some(1), Some(&other), &kind(true)), Verdict::GiveUp(Reason::NotAccepted));
    }
}

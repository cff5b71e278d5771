//! Mistakes that the protocol could make, and what each of them would break.

use ackord_model::properties::{
    ACK_AFTER_COMMIT, KNOWN_TAGS, NO_LATE_WRITE, NOT_LOST, NOT_TOO_EARLY, ONE_LETTER, ONLY_POISON,
};
use ackord_model::scenario::{Defect, Scenario};
use rstest::rstest;

use crate::checking::counterexample;
use crate::worlds;

#[rstest]
#[case::ack_before_commit_is_seen(Defect::AckBeforeCommit, worlds::crashes(), ACK_AFTER_COMMIT)]
#[case::ack_before_commit_loses_a_job(Defect::AckBeforeCommit, worlds::crashes(), NOT_LOST)]
#[case::no_seq_check_lets_a_late_worker_write(Defect::NoSeqCheck, worlds::long(), NO_LATE_WRITE)]
#[case::no_seq_check_gives_up_what_was_replayed(Defect::NoSeqCheck, worlds::poison(), ONLY_POISON)]
#[case::a_deferral_that_keeps_its_seq_does_not_hold(
    Defect::DeferralKeepsSeq,
    worlds::failing(),
    NOT_TOO_EARLY
)]
#[case::a_replay_that_keeps_its_seq_is_undone(Defect::ReplayKeepsSeq, worlds::poison(), ONE_LETTER)]
#[case::no_term_check_lets_a_late_worker_write(Defect::NoTermCheck, worlds::leased(), NO_LATE_WRITE)]
#[case::multiple_over_uncommitted_is_seen(
    Defect::MultipleCoversUncommitted,
    worlds::crashes(),
    ACK_AFTER_COMMIT
)]
#[case::multiple_over_uncommitted_loses_a_job(Defect::MultipleCoversUncommitted, worlds::crashes(), NOT_LOST)]
#[case::a_tag_that_is_settled_twice_is_unknown(Defect::SettledTagsAreSent, worlds::late(), KNOWN_TAGS)]
#[case::a_relay_that_deletes_first_loses_a_job(Defect::RelayDeletesFirst, worlds::crashes(), NOT_LOST)]
#[case::a_reconciler_that_does_not_wait_loses_a_job(
    Defect::ReconcilerDoesNotWait,
    worlds::forgetful(),
    NOT_LOST
)]
#[case::an_imprint_before_the_messages_loses_a_job(Defect::ImprintFirst, worlds::forgetful(), NOT_LOST)]
#[case::a_letter_without_its_job_stays_beside_a_late_success(
    Defect::LetterWithoutJob,
    worlds::direct(),
    ONE_LETTER
)]
fn the_checker_finds(#[case] defect: Defect, #[case] scenario: Scenario, #[case] property: &'static str) {
    counterexample(scenario.with(defect), property);
}

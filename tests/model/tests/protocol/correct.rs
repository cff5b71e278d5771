//! The protocol as it is.

use std::collections::BTreeSet;

use ackord_model::coverage::Step::{self, *};
use ackord_model::scenario::Scenario;
use rstest::rstest;

use crate::checking::every_state;
use crate::worlds;

/// Each step is somebody's: a check that does not reach it proves nothing about it.
const OF_CRASHES: &[Step] = &[
    Enqueue,
    RelayPublish,
    RelayCommit,
    RelayCrash,
    Deliver,
    Joined,
    Perform,
    Commit,
    Group,
    CommitAnswerLost,
    Settle,
    InTheMiddleOfSettling,
    Multiple,
    Crash,
    DoneAcked,
    Succeeded,
];
const OF_LATE: &[Step] = &[CloseChannel, SettledBefore];
const OF_FAILING: &[Step] = &[BecomesDue, Retried, Deferred];
const OF_POISON: &[Step] =
    &[Permanent, Exhausted, Cancel, Cancelled, Replay, RejectedAgain, Archive, ArchiveCrash, Archived];
const OF_LEASED: &[Step] = &[PutOff, DeferredTooLong, LateResultDropped, HandedBack];
const OF_LONG: &[Step] = &[Claim, NotClaimed, LeaseExpires, PutBack, UsedUp];
const OF_FORGETFUL: &[Step] = &[LoseBroker, Recover, ReconcilerCrash, WrittenAgain];
const OF_DIRECT: &[Step] = &[PublishDirect, DirectRowMade, GivenUpByBroker];
const OF_TOLD_AGAIN: &[Step] = &[ReconcileByHand];

#[rstest]
#[case::crashes(worlds::crashes(), OF_CRASHES)]
#[case::late(worlds::late(), OF_LATE)]
#[case::failing(worlds::failing(), OF_FAILING)]
#[case::poison(worlds::poison(), OF_POISON)]
#[case::leased(worlds::leased(), OF_LEASED)]
#[case::long(worlds::long(), OF_LONG)]
#[case::forgetful(worlds::forgetful(), OF_FORGETFUL)]
#[case::direct(worlds::direct(), OF_DIRECT)]
#[case::told_again(worlds::told_again(), OF_TOLD_AGAIN)]
fn the_protocol_keeps_its_promises_in_every_state(#[case] scenario: Scenario, #[case] steps: &[Step]) {
    let checked = every_state(scenario);
    assert!(checked.states > 10_000, "{} states are too few to say much", checked.states);
    for step in steps {
        assert!(checked.reached.contains(step), "{step:?} was not reached: nothing is shown of it");
    }
}

#[test]
fn every_step_is_somebodys() {
    let shares = [
        OF_CRASHES,
        OF_LATE,
        OF_FAILING,
        OF_POISON,
        OF_LEASED,
        OF_LONG,
        OF_FORGETFUL,
        OF_DIRECT,
        OF_TOLD_AGAIN,
    ];
    let shared: BTreeSet<Step> = shares.into_iter().flatten().copied().collect();
    let missing: Vec<&Step> = Step::ALL.iter().filter(|step| !shared.contains(step)).collect();
    assert!(missing.is_empty(), "no world has to reach {missing:?}");
}

//! The protocol as it is.

use std::collections::BTreeSet;

use ackord_model::coverage::Step;
use ackord_model::scenario::Scenario;
use rstest::rstest;

use crate::checking::every_state;
use crate::worlds;

#[rstest]
#[case::crashes(worlds::crashes())]
#[case::late(worlds::late())]
#[case::failing(worlds::failing())]
#[case::poison(worlds::poison())]
#[case::leased(worlds::leased())]
#[case::long(worlds::long())]
#[case::forgetful(worlds::forgetful())]
#[case::direct(worlds::direct())]
fn the_protocol_keeps_its_promises_in_every_state(#[case] scenario: Scenario) {
    let checked = every_state(scenario);
    println!("reached {:?}", checked.reached);
    println!("NOT {:?}", Step::ALL.iter().filter(|s| !checked.reached.contains(s)).collect::<BTreeSet<_>>());
    assert!(checked.states > 10_000, "{} states are too few to say much", checked.states);
}

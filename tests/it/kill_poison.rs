//! Jobs that kill their process: given up after three recorded starts, and nobody else is blamed.

use std::ops::RangeInclusive;

use rstest::rstest;

use crate::place::Place;
use crate::process::Testbed;

const NEIGHBOURS: &[(&str, usize)] =
    &[("count", 15), ("slow", 9), ("long", 5), ("chain", 3), ("flaky", 3), ("doomed", 2)];
/// Recorded starts, after which it is given up.
const STARTS: usize = 3;

/// How often it kills among its neighbours, until it is a suspect. A file says at the next start what was in flight. On servers a
/// message is a suspect at its third delivery, a short one is started in company then, and a relay that dies before it has noted a message as sent sends another, which
/// counts its own.
fn deaths_among_neighbours(place: Place) -> RangeInclusive<usize> {
    match place {
        Place::File => 1..=1,
        Place::Servers => 2..=5,
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_the_process_is_given_up_and_its_neighbours_succeed(
    #[values(Place::File, Place::Servers)] place: Place,
    #[values("poison", "poison-commit", "poison-long")] poison: &str,
) {
    let Some(mut testbed) = place.testbed().await else { return };
    testbed.publish(NEIGHBOURS).await;
    testbed.publish(&[(poison, 1)]).await;
    testbed.publish(NEIGHBOURS).await;
    // Work goes on being published while the process dies again and again.
    let deaths = testbed
        .supervise(async |testbed, _| testbed.publish(&[("count", 3), ("slow", 1), ("long", 1)]).await)
        .await;
    let recorded = testbed.lines_with(&["a suspect runs alone", &format!("job.kind=\"{poison}\"")]);
    assert_eq!(recorded, STARTS, "recorded starts\n{}", testbed.log());
    assert!(
        deaths_among_neighbours(place).contains(&(deaths - recorded)),
        "{deaths} deaths\n{}",
        testbed.log()
    );
    let mut jobs = [NEIGHBOURS, NEIGHBOURS, &[(poison, 1)]].concat();
    jobs.extend([("count", 3 * deaths), ("slow", deaths), ("long", deaths)]);
    testbed.assert_clean(&testbed.audit().await, &jobs);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn two_of_them_at_once_are_both_given_up(
    #[values(
        ("poison", "poison"),
        ("poison-commit", "poison-commit"),
        ("poison", "poison-commit"),
        ("poison", "poison-long"),
        ("poison-long", "poison-commit")
    )]
    poisons: (&str, &str),
) {
    let poisons = [(poisons.0, 1), (poisons.1, 1)];
    let mut testbed = Testbed::new().await;
    testbed.publish(NEIGHBOURS).await;
    testbed.publish(&poisons).await;
    testbed.publish(NEIGHBOURS).await;
    let deaths = testbed.supervise(async |_, _| {}).await;
    // They share the first death when both were in flight at it.
    let most = 2 * (deaths_among_neighbours(Place::File).end() + STARTS);
    assert!((most - 1..=most).contains(&deaths), "{deaths} deaths\n{}", testbed.log());
    testbed.assert_clean(&testbed.audit().await, &[NEIGHBOURS, NEIGHBOURS, &poisons].concat());
}

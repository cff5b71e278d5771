//! Jobs that kill their process: given up after three recorded starts, and nobody else is blamed.

use rstest::rstest;

use crate::process::Testbed;

const NEIGHBOURS: &[(&str, usize)] =
    &[("count", 15), ("slow", 9), ("long", 5), ("chain", 3), ("flaky", 3), ("doomed", 2)];
/// The first death makes a suspect, then come its recorded starts.
const DEATHS: usize = 1 + 3;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_the_process_is_given_up_and_its_neighbours_succeed(
    #[values("poison", "poison-commit", "poison-long")] poison: &str,
) {
    let mut testbed = Testbed::new().await;
    testbed.publish(NEIGHBOURS).await;
    testbed.publish(&[(poison, 1)]).await;
    testbed.publish(NEIGHBOURS).await;
    // Work goes on being published while the process dies again and again.
    let deaths = testbed
        .supervise(async |testbed, _| testbed.publish(&[("count", 3), ("slow", 1), ("long", 1)]).await)
        .await;
    assert_eq!(deaths, DEATHS, "{}", testbed.log());
    let mut jobs = [NEIGHBOURS, NEIGHBOURS, &[(poison, 1)]].concat();
    jobs.extend([("count", 3 * DEATHS), ("slow", DEATHS), ("long", DEATHS)]);
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
    assert!((2 * DEATHS - 1..=2 * DEATHS).contains(&deaths), "{deaths} deaths\n{}", testbed.log());
    testbed.assert_clean(&testbed.audit().await, &[NEIGHBOURS, NEIGHBOURS, &poisons].concat());
}

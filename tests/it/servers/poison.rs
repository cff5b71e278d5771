//! Jobs that kill their process, on servers: given up after three recorded starts, and nobody else is blamed.

use rstest::rstest;

use super::on_servers;

const NEIGHBOURS: &[(&str, usize)] =
    &[("count", 15), ("slow", 9), ("long", 5), ("chain", 3), ("flaky", 3), ("doomed", 2)];
/// Twice among its neighbours, which makes it a suspect, then its recorded starts.
const DEATHS: usize = 2 + 3;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_its_process_is_given_up_and_its_neighbours_succeed(
    #[values("poison", "poison-commit", "poison-long")] poison: &str,
) {
    let Some(mut testbed) = on_servers().await else { return };
    testbed.publish(NEIGHBOURS).await;
    testbed.publish(&[(poison, 1)]).await;
    testbed.publish(NEIGHBOURS).await;
    let deaths = testbed
        .supervise(async |testbed, _| testbed.publish(&[("count", 3), ("slow", 1), ("long", 1)]).await)
        .await;
    assert_eq!(deaths, DEATHS, "{}", testbed.log());
    let mut jobs = [NEIGHBOURS, NEIGHBOURS, &[(poison, 1)]].concat();
    jobs.extend([("count", 3 * DEATHS), ("slow", DEATHS), ("long", DEATHS)]);
    testbed.assert_clean(&testbed.audit().await, &jobs);
}

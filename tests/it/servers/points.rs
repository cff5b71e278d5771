//! A crash at each named step of a job's path, on servers: another process takes over what the dead one had.

use rstest::rstest;

use super::on_servers;
use crate::process::{Audit, MIXED};

/// Dies at the step, the given number of times later than the first.
fn fault(point: &str, earlier: usize) -> String {
    if earlier == 0 { format!("{point}=return") } else { format!("{point}={earlier}*off->return") }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_at(
    #[values(
        ("relay_before_publish", 1),
        ("relay_after_confirm", 1),
        ("relay_after_delete", 1),
        ("received", 3),
        ("performing", 10),
        ("performed", 10),
        ("claim_before_commit", 3),
        ("after_claim_before_ack", 3),
        ("claimed_in_transaction", 4),
        ("before_commit", 4),
        ("after_commit_before_ack", 4),
        ("in_the_middle_of_settling", 6),
        ("settled", 6),
        ("archived_before_ack", 2)
    )]
    point: (&str, usize),
    #[values(false, true)] later: bool,
) {
    let Some(mut testbed) = on_servers().await else { return };
    testbed.publish(MIXED).await;
    let fault = fault(point.0, if later { point.1 } else { 0 });
    testbed.up(&[], Some(&fault)).dies().await;
    testbed.until_quiet().await;
    testbed.assert_clean(&testbed.audit().await, MIXED);
}

/// The same while another worker goes on beside it: what was the dead one's comes to it by itself.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_process_beside_another_that_dies_at(
    #[values(
        "relay_after_confirm",
        "received",
        "performed",
        "after_claim_before_ack",
        "before_commit",
        "after_commit_before_ack",
        "in_the_middle_of_settling"
    )]
    point: &str,
) {
    let Some(mut testbed) = on_servers().await else { return };
    let dying = testbed.up(&[], Some(&fault(point, 0)));
    let mut other = testbed.up(&[], None);
    other.ready().await;
    // So many, in small steps, that the one that is to die gets its share of each step.
    for _ in 0..8 {
        testbed.publish_with(&["--batch", "3"], MIXED).await;
    }
    dying.dies().await;
    let audit = testbed.until("the other one ends the work", Audit::is_at_rest).await;
    testbed.assert_clean(&audit, &[MIXED; 8].concat());
    other.signal(rustix::process::Signal::TERM);
    other.ends_well().await;
}

/// Jobs that take turns: the dead one's lease expires, and every waiter is woken.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_jobs_share_a_lease_that_dies_at(
    #[values(
        ("claim_before_commit", 2),
        ("after_claim_before_ack", 2),
        ("performing", 3),
        ("before_commit", 2),
        ("after_commit_before_ack", 3),
        ("put_back_before_commit", 0),
        ("put_back_after_commit", 0)
    )]
    point: (&str, usize),
) {
    let jobs = [("long", 6)];
    let Some(mut testbed) = on_servers().await else { return };
    testbed.publish_with(&["--key", "one"], &jobs).await;
    if point.0.starts_with("put_back") {
        // Somebody has to die first, so that there is something to put back.
        testbed.up(&[], Some("performing=return")).dies().await;
    }
    testbed.up(&[], Some(&fault(point.0, point.1))).dies().await;
    testbed.until_quiet().await;
    testbed.assert_clean(&testbed.audit().await, &jobs);
}

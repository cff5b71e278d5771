//! A crash at each named step of a job's path, in each place: whatever is killed there, after the next start every accepted job
//! has ended, with its effect once.

use rstest::rstest;
use rustix::process::Signal;

use crate::place::Place;
use crate::process::{Audit, MIXED, Testbed};

/// Dies at the step, the given number of times later than the first.
fn fault(point: &str, earlier: usize) -> String {
    if earlier == 0 { format!("{point}=return") } else { format!("{point}={earlier}*off->return") }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_at(
    #[values(Place::File, Place::Servers)] place: Place,
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
    let (name, earlier) = point;
    let Some(mut testbed) = place.testbed().await else { return };
    testbed.publish(MIXED).await;
    let fault = fault(name, if later { earlier } else { 0 });
    testbed.up(&[], Some(&fault)).dies().await;
    testbed.until_quiet().await;
    testbed.assert_clean(&testbed.audit().await, MIXED);
}

/// The transaction and what follows it, for each way that a kind uses them.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_one_kind_that_dies_at(
    #[values(
        "claimed_in_transaction",
        "before_commit",
        "after_commit_before_ack",
        "in_the_middle_of_settling"
    )]
    point: &str,
    #[values("count", "slow", "long", "chain", "flaky", "doomed")] kind: &str,
) {
    let jobs = [(kind, 7)];
    let mut testbed = Testbed::new().await;
    testbed.publish(&jobs).await;
    testbed.up(&[], Some(&fault(point, 0))).dies().await;
    testbed.until_quiet().await;
    testbed.assert_clean(&testbed.audit().await, &jobs);
}

/// Steps that belong to the start after a death: here the second death.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_again_at(
    #[values(
        "put_back_before_commit",
        "put_back_after_commit",
        "reconcile_before_commit",
        "reconcile_after_commit",
        "start_recorded",
        "relay_after_confirm",
        "after_commit_before_ack"
    )]
    point: &str,
) {
    let mut testbed = Testbed::new().await;
    testbed.publish(MIXED).await;
    testbed.up(&[], Some(&fault("after_claim_before_ack", 3))).dies().await;
    assert!(testbed.in_flight() > 0);
    testbed.up(&[], Some(&fault(point, 0))).dies().await;
    testbed.until_quiet().await;
    testbed.assert_clean(&testbed.audit().await, MIXED);
}

/// Jobs that take turns: the dead one's lease keeps nobody waiting for ever, and every waiter is woken.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_jobs_share_a_lease_that_dies_at(
    #[values(Place::File, Place::Servers)] place: Place,
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
    let Some(mut testbed) = place.testbed().await else { return };
    testbed.publish_with(&["--key", "one"], &jobs).await;
    if point.0.starts_with("put_back") {
        // Somebody has to die first, so that there is something to put back.
        testbed.up(&[], Some("performing=return")).dies().await;
    }
    testbed.up(&[], Some(&fault(point.0, point.1))).dies().await;
    testbed.until_quiet().await;
    testbed.assert_clean(&testbed.audit().await, &jobs);
}

/// A worker dies while another goes on beside it: what was the dead one's comes to it by itself.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_beside_another_that_dies_at(
    #[values(Place::Servers)] place: Place,
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
    let Some(mut testbed) = place.testbed().await else { return };
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
    other.signal(Signal::TERM);
    other.ends_well().await;
}

/// What the clock publishes: every tick has its job, and every job its tick.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_dies_at(
    #[values(Place::File, Place::Servers)] place: Place,
    #[values("schedule_before_commit", "schedule_after_commit")] point: &str,
    #[values(0, 1)] earlier: usize,
) {
    let Some(testbed) = place.testbed().await else { return };
    testbed.up(&["--each-second"], Some(&fault(point, earlier))).dies().await;
    let up = testbed.up(&["--each-second"], None);
    testbed.until("ticks have their jobs", |audit| audit.ticks.len() >= earlier + 3).await;
    up.signal(Signal::TERM);
    up.ends_well().await;
    testbed.until_quiet().await;
    let audit = testbed.audit().await;
    testbed.assert_clean(&audit, &[("count", audit.ticks.len())]);
    let holes: Vec<_> = audit.ticks.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
    assert!(holes.is_empty(), "{holes:?}\n{}", testbed.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_dies_before_its_commit_has_published_nothing_of_it() {
    let mut testbed = Testbed::new().await;
    let published = testbed
        .publisher(&[], &[("count", 30)])
        .env("FAILPOINTS", fault("publisher_before_commit", 1))
        .output()
        .await;
    testbed.accept(&published.unwrap());
    assert_eq!(testbed.accepted.len(), 10);
    testbed.until_quiet().await;
    testbed.assert_clean(&testbed.audit().await, &[("count", 10)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_dies_after_its_commit_has_published_although_nobody_rang() {
    let mut testbed = Testbed::new().await;
    let mut up = testbed.up(&[], None);
    up.ready().await;
    let published = testbed
        .publisher(&[], &[("count", 30)])
        .env("FAILPOINTS", fault("publisher_after_commit", 1))
        .output()
        .await;
    testbed.accept(&published.unwrap());
    assert_eq!(testbed.accepted.len(), 10);
    let audit =
        testbed.until("both batches end", |audit| audit.effects() == 20 && audit.unfinished() == 0).await;
    testbed.assert_clean(&audit, &[("count", 20)]);
}

/// A step without a test here would be a promise that nobody keeps.
#[test]
fn every_named_step_has_its_crash() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let tested = concat!(include_str!("kill_points.rs"), include_str!("kill_sync.rs"));
    let mut found = 0;
    for folder in ["entities/src", "producer/src", "consumers/src", "graph/src", "src", "tests/testbed/src"] {
        for point in points_below(&root.join(folder)) {
            let named = [format!("\"{point}\""), format!("\"{point}=")];
            assert!(named.iter().any(|named| tested.contains(named)), "`{point}` has no crash");
            found += 1;
        }
    }
    assert!(found >= 20, "only {found} were found: are they still called `fault::point`?");
}

fn points_below(folder: &std::path::Path) -> Vec<String> {
    let mut points = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            points.extend(points_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            for call in ["fault::point(\"", "fault::point_of(\""] {
                let calls = source.split(call).skip(1);
                points.extend(calls.filter_map(|rest| rest.split('"').next()).map(ToOwned::to_owned));
            }
        }
    }
    points
}

//! A crash at each step of the copying of a graph: after the next start both sides are equal, and nothing is left over.

use rstest::rstest;
use rustix::process::Signal;
use serde::Deserialize;

use crate::place::Place;
use crate::process::{Testbed, text};

/// See the testbed's own.
#[derive(Debug, Deserialize)]
struct Copied {
    different: Vec<(String, i64)>,
    rows: i64,
    unfinished: u64,
    unsuccessful: u64,
}

/// Runs one of the testbed's verbs and answers what it prints.
async fn said(testbed: &Testbed, arguments: &[&str]) -> String {
    let ended = testbed.run(arguments).await;
    assert!(ended.status.success(), "{arguments:?}: {}", text(&ended.stderr));
    text(&ended.stdout)
}

async fn copied(testbed: &Testbed) -> Copied {
    serde_json::from_str(&said(testbed, &["copied"]).await).unwrap()
}

/// Starts a worker that works until nothing is left. On servers, other tests hold the changes of this one back for a while: then they are copied by
/// the next cycle, as everywhere.
async fn until_equal(testbed: &Testbed) -> Copied {
    testbed
        .eventually("both sides are equal", async || {
            testbed.up(&["--graphs", "--until-quiet"], None).ends_well().await;
            let copied = copied(testbed).await;
            if copied.different.is_empty() {
                return Some(copied);
            }
            said(testbed, &["graph"]).await;
            None
        })
        .await
}

#[track_caller]
fn assert_quiet(testbed: &Testbed, copied: &Copied) {
    assert_eq!((copied.unfinished, copied.unsuccessful), (0, 0), "{copied:#?}\n{}", testbed.log());
}

/// The first copy of a graph, whose worker dies once.
async fn killed_at(testbed: Testbed, fault: &str) {
    said(&testbed, &["graph", "--documents", "4"]).await;
    testbed.up(&["--graphs"], Some(fault)).dies().await;
    let copied = until_equal(&testbed).await;
    assert!(copied.rows > 40, "{copied:#?}");
    assert_quiet(&testbed, &copied);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_copies_a_graph_and_dies_at(
    #[values(
        "claim_before_commit@sync-cycle=return",
        "after_claim_before_ack@sync-cycle=return",
        "sync_followed=return",
        "sync_noted=return",
        "performed@sync-cycle=return",
        "before_commit@sync-cycle=return",
        "after_commit_before_ack@sync-cycle=return",
        "sync_before_page=return",
        "sync_after_page=return",
        "sync_before_page=3*off->return",
        "sync_after_page=3*off->return",
        "sync_counted=return",
        "before_commit@sync-cycle=1*off->return"
    )]
    fault: &str,
) {
    killed_at(Testbed::new().await, fault).await;
}

#[rstest]
#[case("sync_noted=return")]
#[case("sync_before_page=2*off->return")]
#[case("sync_after_page=4*off->return")]
#[case("before_commit@sync-cycle=1*off->return")]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_copies_a_graph_on_servers_and_dies_at(
    #[values(Place::Servers)] place: Place,
    #[case] fault: &str,
) {
    let Some(testbed) = place.testbed().await else { return };
    killed_at(testbed, fault).await;
}

/// What a document no longer says is removed; the worker dies once meanwhile.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_removes_what_is_gone_and_dies_at(
    #[values(
        "sync_after_page=return",
        "sync_removed=return",
        "sync_counted=return",
        "before_commit@sync-cycle=return"
    )]
    fault: &str,
) {
    let testbed = Testbed::new().await;
    said(&testbed, &["graph", "--documents", "3"]).await;
    let before = until_equal(&testbed).await;
    said(&testbed, &["graph", "--remove"]).await;
    testbed.up(&["--graphs"], Some(fault)).dies().await;
    let after = until_equal(&testbed).await;
    assert!(after.rows < before.rows, "{before:?} {after:?}");
    assert_quiet(&testbed, &after);
}

/// It stands still between two pages for longer than its lease, and another worker copies the graph.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stood_still_while_it_copied_finds_out_and_leaves_what_another_one_copied() {
    let Some(testbed) = Place::Servers.testbed().await else { return };
    said(&testbed, &["graph", "--documents", "4"]).await;
    // It stands between two transactions: one that it held open would be the server's to end.
    let frozen = testbed.up(&["--graphs"], Some("sync_after_page=sleep(5000)"));
    testbed.eventually("it copies", async || (copied(&testbed).await.rows > 0).then_some(())).await;
    frozen.signal(Signal::STOP);
    let copied_by_another = until_equal(&testbed).await;
    assert_quiet(&testbed, &copied_by_another);
    frozen.signal(Signal::CONT);
    let found_out = ["the lease is lost, the work is stopped", "a late worker's result is dropped"];
    let says_so = async || found_out.iter().any(|said| testbed.times_said(said) > 0).then_some(());
    testbed.eventually("it finds out that it is late", says_so).await;
    frozen.signal(Signal::TERM);
    frozen.ends_well().await;
    let copied = copied(&testbed).await;
    assert_eq!((copied.different.as_slice(), copied.rows), (&[][..], copied_by_another.rows));
    assert_quiet(&testbed, &copied);
}

//! The orderly end: SIGTERM under load, and two workers on one file.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::process::{MIXED, Testbed};

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_under_load_loses_nothing_and_leaves_no_suspects() {
    let mut testbed = Testbed::new().await;
    testbed.publish_with(&["--milliseconds", "30"], MIXED).await;
    testbed.publish_with(&["--milliseconds", "30"], MIXED).await;
    let up = testbed.up(&[], None);
    testbed.until("work has begun", |audit| audit.effects() > 0).await;
    up.signal(Signal::TERM);
    up.ends_well().await;
    assert_eq!(testbed.in_flight(), 0);
    assert_eq!(testbed.audit().await.leases, 0);
    testbed.until_quiet().await;
    testbed.assert_clean(&testbed.audit().await, &[MIXED, MIXED].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_longer_than_the_grace_is_handed_back_and_runs_again() {
    let mut testbed = Testbed::new().await;
    testbed.publish_with(&["--milliseconds", "600000"], &[("long", 2)]).await;
    for _ in 0..2 {
        let up = testbed.up(&["--grace", "200"], None);
        testbed.until("both run", |audit| audit.leases == 2).await;
        let told = Instant::now();
        up.signal(Signal::TERM);
        up.ends_well().await;
        assert!(told.elapsed() < Duration::from_secs(10), "the drain took {:?}", told.elapsed());
        assert_eq!(testbed.in_flight(), 0);
        let audit = testbed.audit().await;
        assert_eq!((audit.leases, audit.unfinished(), audit.effects()), (0, 2, 0));
        assert_eq!(audit.kinds["long"].attempts, 0, "a drain is nobody's attempt");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_while_it_drains_loses_nothing() {
    let mut testbed = Testbed::new().await;
    testbed.publish_with(&["--milliseconds", "600000"], &[("long", 1)]).await;
    testbed.publish(MIXED).await;
    let up = testbed.up(&["--grace", "60000"], None);
    testbed
        .until("all but the longest have ended", |audit| audit.leases == 1 && audit.unfinished() == 1)
        .await;
    up.signal(Signal::TERM);
    testbed.until_log_says("draining").await;
    up.signal(Signal::KILL);
    up.dies().await;
    let audit = testbed.audit().await;
    assert_eq!((audit.leases, audit.unfinished()), (1, 1));
    // The lease of the dead does not hold it up.
    let _up = testbed.up(&[], None);
    testbed.until_log_says("a lease expired, the job is put back").await;
    testbed.until("it runs again", |audit| audit.leases == 1 && audit.outbox == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_worker_on_the_file_is_refused_and_disturbs_nobody() {
    let mut testbed = Testbed::new().await;
    let mut first = testbed.up(&[], None);
    first.ready().await;
    testbed.publish(MIXED).await;
    let second = testbed.run(&["up", "--until-quiet"]).await;
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another worker"));
    let audit = testbed.until("the first ends the work", |audit| audit.unfinished() == 0).await;
    testbed.assert_clean(&audit, MIXED);
    first.signal(Signal::TERM);
    first.ends_well().await;
}

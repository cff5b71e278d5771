//! A worker that stands still for longer than its lease and wakes up late.

use rustix::process::Signal;

use super::on_servers;
use crate::process::Audit;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_frozen_past_its_lease_wakes_up_and_writes_nothing() {
    let jobs = [("long", 3), ("count", 20)];
    let Some(mut testbed) = on_servers().await else { return };
    let mut frozen = testbed.up(&[], None);
    frozen.ready().await;
    testbed.publish_with(&["--milliseconds", "1000"], &jobs).await;
    testbed.until("the long ones run", |audit| audit.leases == 3).await;
    frozen.signal(Signal::STOP);
    let mut other = testbed.up(&[], None);
    other.ready().await;
    testbed.until("the other one has done them", |audit| audit.kinds["long"].succeeded == 3).await;
    frozen.signal(Signal::CONT);
    // What it still had is redelivered or put back; the lease of its own that it believes in is none. It finds that out from its
    // lease, or, where its slow half is over sooner, in its transaction.
    let found_out = ["the lease is lost, the work is stopped", "a late worker's result is dropped"];
    let says_so = async || found_out.iter().any(|said| testbed.times_said(said) > 0).then_some(());
    testbed.eventually("it finds out that it is late", says_so).await;
    testbed.publish(&[("count", 5)]).await;
    let audit = testbed.until("all work ends", Audit::is_at_rest).await;
    testbed.assert_clean(&audit, &[("long", 3), ("count", 25)]);
    assert_eq!(audit.kinds["long"].attempts, 2, "the frozen one's try was lost");
    for up in [frozen, other] {
        up.signal(Signal::TERM);
        up.ends_well().await;
    }
}

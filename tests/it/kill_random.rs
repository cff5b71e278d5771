//! Kills at random moments under load. The seed is printed; `ACKORD_SEED` repeats it, as far as a race can be repeated.

use std::time::Duration;

use rustix::process::Signal;

use crate::process::{Testbed, soak};
use crate::random::Random;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_at_random_moments_under_load_loses_and_doubles_nothing() {
    let rounds = if soak() { 300 } else { 20 };
    let mut random = Random::from_environment(0);
    let mut testbed = Testbed::new().await;
    let mut published = Vec::new();
    for round in 0..rounds {
        let jobs = random.jobs();
        let milliseconds = random.below(20).to_string();
        // A process of its own, while the worker starts, runs and dies.
        let publisher = testbed.publisher(&["--milliseconds", &milliseconds], &jobs).spawn().unwrap();
        let up = testbed.up(&["--grace", "100"], None);
        // The moments themselves, not waits for something.
        tokio::time::sleep(Duration::from_millis(random.below(400))).await;
        if random.below(4) == 0 {
            up.signal(Signal::TERM);
            tokio::time::sleep(Duration::from_millis(random.below(60))).await;
        }
        up.signal(Signal::KILL);
        up.ended().await;
        let output = publisher.wait_with_output().await.unwrap();
        assert!(output.status.success(), "round {round}: {}", String::from_utf8_lossy(&output.stderr));
        testbed.accept(&output);
        published.extend(jobs);
    }
    testbed.until_quiet().await;
    let audit = testbed.audit().await;
    published.retain(|(_, number)| *number > 0);
    testbed.assert_clean(&audit, &published);
}

//! Processes killed at random moments under load. The seed is printed; `ACKORD_SEED` repeats it, as far as a race can be
//! repeated.

use std::time::Duration;

use rstest::rstest;
use rustix::process::Signal;

use super::on_servers;
use crate::process::{Audit, Testbed, Up, soak};
use crate::random::Random;

/// Kills in each part of the test.
fn kills() -> usize {
    if soak() { 1_000 } else { 60 }
}

/// Two processes, each a worker with its relay: one is killed, stopped in order or frozen, and started again, while others publish.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn processes_killed_at_random_moments_lose_and_double_nothing(#[values(1, 2, 3, 4)] part: u64) {
    let Some(mut testbed) = on_servers().await else { return };
    let mut random = Random::from_environment(part);
    let mut pair = [start(&testbed), start(&testbed)];
    let mut published = Vec::new();
    for round in 0..kills() {
        let jobs = random.jobs();
        let milliseconds = random.below(20).to_string();
        let publisher = testbed.publisher(&["--milliseconds", &milliseconds], &jobs).spawn().unwrap();
        // The moments themselves, not waits for something.
        tokio::time::sleep(Duration::from_millis(random.below(300))).await;
        let victim = &mut pair[random.number(2)];
        if random.below(8) == 0 {
            victim.signal(Signal::TERM);
            tokio::time::sleep(Duration::from_millis(random.below(60))).await;
        }
        victim.signal(Signal::KILL);
        std::mem::replace(victim, start(&testbed)).ended().await;
        let output = publisher.wait_with_output().await.unwrap();
        assert!(output.status.success(), "round {round}: {}", String::from_utf8_lossy(&output.stderr));
        testbed.accept(&output);
        published.extend(jobs);
    }
    let audit = testbed.until_within(4, "every job ends", Audit::is_at_rest);
    let audit = audit.await;
    published.retain(|(_, number)| *number > 0);
    testbed.assert_clean(&audit, &published);
    eprintln!(
        "seed {} part {part}: {} kills, {} jobs, {} effects, {} dead letters",
        random.seed(),
        kills(),
        audit.ids.len(),
        audit.effects(),
        audit.dead(),
    );
    for up in pair {
        up.signal(Signal::TERM);
        up.ends_well().await;
    }
}

fn start(testbed: &Testbed) -> Up {
    testbed.up(&["--grace", "100"], None)
}

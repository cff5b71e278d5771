//! Processes killed at random moments under load. The seed is printed; `ACKORD_SEED` repeats it, as far as a race can be
//! repeated.

use std::time::Duration;

use rstest::rstest;
use rustix::process::Signal;

use super::on_servers;
use crate::process::{Audit, Testbed, Up, soak};
use crate::random::Random;

/// Kills between two audits. A message that was handed over a hundred times to workers that died is given up by the broker, and
/// rightly so: with many more kills in a row the innocent would be among them.
const KILLS: usize = 60;

/// Rounds in each part of the test, each with a database and a virtual host of its own.
fn rounds() -> usize {
    if soak() { 17 } else { 1 }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn processes_killed_at_random_moments_lose_and_double_nothing(#[values(1, 2, 3, 4)] part: u64) {
    let mut random = Random::from_environment(part);
    for round in 1..=rounds() {
        let Some(testbed) = on_servers().await else { return };
        let done = survived(testbed, &mut random).await;
        eprintln!("seed {} part {part} round {round}: {done}", random.seed());
    }
}

/// Two processes, each a worker with its relay: one is killed, stopped in order or frozen, and started again, while others publish.
async fn survived(mut testbed: Testbed, random: &mut Random) -> String {
    let mut pair = [start(&testbed), start(&testbed)];
    let mut published = Vec::new();
    for kill in 0..KILLS {
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
        assert!(output.status.success(), "kill {kill}: {}", String::from_utf8_lossy(&output.stderr));
        testbed.accept(&output);
        published.extend(jobs);
    }
    let audit = testbed.until_within(4, "every job ends", Audit::is_at_rest).await;
    published.retain(|(_, number)| *number > 0);
    testbed.assert_clean(&audit, &published);
    for up in pair {
        up.signal(Signal::TERM);
        up.ends_well().await;
    }
    let (jobs, effects, dead) = (audit.ids.len(), audit.effects(), audit.dead());
    format!("{KILLS} kills, {jobs} jobs, {effects} effects, {dead} dead letters")
}

fn start(testbed: &Testbed) -> Up {
    testbed.up(&["--grace", "100"], None)
}

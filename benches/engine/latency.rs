//! From publishing to the commit, at a fixed offered load.

use std::time::{Duration, Instant};

use crate::figures::percentile_ms;
use crate::kinds::{Load, SET};
use crate::stage::Engine;

/// Milliseconds.
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) longest: f64,
}

/// Offers `per_second` jobs for `seconds`, each in a transaction of its own, at times that the clock sets and not the engine: a
/// job that the engine keeps waiting does not hold up the next one, and its wait counts from the time it was meant for.
pub(crate) async fn publish_to_commit(per_second: u32, seconds: u32) -> Latency {
    let jobs = (per_second * seconds) as usize;
    let engine = Engine::<SET, 100>::new(jobs).await;
    let (relay, worker) = (engine.relay(), engine.worker());
    let interval = Duration::from_secs(1) / per_second;
    let begun = Instant::now() + Duration::from_millis(200);
    let due = move |number: usize| begun + interval * u32::try_from(number).unwrap();
    let (publisher, runtime) = (engine.publisher.clone(), tokio::runtime::Handle::current());
    // The runtime's own timer is a millisecond coarse.
    let clockwork = std::thread::spawn(move || {
        for number in 0..jobs {
            wait_until(due(number));
            let publisher = publisher.clone();
            runtime.spawn(async move { publisher.publish(&Load::<SET, 100>::new(number)).await });
        }
    });
    let through = engine.all_through().await;
    clockwork.join().unwrap();
    let mut waits: Vec<Duration> =
        through.into_iter().map(|(number, at)| at.duration_since(due(number))).collect();
    waits.sort_unstable();
    relay.stop().await;
    worker.stop().await;
    engine.audit().await;
    Latency {
        p50: percentile_ms(&waits, 0.5),
        p99: percentile_ms(&waits, 0.99),
        longest: percentile_ms(&waits, 1.0),
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, which blocks nobody")]
fn wait_until(time: Instant) {
    std::thread::sleep(time.saturating_duration_since(Instant::now()));
}

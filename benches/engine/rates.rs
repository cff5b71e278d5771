//! Jobs per second, for each shape and group size.

use std::time::Instant;

use crate::kinds::{EACH, EMPTY, PERFORMED, SET};
use crate::stage::Engine;

/// Publishing, relay and worker together: from the first `enqueue_all` to the last commit.
async fn end_to_end<const SHAPE: u8, const GROUP: usize>(jobs: usize) -> f64 {
    let engine = Engine::<SHAPE, GROUP>::new(jobs).await;
    let (relay, worker) = (engine.relay(), engine.worker());
    let payloads = engine.payloads();
    let begun = Instant::now();
    engine.publisher.publish_all(&payloads).await;
    let through = engine.all_through().await;
    let seconds = through.last().unwrap().1.duration_since(begun).as_secs_f64();
    relay.stop().await;
    worker.stop().await;
    engine.audit().await;
    jobs as f64 / seconds
}

/// The worker alone: everything stands in the broker when it starts.
async fn worker_alone<const SHAPE: u8, const GROUP: usize>(jobs: usize) -> f64 {
    let engine = Engine::<SHAPE, GROUP>::new(jobs).await;
    let relay = engine.relay();
    engine.publisher.publish_all(&engine.payloads()).await;
    engine.all_in_broker().await;
    relay.stop().await;
    let begun = Instant::now();
    let worker = engine.worker();
    let through = engine.all_through().await;
    let seconds = through.last().unwrap().1.duration_since(begun).as_secs_f64();
    worker.stop().await;
    engine.audit().await;
    jobs as f64 / seconds
}

/// What is measured: its name, and one figure for each group size (1, 10, 100).
pub(crate) const NAMES: [&str; 8] = [
    "empty handler, end to end",
    "empty handler, worker alone",
    "one-row effect as a set, end to end",
    "one-row effect as a set, worker alone",
    "one-row effect, plain commit, end to end",
    "one-row effect, plain commit, worker alone",
    "one-row effect as a set behind a slow half, end to end",
    "one-row effect as a set behind a slow half, worker alone",
];

/// Both figures of a shape, for groups of `GROUP`.
async fn both<const SHAPE: u8, const GROUP: usize>(jobs: usize) -> [f64; 2] {
    [end_to_end::<SHAPE, GROUP>(jobs).await, worker_alone::<SHAPE, GROUP>(jobs).await]
}

/// All figures for groups of `GROUP`, in the order of [`NAMES`].
pub(crate) async fn of_group<const GROUP: usize>(jobs: usize) -> Vec<f64> {
    [
        both::<EMPTY, GROUP>(jobs).await,
        both::<SET, GROUP>(jobs).await,
        both::<EACH, GROUP>(jobs).await,
        both::<PERFORMED, GROUP>(jobs).await,
    ]
    .concat()
}

//! From publishing to the commit, at a fixed offered load.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ackord_producer::broker::topology::PUBLISH_EXCHANGE;
use ackord_producer::{Publish, enqueue};
use anyhow::{anyhow, ensure};

use super::ground::{Ground, Measured};
use super::kinds::SET;
use super::measure::{message, relay, worker};
use super::probe::Recorder;

/// Offers `per_second` jobs for `seconds`, at times that the clock sets and not the engine (an open loop): a job that is kept
/// waiting does not hold up the next one, and its wait counts from the time it was meant for. Through the outbox, each is
/// published in a transaction of its own. Answers the waits, the shortest first.
pub(super) async fn publish_to_commit(
    ground: &Ground,
    per_second: u32,
    seconds: u32,
    through_outbox: bool,
) -> anyhow::Result<Vec<Duration>> {
    let jobs = per_second as usize * seconds as usize;
    let first = ground.note_published(jobs);
    let recorder = Recorder::new(jobs);
    let (relay, worker) = (relay(ground), worker::<SET>(ground, &recorder)?);
    let interval = Duration::from_secs(1) / per_second;
    let begun = Instant::now() + Duration::from_millis(500);
    let due = move |number: usize| begun + interval * u32::try_from(number - first).unwrap_or(u32::MAX);
    let (database, doorbell, broker) =
        (ground.database.clone(), ground.doorbell.clone(), Arc::clone(&ground.broker));
    let runtime = tokio::runtime::Handle::current();
    // The runtime's own timer is a millisecond coarse.
    let clockwork = std::thread::spawn(move || {
        for number in first..first + jobs {
            wait_until(due(number));
            let (database, doorbell, broker) = (database.clone(), doorbell.clone(), Arc::clone(&broker));
            runtime.spawn(async move {
                if through_outbox {
                    let tx = database.begin().await?;
                    let now = database.clock().now(&tx).await?;
                    enqueue(&tx, &Measured::<SET>::new(number), &Publish::at(now)).await?;
                    tx.commit().await?;
                    doorbell.ring();
                } else {
                    broker.publish(PUBLISH_EXCHANGE, &[message(number)?]).await?;
                }
                anyhow::Ok(())
            });
        }
    });
    let through = recorder.all().await;
    clockwork.join().map_err(|_| anyhow!("the clockwork stopped"))?;
    relay.stop().await?;
    worker.stop().await?;
    ensure!(through.len() == jobs, "only {} of {jobs} jobs are through", through.len());
    let mut waits: Vec<Duration> =
        through.into_iter().map(|(number, at)| at.duration_since(due(number))).collect();
    waits.sort_unstable();
    Ok(waits)
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, which blocks nobody")]
fn wait_until(time: Instant) {
    std::thread::sleep(time.saturating_duration_since(Instant::now()));
}

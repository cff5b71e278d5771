//! From a direct publish to the commit, at a fixed offered load.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;

use crate::Options;
use crate::broker::Broker;
use crate::consume::read;
use crate::database::{Committer, Job};
use crate::publish;

/// Offers the load at times that the clock sets (an open loop): a wait counts from the time that a job was meant for. Answers the waits,
/// the shortest first.
pub(crate) async fn publish_to_commit(options: &Options, broker: &Broker) -> Result<Vec<Duration>> {
    let jobs = (options.load * options.seconds) as usize;
    let interval = Duration::from_secs(1) / options.load;
    let channel = broker.publisher().await?;
    let committer = Committer::open(&options.database).await?;
    let (consuming, consumer) = broker.consumer(1_000).await?;
    let begun = Instant::now() + Duration::from_millis(200);
    let due = move |number: usize| begun + interval * u32::try_from(number).unwrap_or(u32::MAX);
    let runtime = tokio::runtime::Handle::current();
    // The runtime's own timer is a millisecond coarse.
    let clockwork = std::thread::spawn(move || {
        for number in 0..jobs {
            wait_until(due(number));
            let channel = channel.clone();
            runtime.spawn(async move {
                let confirm = publish::one(&channel, number).await?;
                confirm.await?;
                anyhow::Ok(())
            });
        }
    });
    let mut waits = Vec::with_capacity(jobs);
    let mut groups = consumer.ready_chunks(options.group);
    while waits.len() < jobs {
        let group = groups.next().await.context("the consumer ended")?;
        let deliveries: Vec<Delivery> = group.into_iter().collect::<Result<_, _>>()?;
        let work: Vec<Job> = deliveries.iter().map(read).collect::<Result<_>>()?;
        committer.commit_set(&work).await?;
        let now = Instant::now();
        for delivery in &deliveries {
            let payload: serde_json::Value = serde_json::from_slice(&delivery.data)?;
            let number = payload["number"].as_u64().context("a payload without a number")?;
            waits.push(now.duration_since(due(usize::try_from(number)?)));
        }
        if let Some(last) = deliveries.last() {
            consuming.basic_ack(last.delivery_tag, BasicAckOptions { multiple: true }).await?;
        }
    }
    consuming.close(200, "done".into()).await?;
    clockwork.join().map_err(|_| anyhow::anyhow!("the clockwork stopped"))?;
    waits.sort_unstable();
    Ok(waits)
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, which blocks nobody")]
fn wait_until(time: Instant) {
    std::thread::sleep(time.saturating_duration_since(Instant::now()));
}

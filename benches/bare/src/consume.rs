//! Consuming: deliveries in groups, a transaction for each, one acknowledgement for the group.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::StreamExt;
use futures::future::try_join_all;
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;

use crate::broker::Broker;
use crate::database::{Committer, Job};

/// How the effects are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One statement for the group.
    Set,
    /// A savepoint and a statement for each job, over so many connections, each with a consumer of its own.
    Each { connections: usize },
}

/// Takes `jobs` deliveries through to their acknowledgement. Answers how long it took from the first.
pub(crate) async fn all(
    broker: &Broker,
    database: &str,
    shape: Shape,
    jobs: usize,
    group: usize,
) -> Result<Duration> {
    let lanes = match shape {
        Shape::Set => 1,
        Shape::Each { connections } => connections,
    };
    let done = AtomicUsize::new(0);
    let mut committers = Vec::with_capacity(lanes);
    for _ in 0..lanes {
        committers.push(Committer::open(database).await?);
    }
    let begun = Instant::now();
    try_join_all(committers.iter().map(|committer| lane(broker, committer, shape, jobs, group, &done)))
        .await?;
    Ok(begun.elapsed())
}

async fn lane(
    broker: &Broker,
    committer: &Committer,
    shape: Shape,
    jobs: usize,
    group: usize,
    done: &AtomicUsize,
) -> Result<()> {
    let (channel, consumer) = broker.consumer(u16::try_from(group * 4)?).await?;
    let mut groups = consumer.ready_chunks(group);
    while done.load(Ordering::Relaxed) < jobs {
        // The other lane may take the last ones.
        let Ok(group) = tokio::time::timeout(Duration::from_millis(20), groups.next()).await else {
            continue;
        };
        let deliveries: Vec<Delivery> =
            group.context("the consumer ended")?.into_iter().collect::<Result<_, _>>()?;
        let work: Vec<Job> = deliveries.iter().map(read).collect::<Result<_>>()?;
        match shape {
            Shape::Set => committer.commit_set(&work).await?,
            Shape::Each { .. } => committer.commit_each(&work).await?,
        }
        if let Some(last) = deliveries.last() {
            channel.basic_ack(last.delivery_tag, BasicAckOptions { multiple: true }).await?;
        }
        done.fetch_add(deliveries.len(), Ordering::Relaxed);
    }
    channel.close(200, "done".into()).await?;
    Ok(())
}

/// A delivery's id and note.
pub(crate) fn read(delivery: &Delivery) -> Result<Job> {
    let id = delivery.properties.message_id().as_ref().context("a message without an id")?;
    let payload: serde_json::Value = serde_json::from_slice(&delivery.data)?;
    let note = payload["note"].as_str().context("a payload without a note")?;
    Ok((id.as_str().parse()?, note.to_owned()))
}

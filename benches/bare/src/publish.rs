//! Publishing with a window of confirms.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lapin::options::BasicPublishOptions;
use lapin::{Channel, Confirmation, PublisherConfirm};
use uuid::Uuid;

use crate::broker::{Broker, QUEUE, payload, properties};

/// Publishes `jobs` messages with at most `window` of them unconfirmed. Answers how long it took.
pub(crate) async fn all(broker: &Broker, jobs: usize, window: usize) -> Result<Duration> {
    let channel = broker.publisher().await?;
    let begun = Instant::now();
    let mut unconfirmed: VecDeque<PublisherConfirm> = VecDeque::with_capacity(window);
    for number in 0..jobs {
        if unconfirmed.len() >= window
            && let Some(oldest) = unconfirmed.pop_front()
        {
            confirmed(oldest).await?;
        }
        unconfirmed.push_back(one(&channel, number).await?);
    }
    for confirm in unconfirmed {
        confirmed(confirm).await?;
    }
    Ok(begun.elapsed())
}

/// Publishes job `number`.
pub(crate) async fn one(channel: &Channel, number: usize) -> Result<PublisherConfirm> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let body = payload(number);
    Ok(channel
        .basic_publish("".into(), QUEUE.into(), options, body.as_bytes(), properties(Uuid::now_v7()))
        .await?)
}

async fn confirmed(confirm: PublisherConfirm) -> Result<()> {
    let confirmation = confirm.await?;
    ensure!(
        matches!(confirmation, Confirmation::Ack(None)),
        "the broker refused a message: {confirmation:?}"
    );
    Ok(())
}

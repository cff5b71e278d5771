//! Rates, memory, and the audit at the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ackord_consumers::registry::Registry;
use ackord_consumers::worker::{Worker, WorkerOptions};
use ackord_entities::envelope::Message;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::Job;
use ackord_producer::broker::Confirm;
use ackord_producer::broker::topology::PUBLISH_EXCHANGE;
use ackord_producer::relay::{Relay, RelayOptions};
use ackord_producer::{Publish, enqueue_all};
use anyhow::{Context, bail, ensure};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::GROUP;
use super::costs::{Meter, Taken, Watched};
use super::figures::memory_mb;
use super::ground::{Ground, Measured};
use super::kinds::{LoadHandler, SET};
use super::probe::Recorder;

/// Messages that wait for their confirm, over all publishers.
const WINDOW: usize = 1_000;
/// Publishers at once: while one waits for the last confirms of its window, the other sends.
const PUBLISHERS: usize = 2;
/// Jobs that are published in one transaction.
const BATCH: usize = 500;
/// Deliveries that are held for the measurement of memory.
const UNSETTLED: usize = 1_000;
/// Longer than any of it takes.
const PATIENCE: Duration = Duration::from_secs(600);

/// Something that runs until it is stopped.
pub(super) struct Running {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Running {
    fn start<F: Future<Output = ()> + Send + 'static>(run: impl FnOnce(CancellationToken) -> F) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(run(stop.clone()));
        Self { tasks, stop }
    }

    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        Ok(())
    }
}

/// A worker as the program runs it.
pub(super) fn worker<const SHAPE: u8>(ground: &Ground, recorder: &Arc<Recorder>) -> anyhow::Result<Running> {
    let registry = Registry::new().with(LoadHandler::<SHAPE, GROUP> { recorder: Arc::clone(recorder) });
    let (database, broker) = (ground.database.clone(), Arc::clone(&ground.broker));
    let worker = Worker::new(database, broker, registry, ground.doorbell.clone(), WorkerOptions::default())?;
    Ok(Running::start(|stop| worker.run(stop)))
}

/// A relay as the program runs it.
pub(super) fn relay(ground: &Ground) -> Running {
    let (database, broker) = (ground.database.clone(), Arc::clone(&ground.broker));
    let relay = Relay::new(database, broker, ground.doorbell.clone(), RelayOptions::default());
    Running::start(|stop| relay.run(stop))
}

/// A direct publish of job `number`.
pub(super) fn message(number: usize) -> anyhow::Result<Message> {
    Ok(Message {
        message_id: Some(JobId::new().to_string()),
        kind: Some(Measured::<SET>::KIND.to_owned()),
        body: serde_json::to_vec(&Measured::<SET>::new(number))?.into(),
        ..Message::default()
    })
}

/// Publishes `jobs` jobs directly, with confirms. Answers jobs per second.
pub(super) async fn publish(ground: &Ground, jobs: usize) -> anyhow::Result<f64> {
    let first = ground.note_published(jobs);
    let numbers: Vec<usize> = (first..first + jobs).collect();
    let begun = Instant::now();
    let mut publishers = JoinSet::new();
    for part in numbers.chunks(jobs.div_ceil(PUBLISHERS)) {
        let (broker, part) = (Arc::clone(&ground.broker), part.to_vec());
        publishers.spawn(async move {
            for window in part.chunks(WINDOW / PUBLISHERS) {
                let messages: Vec<Message> =
                    window.iter().map(|number| message(*number)).collect::<Result<_, _>>()?;
                let confirms = broker.publish(PUBLISH_EXCHANGE, &messages).await?;
                match confirms.iter().find(|one| **one != Confirm::Confirmed) {
                    None => {}
                    Some(Confirm::Refused(reason)) => bail!("the broker refused a message: {reason}"),
                    Some(_) => {
                        bail!("the broker did not confirm a message in time: its queue may have no leader")
                    }
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = publishers.join_next().await {
        ended??;
    }
    Ok(rate(jobs, begun.elapsed()))
}

/// A worker that finds everything in the queue: from its start to the commit of the last of `jobs`.
pub(super) async fn worker_alone<const SHAPE: u8>(
    ground: &Ground,
    jobs: usize,
    watched: &[Watched],
    steps: &PrometheusHandle,
) -> anyhow::Result<Taken> {
    let recorder = Recorder::new(jobs);
    let before = Meter::read(watched, steps);
    let begun = Instant::now();
    let worker = worker::<SHAPE>(ground, &recorder)?;
    let time = last(&recorder, jobs).await?.duration_since(begun);
    let spent = Meter::read(watched, steps).since(&before);
    worker.stop().await?;
    Ok(Taken { rate: rate(jobs, time), jobs, time, spent })
}

/// Through `enqueue`, outbox, relay and worker: from the first transaction to the last commit.
pub(super) async fn end_to_end(
    ground: &Ground,
    jobs: usize,
    watched: &[Watched],
    steps: &PrometheusHandle,
) -> anyhow::Result<Taken> {
    let recorder = Recorder::new(jobs);
    let (relay, worker) = (relay(ground), worker::<SET>(ground, &recorder)?);
    let first = ground.note_published(jobs);
    let payloads: Vec<Measured<SET>> = (first..first + jobs).map(Measured::new).collect();
    let before = Meter::read(watched, steps);
    let begun = Instant::now();
    for batch in payloads.chunks(BATCH) {
        let tx = ground.database.begin().await?;
        let now = ground.database.clock().now(&tx).await?;
        enqueue_all(&tx, batch, &Publish::at(now)).await?;
        tx.commit().await?;
        ground.doorbell.ring();
    }
    let time = last(&recorder, jobs).await?.duration_since(begun);
    let spent = Meter::read(watched, steps).since(&before);
    relay.stop().await?;
    worker.stop().await?;
    Ok(Taken { rate: rate(jobs, time), jobs, time, spent })
}

/// Resident memory in MB while 1,000 deliveries wait for their answer. They go back unharmed.
pub(super) async fn memory_with_unsettled(ground: &Ground) -> anyhow::Result<f64> {
    publish(ground, UNSETTLED).await?;
    let mut consumer = ground.broker.consume(&Ground::queue(), UNSETTLED).await?;
    let mut held = Vec::with_capacity(UNSETTLED);
    while held.len() < UNSETTLED {
        let delivery = tokio::time::timeout(PATIENCE, consumer.deliveries.recv()).await?;
        held.push(delivery.context("the consumer ended")?);
    }
    let memory = memory_mb(std::process::id(), "VmRSS");
    for delivery in &held {
        let _ = consumer.settler.hand_back(delivery.tag);
    }
    let recorder = Recorder::new(UNSETTLED);
    drop(consumer);
    let worker = worker::<SET>(ground, &recorder)?;
    last(&recorder, UNSETTLED).await?;
    worker.stop().await?;
    Ok(memory)
}

/// Every job that was published has ended well and had its effect, once.
#[derive(Clone, Debug, serde::Serialize)]
pub(super) struct Audit {
    pub(super) published: usize,
    pub(super) succeeded: usize,
    pub(super) effects: usize,
    pub(super) dead_letters: usize,
}

impl Audit {
    /// Whether nothing is lost and nothing doubled.
    pub(super) fn is_clean(&self) -> bool {
        self.succeeded == self.published && self.effects == self.published && self.dead_letters == 0
    }
}

/// Works off what still waits, and counts.
pub(super) async fn drain_and_audit(ground: &Ground) -> anyhow::Result<Audit> {
    let waiting = ground.broker.depth(&Ground::queue()).await?.ready;
    let worker = worker::<SET>(ground, &Recorder::new(0))?;
    let published = ground.published();
    let begun = Instant::now();
    while waiting > 0 && begun.elapsed() < PATIENCE {
        if ground.count("SELECT count(*) FROM effects").await? >= published {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    worker.stop().await?;
    Ok(Audit {
        published,
        succeeded: ground
            .count("SELECT count(*) FROM jobs WHERE kind = 'load' AND state = 'succeeded'")
            .await?,
        effects: ground.count("SELECT count(*) FROM effects").await?,
        dead_letters: ground.count("SELECT count(*) FROM dead_letters").await?,
    })
}

/// When the last of `jobs` was through.
async fn last(recorder: &Recorder, jobs: usize) -> anyhow::Result<Instant> {
    let through = recorder.all().await;
    ensure!(through.len() >= jobs, "only {} of {jobs} jobs are through", through.len());
    Ok(through[jobs - 1].1)
}

#[allow(clippy::cast_precision_loss, reason = "a count becomes a rate")]
fn rate(jobs: usize, time: Duration) -> f64 {
    jobs as f64 / time.as_secs_f64()
}

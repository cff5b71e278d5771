//! A broker that is watched, and that can be told to fall silent: what goes over to the worker is counted on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ackord_consumers::health::Health;
use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, eventually};
use ackord_consumers::worker::{Worker, WorkerOptions};
use ackord_producer::broker::topology::{DEAD_LETTERS, UNROUTABLE};
use ackord_producer::broker::{Around, Broker, BrokerError, Consumer, Depth, EmbeddedBroker};
use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The stage's broker, with somebody between it and the worker.
pub(crate) struct Observed {
    broker: Arc<EmbeddedBroker>,
    /// The next consumers get nothing, and are not told.
    silent: AtomicBool,
    consumers: AtomicUsize,
    deliveries: Arc<AtomicUsize>,
    looks: AtomicUsize,
}

impl Observed {
    pub(crate) fn new(broker: Arc<EmbeddedBroker>) -> Arc<Self> {
        Arc::new(Self {
            broker,
            silent: AtomicBool::new(false),
            consumers: AtomicUsize::new(0),
            deliveries: Arc::default(),
            looks: AtomicUsize::new(0),
        })
    }

    pub(crate) fn fall_silent(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }

    pub(crate) fn speak(&self) {
        self.silent.store(false, Ordering::SeqCst);
    }

    /// How many consumers of kinds were started.
    pub(crate) fn consumers(&self) -> usize {
        self.consumers.load(Ordering::SeqCst)
    }

    /// Waits until somebody has asked for the depth of a queue so many times more.
    pub(crate) async fn looked_at(&self, times: usize) {
        let before = self.looks.load(Ordering::SeqCst);
        let more = async || (self.looks.load(Ordering::SeqCst) >= before + times).then_some(());
        eventually("the queues are looked at", more).await;
    }

    /// How many deliveries of kinds were handed over.
    pub(crate) fn deliveries(&self) -> usize {
        self.deliveries.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Around for Observed {
    fn inner(&self) -> &dyn Broker {
        &*self.broker
    }

    #[allow(clippy::disallowed_methods, reason = "what the prefetch allows")]
    async fn consume(&self, queue: &str, prefetch: usize) -> Result<Consumer, BrokerError> {
        if [DEAD_LETTERS, UNROUTABLE].contains(&queue) {
            return self.broker.consume(queue, prefetch).await;
        }
        let silent = self.silent.load(Ordering::SeqCst);
        let mut consumer = self.broker.consume(queue, if silent { 0 } else { prefetch }).await?;
        self.consumers.fetch_add(1, Ordering::SeqCst);
        let (onward, deliveries) = mpsc::unbounded_channel();
        let (settler, count) = (consumer.settler.clone(), Arc::clone(&self.deliveries));
        tokio::spawn(async move {
            loop {
                let delivery = tokio::select! {
                    () = onward.closed() => return,
                    delivery = consumer.deliveries.recv() => delivery,
                };
                let Some(delivery) = delivery else { return };
                count.fetch_add(1, Ordering::SeqCst);
                if onward.send(delivery).is_err() {
                    return;
                }
            }
        });
        Ok(Consumer { deliveries, settler })
    }

    async fn depth(&self, queue: &str) -> Result<Depth, BrokerError> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.broker.depth(queue).await
    }
}

/// A worker behind an observed broker.
pub(crate) struct Patient {
    pub(crate) health: Health,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Patient {
    pub(crate) fn start(
        stage: &Stage,
        broker: &Arc<Observed>,
        registry: Registry,
        options: WorkerOptions,
    ) -> Self {
        let broker: Arc<dyn Broker> = Arc::clone(broker) as Arc<dyn Broker>;
        let worker =
            Worker::new(stage.database.clone(), broker, registry, stage.doorbell.clone(), options).unwrap();
        let (health, stop) = (worker.health(), CancellationToken::new());
        Self { health, task: tokio::spawn(worker.run(stop.clone())), stop }
    }

    pub(crate) async fn stopped(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

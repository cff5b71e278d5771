//! The archive: keeps what ended in the broker's dead-letter queue or found no queue at all.
//!
//! What our own workers gave up is in the database already and is merely acknowledged. What the broker gave up by itself gets its
//! letter here, and in the same transaction its job's end where that is still open. A direct message that was given up before
//! anything of it was committed gets its job then, which ends at once: a worker that lost its channel may still perform it, and
//! must find that it is too late. What a stranger published into nowhere is nobody's message, so it is kept and ends nothing.

use std::sync::Arc;
use std::time::Duration;

use ackord_entities::database::{Fault, classify};
use ackord_entities::envelope::{DEATH_QUEUE_HEADER, DEATH_REASON_HEADER};
use ackord_entities::error_chain;
use ackord_entities::fault;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::Backoff;
use ackord_entities::queue::dead_letter::{self, NewLetter, Reason};
use ackord_entities::queue::job;
use ackord_producer::broker::topology::{DEAD_LETTERS, UNROUTABLE};
use ackord_producer::broker::{Consumer, Delivery};
use sea_orm::DbErr;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::desk::is_passing;
use super::flush::{Flusher, Mode, Trouble};
use super::item::{Item, Work};
use super::receive;
use super::settle::{Answer, Settlements};
use super::shared::Shared;
use crate::handler::Failure;
use crate::health::ARCHIVE;
use crate::metrics;
use crate::registry::Registry;

const PREFETCH: usize = 100;

/// Archives one of the two queues.
pub(crate) struct Archive {
    pub(crate) shared: Arc<Shared>,
    pub(crate) registry: Registry,
    pub(crate) queue: &'static str,
    /// For how long a message is held that cannot be kept at the moment.
    pub(crate) hold: Duration,
    pub(crate) stop: CancellationToken,
}

impl Archive {
    /// Runs until `stop`.
    pub(crate) async fn run(self) {
        let health = self.shared.health.say();
        while !self.stop.is_cancelled() {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.shared.gate.opened() => {}
            }
            match self.shared.broker.consume(self.queue, PREFETCH).await {
                Ok(consumer) => {
                    health.holds_for(ARCHIVE, self.queue);
                    self.consume(consumer).await;
                }
                Err(error) => {
                    warn!(queue.name = self.queue, error = %error, "the archive has no consumer");
                    health.fails_for(ARCHIVE, self.queue, error.to_string());
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    async fn consume(&self, mut consumer: Consumer) {
        let settlements = Arc::new(Settlements::new(consumer.settler.clone(), None));
        loop {
            let delivery = tokio::select! {
                () = self.stop.cancelled() => return,
                delivery = consumer.deliveries.recv() => match delivery {
                    Some(delivery) => delivery,
                    None => return,
                },
            };
            settlements.received([delivery.tag]);
            if !self.keep_until_kept(&settlements, &delivery).await {
                // Dropped with the consumer, which gives back all it holds.
                return;
            }
            fault::point("archived_before_ack");
            metrics::archived(self.queue);
            settlements.settle(&[(delivery.tag, Answer::Ack)]);
        }
    }

    /// Keeps a message however often that takes. `false`: the archive was told to stop, or the broker would not let it hold
    /// the message any longer.
    async fn keep_until_kept(&self, settlements: &Arc<Settlements>, delivery: &Delivery) -> bool {
        let mut failures = 0;
        let since = Instant::now();
        while let Err(error) = self.keep(settlements, delivery).await {
            failures += 1;
            let text = error_chain(&error);
            if failures == 1 {
                error!(
                    queue.name = self.queue,
                    error = text,
                    "a dead letter cannot be archived at the moment; it stays in its queue"
                );
            }
            self.shared.health.say().fails_for(
                ARCHIVE,
                self.queue,
                format!("a message cannot be archived: {text}"),
            );
            if classify(&error) == Fault::Unavailable || (is_passing(&error) && failures > 1) {
                self.shared.gate.close(text);
            }
            tokio::select! {
                () = self.stop.cancelled() => return false,
                () = tokio::time::sleep_until(since + self.hold) => return false,
                () = tokio::time::sleep(Backoff { longest: Duration::from_secs(10), ..Backoff::DEFAULT }.delay_after(failures)) => {}
            }
        }
        if failures > 0 {
            self.shared.health.say().holds_for(ARCHIVE, self.queue);
        }
        true
    }

    async fn keep(&self, settlements: &Arc<Settlements>, delivery: &Delivery) -> Result<(), DbErr> {
        let (reason, queue) = self.cause(delivery);
        let failure = Failure::new(reason.to_string(), explain(reason, queue.as_deref()));
        let handler = delivery.message.kind.as_deref().and_then(|kind| self.registry.get(kind));
        let Some(handler) = handler.filter(|_| reason != Reason::Unroutable) else {
            // Boxed: it is large, and what waits for it would be as large again and again.
            let kept = Box::pin(self.keep_letter(delivery, reason, queue, &failure));
            return self.shared.database.within_limit(kept).await;
        };
        // The worker's own path: it knows whether the message is still its job's current one.
        let flusher = Flusher { shared: Arc::clone(&self.shared), handler: Arc::clone(handler) };
        for received in
            receive::read(&self.shared, &**handler, settlements, std::slice::from_ref(delivery)).await?
        {
            let mut item = received.item;
            if let (Some(decoded), Some(id)) = (received.decoded, item.id) {
                let seq = item.message.seq.unwrap_or(1);
                if self.may_end(&item, id, reason).await? {
                    item.turn = Some(handler.turn(decoded, id, 1, seq, item.message.traceparent.clone()));
                }
                item.work = Work::GiveUp(reason, failure.clone());
            }
            if let Some(queue) = &queue {
                item.queue = queue.as_str().into();
            }
            flusher.once(&[item], Mode::Savepoints).await.map_err(|trouble| match trouble {
                Trouble::Database { error, .. } => error,
                Trouble::Handler(error) => DbErr::Custom(error.to_string()),
            })?;
        }
        Ok(())
    }

    /// Whether the message is a job's, or is to become one. Where a worker of ours has rejected a direct message that made no job,
    /// its letter is written, and its id stays free for a message that can be used.
    async fn may_end(&self, item: &Item, id: JobId, reason: Reason) -> Result<bool, DbErr> {
        if reason != Reason::Rejected || item.message.seq.is_some() {
            return Ok(true);
        }
        Ok(!job::fences(self.shared.database.read(), &[id]).await?.is_empty())
    }

    /// A message that is no job's here: of a kind that this worker does not know, or that found no queue.
    async fn keep_letter(
        &self,
        delivery: &Delivery,
        reason: Reason,
        queue: Option<String>,
        failure: &Failure,
    ) -> Result<(), DbErr> {
        let tx = self.shared.database.begin().await?;
        let now = self.shared.database.clock().now(&tx).await?;
        let letter = NewLetter {
            job_id: delivery.message.job_id(),
            message: delivery.message.clone(),
            queue,
            reason,
            error: failure.into(),
            attempts: 0,
            first_failed_at: None,
        };
        if dead_letter::insert(&tx, letter, now).await? {
            error!(reason = %reason, queue.name = self.queue, "a message that is no job's here was given up");
        }
        tx.commit().await
    }

    /// Why the message is here, and which queue it was in.
    fn cause(&self, delivery: &Delivery) -> (Reason, Option<String>) {
        if self.queue == UNROUTABLE {
            return (Reason::Unroutable, None);
        }
        let header = |name: &str| delivery.message.other_headers.get(name).cloned();
        let reason = match header(DEATH_REASON_HEADER).as_deref() {
            Some("delivery_limit") => Reason::DeliveryLimit,
            Some("expired" | "maxlen") => Reason::Expired,
            _ => Reason::Rejected,
        };
        (reason, header(DEATH_QUEUE_HEADER))
    }
}

/// The queues that are archived.
pub(crate) const QUEUES: [&str; 2] = [DEAD_LETTERS, UNROUTABLE];

fn explain(reason: Reason, queue: Option<&str>) -> String {
    let queue = queue.unwrap_or("its queue");
    match reason {
        Reason::DeliveryLimit => {
            format!("the broker handed it over from {queue} too often without an answer")
        }
        Reason::Expired => format!("the broker dropped it from {queue}"),
        Reason::Unroutable => "no queue is bound for it: check the kind it names".to_owned(),
        _ => format!("somebody rejected it from {queue} without leaving a cause"),
    }
}

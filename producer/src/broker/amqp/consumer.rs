//! One consumer: a channel of its own, and a task that moves deliveries out and settlements in.
//!
//! | what happens | what becomes of it |
//! |---|---|
//! | the connection is lost, the server closes the channel (a consumer timeout up to 4.2), or cancels the consumer (its queue was deleted, a consumer timeout from 4.3 on) | the deliveries end and every tag is stale: whoever wants to go on starts another consumer |
//! | stopped | the consumer is cancelled; the channel stays until the last settler is gone |
//! | prefetch 0 | the consumer is cancelled and the channel stays, so that what is out can be settled |
//! | another prefetch | cancelled and started again on the same channel, for a prefetch holds for the consumers that are started after it. Under another tag: with one that still has messages out, RabbitMQ 3.10 takes the first message of the new consumer for a gap and its channel crashes |
//!
//! Settlements are not awaited: nothing comes back for them, and what is queued in lapin is never more than was out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::{FutureExt, StreamExt};
use lapin::message::Delivery as LapinDelivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
    BasicRejectOptions, QueueDeclareOptions,
};
use lapin::protocol::AMQPSoftError;
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer as Stream};
use tokio::sync::{mpsc, watch};
use tracing::debug;

use super::connection::{Link, LinkState, Live};
use super::error;
use super::message::incoming;
use super::settle::{AmqpSettler, Command, Unsettled};
use crate::broker::{BrokerError, Consumer, Delivery, Settler, Tag};

/// Numbers the consumers of this process over all connections, so that no tag of one fits another.
static LAST_CONSUMER: AtomicU64 = AtomicU64::new(0);
/// Commands that are carried out, and deliveries that are handed over, before the other is looked at again.
const TURN: usize = 256;
/// What AMQP can say.
const LARGEST_PREFETCH: usize = u16::MAX as usize;

/// Starts a consumer.
pub(super) async fn consume(link: &Link, queue: &str, prefetch: usize) -> Result<Consumer, BrokerError> {
    let live = link.live()?;
    let channel = live.channel().await?;
    let number = LAST_CONSUMER.fetch_add(1, Ordering::Relaxed) + 1;
    let mut source = Source {
        live,
        channel,
        queue: ShortString::try_new(queue).map_err(|_| no_such(queue))?,
        number,
        starts: 0,
        prefetch: 0,
        stream: None,
    };
    source.exists().await?;
    source.set_prefetch(prefetch).await?;
    #[expect(clippy::disallowed_methods, reason = "the prefetch bounds what is in it")]
    let (sender, deliveries) = mpsc::unbounded_channel();
    #[expect(
        clippy::disallowed_methods,
        reason = "settlements are no more than was out; the rest are a caller's few words"
    )]
    let (commands, orders) = mpsc::unbounded_channel();
    let unsettled = Unsettled::new();
    let settler = AmqpSettler { consumer: number, unsettled: Arc::clone(&unsettled), commands };
    let pump = Pump {
        source,
        number,
        queue: queue.into(),
        unsettled,
        orders,
        outlet: Some(sender),
        link: link.watch(),
    };
    tokio::spawn(pump.run());
    Ok(Consumer { deliveries, settler: Settler::new(Arc::new(settler)) })
}

fn no_such(queue: &str) -> BrokerError {
    BrokerError::NoSuchQueue { queue: queue.to_owned() }
}

/// The channel, and the consumer on it while there is one.
struct Source {
    live: Arc<Live>,
    channel: Channel,
    queue: ShortString,
    number: u64,
    /// How often it was started.
    starts: u32,
    prefetch: u16,
    stream: Option<Stream>,
}

impl Source {
    /// Asks for the queue, which a consumer that begins with a prefetch of zero would not.
    async fn exists(&self) -> Result<(), BrokerError> {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let asked = self.channel.queue_declare(self.queue.clone(), passive, FieldTable::default());
        self.live.call(asked).await?.map_err(|error| self.refused(&error))?;
        Ok(())
    }

    /// Lets at most so many be out. Returns with what was handed over before the change still in the old stream, see
    /// [`Pump::change_prefetch`].
    async fn set_prefetch(&mut self, prefetch: usize) -> Result<(), BrokerError> {
        let prefetch = u16::try_from(prefetch.min(LARGEST_PREFETCH)).unwrap_or(u16::MAX);
        if prefetch > 0 {
            let qos = self.channel.basic_qos(prefetch, BasicQosOptions::default());
            self.live.call(qos).await?.map_err(|error| self.refused(&error))?;
            self.starts += 1;
            let consume = self.channel.basic_consume(
                self.queue.clone(),
                self.tag(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            );
            self.stream = Some(self.live.call(consume).await?.map_err(|error| self.refused(&error))?);
        }
        self.prefetch = prefetch;
        Ok(())
    }

    /// The name of the running consumer.
    fn tag(&self) -> ShortString {
        format!("ackord-{}-{}", self.number, self.starts).into()
    }

    /// Cancels the consumer, if there is one. Answers what it was still given.
    async fn cancel(&mut self) -> Result<Vec<LapinDelivery>, BrokerError> {
        let Some(mut stream) = self.stream.take() else { return Ok(Vec::new()) };
        let cancel = self.channel.basic_cancel(self.tag(), BasicCancelOptions::default());
        self.live.call(cancel).await?.map_err(|error| self.refused(&error))?;
        // lapin ends the stream when the server has confirmed, behind all that came before.
        let rest = async {
            let mut rest = Vec::new();
            while let Some(Ok(delivery)) = stream.next().await {
                rest.push(delivery);
            }
            rest
        };
        self.live.call(rest).await
    }

    fn refused(&self, error: &lapin::Error) -> BrokerError {
        let queue = self.queue.as_str();
        match error::soft(error) {
            Some((AMQPSoftError::NOTFOUND, _)) => no_such(queue),
            Some((AMQPSoftError::ACCESSREFUSED | AMQPSoftError::RESOURCELOCKED, reason)) => {
                BrokerError::Refused { what: format!("consuming `{queue}`"), reason }
            }
            _ => BrokerError::Closed,
        }
    }
}

/// The task of one consumer.
struct Pump {
    source: Source,
    number: u64,
    queue: Arc<str>,
    unsettled: Arc<Unsettled>,
    orders: mpsc::UnboundedReceiver<Command>,
    /// `None` once it was stopped.
    outlet: Option<mpsc::UnboundedSender<Delivery>>,
    link: watch::Receiver<LinkState>,
}

/// What woke the task.
enum Woken {
    Ordered,
    Delivered(Box<LapinDelivery>),
    /// The channel, the consumer, the last settler or the receiver is gone.
    Over,
    Changed,
}

impl Pump {
    async fn run(mut self) {
        let mut orders = Vec::new();
        loop {
            match self.wait(&mut orders).await {
                Woken::Ordered => {
                    for order in orders.drain(..) {
                        if self.obey(order).await.is_err() {
                            return self.end().await;
                        }
                    }
                }
                Woken::Delivered(delivery) => {
                    if !self.deliver_all(*delivery).await {
                        return self.end().await;
                    }
                }
                Woken::Changed if self.is_open() => {}
                Woken::Changed | Woken::Over => return self.end().await,
            }
        }
    }

    async fn wait(&mut self, orders: &mut Vec<Command>) -> Woken {
        let stream = async {
            match &mut self.source.stream {
                Some(stream) => stream.next().await,
                None => std::future::pending().await,
            }
        };
        let hang_up = async {
            match &self.outlet {
                Some(outlet) => outlet.closed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ordered = self.orders.recv_many(orders, TURN) => if ordered > 0 { Woken::Ordered } else { Woken::Over },
            delivery = stream => match delivery {
                Some(Ok(delivery)) => Woken::Delivered(Box::new(delivery)),
                Some(Err(_)) | None => Woken::Over,
            },
            () = hang_up => Woken::Over,
            _ = self.link.changed() => Woken::Changed,
        }
    }

    /// Whether channel and connection are still what they were. A connection that was given up may be a long time closing.
    fn is_open(&mut self) -> bool {
        let link = self.link.borrow_and_update();
        link.is(self.source.live.epoch) && self.source.channel.status().connected()
    }

    /// Hands over this delivery and those that wait behind it. Answers whether there is more to come.
    async fn deliver_all(&mut self, first: LapinDelivery) -> bool {
        self.deliver(first).await;
        for _ in 1..TURN {
            let Some(stream) = &mut self.source.stream else { return true };
            match stream.next().now_or_never() {
                None => return true,
                Some(Some(Ok(delivery))) => self.deliver(delivery).await,
                Some(_) => return false,
            }
        }
        true
    }

    async fn deliver(&mut self, delivery: LapinDelivery) {
        let number = delivery.delivery_tag;
        let Some(outlet) = &self.outlet else { return self.nack(number).await };
        let (message, deliveries_before) = incoming(delivery);
        // Before it is sent: it may be settled at once.
        self.unsettled.insert(number);
        let tag = Tag { consumer: self.number, number };
        // Where nobody listens any more, the end of the channel gives it back.
        let _ = outlet.send(Delivery { message, tag, deliveries_before, queue: Arc::clone(&self.queue) });
    }

    async fn obey(&mut self, order: Command) -> Result<(), BrokerError> {
        let channel = &self.source.channel;
        match order {
            Command::Ack { number, multiple } => {
                begin(channel.basic_ack(number, BasicAckOptions { multiple })).await;
            }
            Command::Reject { number, requeue } => {
                begin(channel.basic_reject(number, BasicRejectOptions { requeue })).await;
            }
            Command::Nack { number } => self.nack(number).await,
            Command::Stop => {
                for delivery in self.source.cancel().await? {
                    self.deliver(delivery).await;
                }
                self.outlet = None;
            }
            Command::SetPrefetch(prefetch) => self.change_prefetch(prefetch).await?,
        }
        Ok(())
    }

    async fn change_prefetch(&mut self, prefetch: usize) -> Result<(), BrokerError> {
        if self.outlet.is_none() || usize::from(self.source.prefetch) == prefetch.min(LARGEST_PREFETCH) {
            return Ok(());
        }
        for delivery in self.source.cancel().await? {
            self.deliver(delivery).await;
        }
        self.source.set_prefetch(prefetch).await
    }

    async fn nack(&self, number: u64) {
        let options = BasicNackOptions { multiple: false, requeue: true };
        begin(self.source.channel.basic_nack(number, options)).await;
    }

    /// Ends it. The server gives back what is out when the channel closes, which dropping it does: behind what was settled
    /// before.
    async fn end(mut self) {
        self.unsettled.close();
        while let Ok(order) = self.orders.try_recv() {
            if !matches!(order, Command::Stop | Command::SetPrefetch(_)) && self.obey(order).await.is_err() {
                break;
            }
        }
        debug!(queue.name = &*self.queue, consumer = self.number, "a consumer ended");
    }
}

/// Queues a frame without waiting until it is written: lapin queues it when the call is first polled, and nothing more is lost
/// with the call than the answer that it was written.
async fn begin(call: impl Future<Output = lapin::Result<()>>) {
    let call = std::pin::pin!(call);
    let _ = futures::poll!(call);
}

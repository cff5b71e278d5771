//! Publishing in windows of confirms.
//!
//! Each window has a channel to itself, out of a pool that is as large as there are publishers at once. A channel is used
//! again when its whole window was confirmed; after anything else it is replaced, since a channel that published while a
//! queue's leader was changing can nack for ever, while a new one works at once.
//!
//! A queue without a leader confirms nothing. RabbitMQ grants a channel 32 messages that such a queue owes a confirm for; after
//! that the channel takes what the connection has credit for, and then the server reads nothing more from the connection, be
//! it for another queue or another channel. It says so nowhere, and goes on with its heartbeats. So a window whose confirms stay
//! away closes its channel, and where even that is not answered the connection is replaced.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ackord_entities::envelope::Message;
use futures::future::{MaybeDone, maybe_done};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::protocol::AMQPSoftError;
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, ExchangeKind};
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::{Link, Live};
use super::error;
use super::message::Outgoing;
use super::window::{Place, Window};
use crate::broker::{BrokerError, Confirm, Notice};

/// Messages that are handed to lapin before it is waited for: enough for it to write without a pause, few enough that what
/// lies encoded in memory stays small however large the window is.
const STRIDE: usize = 256;

/// How long a window is waited for that was under way when the server began to take nothing.
const HELD_UP: Duration = Duration::from_secs(1);
/// How long the server may take to close a channel whose messages it has not confirmed. It is not busy with them.
const CLOSING: Duration = Duration::from_secs(2);

/// Always, so that a message that no queue wants comes back.
const MANDATORY: BasicPublishOptions = BasicPublishOptions { mandatory: true, immediate: false };

/// The publishing half.
pub(super) struct Publisher {
    link: Arc<Link>,
    idle: Mutex<Vec<Line>>,
    notices: tokio::sync::Mutex<Option<(u64, Channel)>>,
}

/// A channel with confirms.
struct Line {
    channel: Channel,
    epoch: u64,
    /// Exchanges that are known to be there. A message to one that is not closes the channel while more are under way to it,
    /// which the server answers by closing the whole connection.
    exchanges: Vec<String>,
}

impl Publisher {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link, idle: Mutex::default(), notices: tokio::sync::Mutex::default() }
    }

    /// Publishes one window and waits for what became of each message.
    pub(super) async fn publish(
        &self,
        exchange: &str,
        messages: &[Message],
    ) -> Result<Vec<Confirm>, BrokerError> {
        let live = self.link.unblocked()?;
        tokio::select! {
            biased;
            confirms = self.publish_over(&live, exchange, messages) => confirms,
            // What was sent before the server stopped reading it takes when it goes on. The caller has waited long enough: it
            // may hold a transaction open.
            () = self.link.held_up(HELD_UP) => Err(BrokerError::Closed),
            // Somebody has found out that nothing comes back over this connection.
            () = self.link.replaced(live.epoch) => Err(BrokerError::Closed),
        }
    }

    async fn publish_over(
        &self,
        live: &Live,
        exchange: &str,
        messages: &[Message],
    ) -> Result<Vec<Confirm>, BrokerError> {
        let mut line = self.line(live).await?;
        line.know(live, exchange).await?;
        let (confirms, is_as_new) = line.publish(live, exchange, messages).await?;
        if is_as_new {
            self.idle().push(line);
        }
        Ok(confirms)
    }

    /// Publishes notices and waits only until they are written.
    pub(super) async fn announce(&self, exchange: &str, notices: &[Notice]) -> Result<(), BrokerError> {
        let live = self.link.unblocked()?;
        let mut line = self.notices.lock().await;
        let channel = match &*line {
            Some((epoch, channel)) if *epoch == live.epoch && channel.status().connected() => channel.clone(),
            _ => live.channel().await?,
        };
        let properties = BasicProperties::default().with_content_type("application/json".into());
        let options = BasicPublishOptions::default();
        let send = async {
            for notices in notices.chunks(STRIDE) {
                let mut sends = Vec::with_capacity(notices.len());
                for Notice { routing_key, body } in notices {
                    let key = ShortString::try_new(routing_key.as_str()).unwrap_or_default();
                    sends.push(channel.basic_publish(
                        exchange.into(),
                        key,
                        options,
                        body,
                        properties.clone(),
                    ));
                }
                send_in_order(sends).await?;
            }
            Ok::<(), lapin::Error>(())
        };
        let sent = live.call(send).await?;
        *line = sent.is_ok().then_some((live.epoch, channel));
        sent.map_err(|_| BrokerError::Closed)
    }

    /// An idle channel of this connection, or a new one.
    async fn line(&self, live: &Live) -> Result<Line, BrokerError> {
        {
            let mut idle = self.idle();
            idle.retain(|line| line.epoch == live.epoch && line.channel.status().connected());
            if let Some(line) = idle.pop() {
                return Ok(line);
            }
        }
        let channel = live.channel().await?;
        let selected = live.call(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        selected.map_err(|_| BrokerError::Closed)?;
        Ok(Line { channel, epoch: live.epoch, exchanges: Vec::new() })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Line>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Makes sure that the exchange is there. Once per channel: exchanges are not deleted.
    async fn know(&mut self, live: &Live, exchange: &str) -> Result<(), BrokerError> {
        // The default exchange is always there, and may not be asked for.
        if exchange.is_empty() || self.exchanges.iter().any(|known| known == exchange) {
            return Ok(());
        }
        let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let asked = self.channel.exchange_declare(
            exchange.into(),
            ExchangeKind::Direct,
            passive,
            FieldTable::default(),
        );
        live.call(asked).await?.map_err(|error| refused(&error, exchange))?;
        self.exchanges.push(exchange.to_owned());
        Ok(())
    }

    /// Sends all, then waits for all as long as answers come. Answers also whether the channel is as good as new.
    async fn publish(
        &self,
        live: &Live,
        exchange: &str,
        messages: &[Message],
    ) -> Result<(Vec<Confirm>, bool), BrokerError> {
        let deadline = Instant::now() + live.deadline;
        let mut window = Window::new(messages);
        for messages in messages.chunks(STRIDE) {
            match timeout_at(deadline, self.send(exchange, messages, &mut window)).await {
                Ok(sent) => sent.map_err(|error| refused(&error, exchange))?,
                // The server does not read. The rest is not sent.
                Err(_) => break,
            }
        }
        window.wait(live.unanswered_after, deadline).await.map_err(|error| refused(&error, exchange))?;
        if window.is_open() {
            self.give_up(live).await?;
        }
        Ok(window.close())
    }

    /// Ends a channel whose messages are not confirmed, so that what it has sent comes to nothing more, and every answer that
    /// came after all is there.
    async fn give_up(&self, live: &Live) -> Result<(), BrokerError> {
        if !live.takes_messages() {
            return Err(BrokerError::Closed);
        }
        let closing = self.channel.close(200, "messages were not confirmed".into());
        if timeout(CLOSING, closing).await.is_err() {
            live.condemn();
        }
        Ok(())
    }

    async fn send(&self, exchange: &str, messages: &[Message], window: &mut Window<'_>) -> lapin::Result<()> {
        let mut sends = Vec::with_capacity(messages.len());
        let mut reasons = Vec::with_capacity(messages.len());
        for message in messages {
            let sent = Outgoing::of(message, exchange).map(|Outgoing { routing_key, properties }| {
                let body = &message.body;
                sends.push(self.channel.basic_publish(
                    exchange.into(),
                    routing_key,
                    MANDATORY,
                    body,
                    properties,
                ));
            });
            reasons.push(sent.err());
        }
        let mut confirms = send_in_order(sends).await?.into_iter();
        for reason in reasons {
            match reason {
                None => confirms.by_ref().take(1).for_each(|confirm| window.push(Place::Sent(confirm))),
                Some(reason) => window.push(Place::Known(Confirm::Refused(reason))),
            }
        }
        Ok(())
    }
}

/// Hands all of it to lapin in this order, then waits until all of it is written. lapin queues a frame when the call that
/// makes it is polled first; awaiting one call after the other would cost a turn of its thread for each message.
async fn send_in_order<F: Future<Output = lapin::Result<T>>, T>(
    sends: impl IntoIterator<Item = F>,
) -> lapin::Result<Vec<T>> {
    let mut begun: Vec<Pin<Box<MaybeDone<F>>>> = Vec::new();
    for send in sends {
        let mut send = Box::pin(maybe_done(send));
        let _ = futures::poll!(send.as_mut());
        begun.push(send);
    }
    let mut sent = Vec::with_capacity(begun.len());
    for mut send in begun {
        send.as_mut().await;
        if let Some(answer) = send.as_mut().take_output() {
            sent.push(answer?);
        }
    }
    Ok(sent)
}

fn refused(error: &lapin::Error, exchange: &str) -> BrokerError {
    match error::soft(error) {
        Some((AMQPSoftError::NOTFOUND, _)) => BrokerError::NoSuchExchange { exchange: exchange.to_owned() },
        Some((AMQPSoftError::ACCESSREFUSED, reason)) => {
            BrokerError::Refused { what: format!("publishing to `{exchange}`"), reason }
        }
        _ => BrokerError::Closed,
    }
}

//! Declaring and comparing.
//!
//! AMQP has no question for the arguments of a queue: it is declared again, which changes nothing where they are the same and is
//! refused with their names where they are not. A refusal closes the channel, so each declaration that may be refused has one to
//! lose. All of it goes over the consuming connection, which the server reads also while it is short of memory or disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::AMQPSoftError;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::connection::{Link, Live};
use super::error;
use crate::broker::topology::{Argument, Binding, Exchange, Queue, Routing, Topology};
use crate::broker::{Applied, BrokerError, Difference};

/// Declares what is missing, compares what is there, and makes no queue anew that somebody has seen `there`.
pub(super) async fn apply(
    link: &Link,
    topology: &Topology,
    there: &BTreeSet<String>,
) -> Result<Applied, BrokerError> {
    let mut desk = Desk::new(link.live()?);
    let mut applied = Applied::default();
    for queue in topology.queues() {
        let was_there = there.contains(&queue.name);
        let before = desk.queue(&queue.name).await?;
        if was_there && before.is_none() {
            return Err(BrokerError::NoSuchQueue { queue: queue.name });
        }
        let after = desk.declare_queue(&queue).await?;
        match before {
            None => applied.created.push(queue.name),
            // Deleted since the question, and declared anew by the one thing that compares its arguments.
            Some(before) if was_there && is_used(&before) && !is_used(&after) => {
                return Err(BrokerError::NoSuchQueue { queue: queue.name });
            }
            Some(_) => {}
        }
    }
    for exchange in topology.exchanges() {
        desk.declare_exchange(&exchange).await?;
    }
    for binding in topology.bindings() {
        desk.bind(&binding).await?;
    }
    Ok(applied)
}

/// Compares, and declares nothing: what is missing is not declared, and what is there is changed by no declaration.
pub(super) async fn verify(link: &Link, topology: &Topology) -> Result<Vec<Difference>, BrokerError> {
    let mut desk = Desk::new(link.live()?);
    let mut differences = Vec::new();
    let missing = |what: &str, kind: &str| Difference {
        what: what.to_owned(),
        problem: format!("there is no such {kind}"),
        remedy: "apply the topology".to_owned(),
    };
    for queue in topology.queues() {
        if desk.queue_is_there(&queue.name).await? {
            different(desk.declare_queue(&queue).await.map(drop), &mut differences)?;
        } else {
            differences.push(missing(&queue.name, "queue"));
        }
    }
    for exchange in topology.exchanges() {
        if desk.exchange_is_there(exchange.name).await? {
            different(desk.declare_exchange(&exchange).await, &mut differences)?;
        } else {
            differences.push(missing(exchange.name, "exchange"));
        }
    }
    Ok(differences)
}

fn different(
    compared: Result<(), BrokerError>,
    differences: &mut Vec<Difference>,
) -> Result<(), BrokerError> {
    match compared {
        Ok(()) => Ok(()),
        Err(BrokerError::Refused { what, reason }) => {
            let remedy =
                "give the user of ackord the permission to configure and to read and write `ackord\\..*`";
            differences.push(Difference { what, problem: reason, remedy: remedy.to_owned() });
            Ok(())
        }
        Err(error @ BrokerError::Mismatch { .. }) => {
            differences.extend(error.into_difference());
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// A connection with a channel on it that may be lost at any question.
pub(super) struct Desk {
    live: Arc<Live>,
    channel: Option<Channel>,
}

impl Desk {
    pub(super) fn new(live: Arc<Live>) -> Self {
        Self { live, channel: None }
    }

    async fn ask<T, F: Future<Output = lapin::Result<T>>>(
        &mut self,
        question: impl FnOnce(Channel) -> F,
    ) -> Result<lapin::Result<T>, BrokerError> {
        let channel = match self.channel.take() {
            Some(channel) => channel,
            None => self.live.channel().await?,
        };
        let answer = self.live.call(question(channel.clone())).await?;
        self.channel = answer.is_ok().then_some(channel);
        Ok(answer)
    }

    async fn queue_is_there(&mut self, name: &str) -> Result<bool, BrokerError> {
        Ok(self.queue(name).await?.is_some())
    }

    /// The queue as it is, if it is there.
    pub(super) async fn queue(&mut self, name: &str) -> Result<Option<lapin::Queue>, BrokerError> {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let (queue, arguments) = (name.into(), FieldTable::default());
        let found =
            self.ask(|channel| async move { channel.queue_declare(queue, passive, arguments).await }).await?;
        there(found, || format!("looking at the queue `{name}`"))
    }

    async fn exchange_is_there(&mut self, name: &str) -> Result<bool, BrokerError> {
        let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let (exchange, arguments) = (name.into(), FieldTable::default());
        let kind = ExchangeKind::Direct;
        let found = self
            .ask(|channel| async move { channel.exchange_declare(exchange, kind, passive, arguments).await })
            .await?;
        Ok(there(found, || format!("looking at the exchange `{name}`"))?.is_some())
    }

    pub(super) async fn declare_queue(&mut self, queue: &Queue) -> Result<lapin::Queue, BrokerError> {
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let (name, arguments) = (queue.name.as_str().into(), arguments(queue));
        let declared =
            self.ask(|channel| async move { channel.queue_declare(name, durable, arguments).await }).await?;
        declared.map_err(|error| refused(&error, &queue.name, "queue"))
    }

    async fn declare_exchange(&mut self, exchange: &Exchange) -> Result<(), BrokerError> {
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let mut arguments = FieldTable::default();
        if let Some(alternate) = exchange.alternate {
            arguments.insert("alternate-exchange".into(), AMQPValue::LongString(alternate.into()));
        }
        let kind = match exchange.routing {
            Routing::Direct => ExchangeKind::Direct,
            Routing::Fanout => ExchangeKind::Fanout,
            Routing::Topic => ExchangeKind::Topic,
        };
        let name = exchange.name.into();
        let declared = self
            .ask(|channel| async move { channel.exchange_declare(name, kind, durable, arguments).await })
            .await?;
        declared.map_err(|error| refused(&error, exchange.name, "exchange"))
    }

    async fn bind(&mut self, binding: &Binding) -> Result<(), BrokerError> {
        let (queue, exchange) = (binding.queue.as_str().into(), binding.exchange.into());
        let (key, options) = (binding.key.as_str().into(), QueueBindOptions::default());
        let bound = self
            .ask(|channel| async move {
                channel.queue_bind(queue, exchange, key, options, FieldTable::default()).await
            })
            .await?;
        bound.map_err(|error| refused(&error, &binding.queue, "binding"))
    }
}

/// A queue that is new has neither.
fn is_used(queue: &lapin::Queue) -> bool {
    queue.message_count() > 0 || queue.consumer_count() > 0
}

fn arguments(queue: &Queue) -> FieldTable {
    let mut arguments = FieldTable::default();
    for (name, value) in queue.arguments() {
        let value = match value {
            Argument::Text(text) => AMQPValue::LongString(text.into()),
            Argument::Number(number) => AMQPValue::LongInt(number),
        };
        arguments.insert(name.into(), value);
    }
    arguments
}

fn there<T>(found: lapin::Result<T>, what: impl FnOnce() -> String) -> Result<Option<T>, BrokerError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) => match error::soft(&error) {
            Some((AMQPSoftError::NOTFOUND, _)) => Ok(None),
            Some((_, reason)) => Err(BrokerError::Refused { what: what(), reason }),
            None => Err(BrokerError::Closed),
        },
    }
}

fn refused(error: &lapin::Error, name: &str, kind: &str) -> BrokerError {
    match error::soft(error) {
        Some((AMQPSoftError::PRECONDITIONFAILED, reason)) => mismatch(name, &reason),
        Some((_, reason)) => BrokerError::Refused { what: format!("the {kind} `{name}`"), reason },
        None => BrokerError::Closed,
    }
}

/// Reads the server's words about a difference, such as `PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue
/// 'ackord.a' in vhost '/': received the value '4' of type 'signedint' but current is the value '3' of type 'signedint'`.
fn mismatch(name: &str, reason: &str) -> BrokerError {
    let read = || {
        let (_, rest) = reason.split_once("inequivalent arg '")?;
        let (what, rest) = rest.split_once('\'')?;
        let (wanted, found) = rest.split_once(": received ")?.1.split_once(" but current is ")?;
        Some((property(what), value(wanted), value(found)))
    };
    let (what, wanted, found) =
        read().unwrap_or_else(|| ("property".to_owned(), "this".to_owned(), reason.to_owned()));
    BrokerError::Mismatch { queue: name.to_owned(), what, found, wanted }
}

fn property(argument: &str) -> String {
    argument.strip_prefix("x-").unwrap_or(argument).replace(['-', '_'], " ")
}

/// `the value '4' of type 'signedint'`, `'true'`, or `none`.
fn value(words: &str) -> String {
    let quoted = words.split_once('\'').and_then(|(_, rest)| rest.split_once('\''));
    quoted.map_or(words, |(value, _)| value).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reason: &str) -> (String, String, String) {
        match mismatch("ackord.a", reason) {
            BrokerError::Mismatch { what, found, wanted, .. } => (what, found, wanted),
            error => panic!("{error}"),
        }
    }

    #[test]
    fn the_servers_words_about_a_difference_are_understood() {
        let of =
            |what: &str, found: &str, wanted: &str| (what.to_owned(), found.to_owned(), wanted.to_owned());
        let limit = "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue 'ackord.a' in vhost '/': received the value '4' of type 'signedint' but current is the value '3' of type 'signedint'";
        assert_eq!(read(limit), of("delivery limit", "3", "4"));
        let missing = "PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-exchange' for queue 'ackord.a' in vhost 'v': received the value 'ackord.dead' of type 'longstr' but current is none";
        assert_eq!(read(missing), of("dead letter exchange", "none", "ackord.dead"));
        let durable = "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'ackord.jobs' in vhost '/': received 'true' but current is 'false'";
        assert_eq!(read(durable), of("durable", "false", "true"));
    }

    #[test]
    fn words_that_are_not_understood_are_passed_on() {
        assert_eq!(
            read("PRECONDITION_FAILED - no"),
            ("property".to_owned(), "PRECONDITION_FAILED - no".to_owned(), "this".to_owned())
        );
    }
}

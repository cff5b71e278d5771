//! The broker: one quorum queue, a connection that publishes and one that consumes.

use anyhow::Result;
use lapin::options::{
    BasicConsumeOptions, BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use uuid::Uuid;

/// The queue of this program.
pub(crate) const QUEUE: &str = "ackord_bare";

/// Both connections.
pub(crate) struct Broker {
    publishing: Connection,
    consuming: Connection,
}

impl Broker {
    /// Connects, and makes the queue anew.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let publishing = Connection::connect(url, ConnectionProperties::default()).await?;
        let consuming = Connection::connect(url, ConnectionProperties::default()).await?;
        let broker = Self { publishing, consuming };
        broker.remove().await?;
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(LongString::from("quorum")));
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        broker.consuming.create_channel().await?.queue_declare(QUEUE.into(), options, arguments).await?;
        Ok(broker)
    }

    /// Removes the queue.
    pub(crate) async fn remove(&self) -> Result<()> {
        let channel = self.consuming.create_channel().await?;
        channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
        Ok(())
    }

    /// A channel with confirms.
    pub(crate) async fn publisher(&self) -> Result<Channel> {
        let channel = self.publishing.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    }

    /// A consumer that holds at most `prefetch` deliveries.
    pub(crate) async fn consumer(&self, prefetch: u16) -> Result<(Channel, Consumer)> {
        let channel = self.consuming.create_channel().await?;
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(QUEUE.into(), "".into(), options, FieldTable::default()).await?;
        Ok((channel, consumer))
    }
}

/// Persistent, with an id.
pub(crate) fn properties(id: Uuid) -> BasicProperties {
    BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/json".into())
        .with_message_id(id.to_string().into())
}

/// The payload that the engine's bench has too.
pub(crate) fn payload(number: usize) -> String {
    format!("{{\"number\":{number},\"note\":\"the note of job number {number:>8}, of a usual length\"}}")
}

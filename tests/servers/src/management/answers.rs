//! What the management API tells. Fields that a test does not need are left out; figures that RabbitMQ has not
//! collected yet are 0.

use serde::Deserialize;
use serde_json::{Map, Value};

/// What the server is.
#[derive(Clone, Debug, Deserialize)]
pub struct Overview {
    /// The version, as `3.10.8`.
    pub rabbitmq_version: String,
    /// The node that answered.
    pub node: String,
}

/// A node of the cluster.
#[derive(Clone, Debug, Deserialize)]
pub struct NodeState {
    /// `name@host`.
    pub name: String,
    /// Whether it takes part now.
    #[serde(default)]
    pub running: bool,
    /// Whether its memory alarm blocks publishers.
    #[serde(default)]
    pub mem_alarm: bool,
    /// Whether its disk alarm blocks publishers.
    #[serde(default)]
    pub disk_free_alarm: bool,
}

/// A queue.
#[derive(Clone, Debug, Deserialize)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// `quorum`, `classic` or `stream`.
    #[serde(default)]
    pub r#type: String,
    /// The arguments it was declared with, `x-queue-type` among them.
    #[serde(default)]
    pub arguments: Map<String, Value>,
    /// `running` where somebody answers for it. `None` says that nobody has yet; of a quorum queue that is its leader.
    pub state: Option<String>,
    /// Messages that wait.
    #[serde(default, rename = "messages_ready")]
    pub ready: u64,
    /// Messages that consumers hold.
    #[serde(default, rename = "messages_unacknowledged")]
    pub unacked: u64,
    /// Who consumes it.
    #[serde(default)]
    pub consumers: u64,
    /// The node whose replica decides; quorum queues only.
    pub leader: Option<String>,
    /// The nodes with a replica; quorum queues only.
    #[serde(default)]
    pub members: Vec<String>,
    /// Those of them that answer.
    #[serde(default)]
    pub online: Vec<String>,
}

impl Queue {
    /// Messages that wait or are held.
    pub fn messages(&self) -> u64 {
        self.ready + self.unacked
    }
}

/// An exchange.
#[derive(Clone, Debug, Deserialize)]
pub struct Exchange {
    /// Its name; empty for the default one.
    pub name: String,
    /// `direct`, `topic`, ..
    pub r#type: String,
    /// Whether it outlives a restart.
    pub durable: bool,
    /// The arguments it was declared with.
    pub arguments: Map<String, Value>,
}

/// A binding.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Binding {
    /// The exchange; empty for the default one.
    pub source: String,
    /// The queue or exchange it leads to.
    pub destination: String,
    /// The key.
    pub routing_key: String,
}

/// A connection.
#[derive(Clone, Debug, Deserialize)]
pub struct Connection {
    /// RabbitMQ's name for it: `client address -> server address`.
    pub name: String,
    /// Its virtual host.
    pub vhost: String,
    /// Who logged in.
    pub user: String,
    /// `running`, `blocked`, `blocking`, `flow`, ..
    #[serde(default)]
    pub state: String,
    /// What the client said about itself.
    #[serde(default)]
    pub client_properties: Map<String, Value>,
}

impl Connection {
    /// The name that the client gave it: the client property `connection_name`.
    pub fn client_name(&self) -> Option<&str> {
        self.client_properties.get("connection_name")?.as_str()
    }
}

/// A channel.
#[derive(Clone, Debug, Deserialize)]
pub struct Channel {
    /// The connection's name and the channel's number.
    pub name: String,
    /// Its number.
    pub number: u64,
    /// Whether it confirms what is published on it.
    #[serde(default)]
    pub confirm: bool,
    /// Deliveries that are not settled.
    #[serde(default, rename = "messages_unacknowledged")]
    pub unacked: u64,
    /// Confirms that the server owes.
    #[serde(default)]
    pub messages_unconfirmed: u64,
    /// Its consumers.
    #[serde(default)]
    pub consumer_count: u64,
    /// The prefetch that new consumers get.
    #[serde(default)]
    pub prefetch_count: u64,
}

/// A consumer.
#[derive(Clone, Debug, Deserialize)]
pub struct Consumer {
    /// Its tag.
    pub consumer_tag: String,
    /// What it consumes.
    pub queue: ConsumedQueue,
    /// How many deliveries it may hold.
    #[serde(default)]
    pub prefetch_count: u64,
    /// Whether the queue gives it messages.
    #[serde(default)]
    pub active: bool,
}

/// The queue of a consumer.
#[derive(Clone, Debug, Deserialize)]
pub struct ConsumedQueue {
    /// Its name.
    pub name: String,
}

/// A message that was got out of a queue.
#[derive(Clone, Debug, Deserialize)]
pub struct GotMessage {
    /// The exchange it was published to.
    pub exchange: String,
    /// Its key.
    pub routing_key: String,
    /// Whether it had been delivered before.
    pub redelivered: bool,
    /// The body: as it is where that is text, else in base 64.
    pub payload: String,
    /// `string` or `base64`.
    pub payload_encoding: String,
    /// AMQP's properties; `headers` among them.
    #[serde(deserialize_with = "object")]
    pub properties: Map<String, Value>,
}

impl GotMessage {
    /// One header.
    pub fn header(&self, name: &str) -> Option<&Value> {
        self.properties.get("headers")?.get(name)
    }
}

/// Erlang's empty object arrives as an empty list.
fn object<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Object(object) => object,
        _ => Map::new(),
    })
}

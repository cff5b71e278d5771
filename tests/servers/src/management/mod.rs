//! RabbitMQ's management API, as far as tests need it.

mod answers;
mod http;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

pub use self::answers::{
    Binding, Channel, Connection, Consumer, Exchange, GotMessage, NodeState, Overview, Queue,
};
pub use self::http::ManagementError;
use self::http::{Http, segment};

/// The management API of one node, seen from one virtual host. Its figures follow reality by the node's
/// `collect_statistics_interval`: 200 ms on the servers of tests/run and on the nodes of this crate.
#[derive(Clone, Debug)]
pub struct Management {
    http: Http,
    virtual_host: String,
}

type Answer<T> = Result<T, ManagementError>;

impl Management {
    /// The API at `http://USER:PASSWORD@HOST:PORT`, looking at the given virtual host.
    pub fn new(url: &str, virtual_host: &str) -> Self {
        Self { http: Http::new(url), virtual_host: virtual_host.to_owned() }
    }

    /// The version of RabbitMQ and what the server counts altogether.
    pub async fn overview(&self) -> Answer<Overview> {
        self.get("overview").await
    }

    /// The cluster's nodes, with their alarms.
    pub async fn nodes(&self) -> Answer<Vec<NodeState>> {
        self.get("nodes").await
    }

    /// All queues.
    pub async fn queues(&self) -> Answer<Vec<Queue>> {
        self.get(&self.here("queues", "")).await
    }

    /// One queue, or `None` where it does not exist.
    pub async fn queue(&self, name: &str) -> Answer<Option<Queue>> {
        self.http.get(&self.here("queues", name)).await?.found()
    }

    /// Declares a durable queue with these arguments.
    pub async fn declare_queue(&self, name: &str, arguments: Value) -> Answer<()> {
        let body = json!({ "durable": true, "auto_delete": false, "arguments": arguments });
        self.http.put(&self.here("queues", name), body).await?.done()
    }

    /// Deletes a queue with all that is in it, whoever consumes it.
    pub async fn delete_queue(&self, name: &str) -> Answer<()> {
        self.http.delete(&self.here("queues", name)).await?.done()
    }

    /// Removes the messages that wait in a queue.
    pub async fn purge_queue(&self, name: &str) -> Answer<()> {
        self.http.delete(&format!("{}/contents", self.here("queues", name))).await?.done()
    }

    /// Takes up to `count` messages out of a queue.
    pub async fn take(&self, queue: &str, count: usize) -> Answer<Vec<GotMessage>> {
        self.messages(queue, count, "ack_requeue_false").await
    }

    /// Looks at up to `count` messages and puts them back, which the server counts as a delivery of each.
    pub async fn peek(&self, queue: &str, count: usize) -> Answer<Vec<GotMessage>> {
        self.messages(queue, count, "ack_requeue_true").await
    }

    async fn messages(&self, queue: &str, count: usize, mode: &str) -> Answer<Vec<GotMessage>> {
        let body = json!({ "count": count, "ackmode": mode, "encoding": "auto" });
        self.http.post(&format!("{}/get", self.here("queues", queue)), body).await?.json()
    }

    /// Publishes a text. `true` says that it reached a queue. `properties` are AMQP's, as `{"message_id": ..,
    /// "type": .., "headers": {..}}`.
    pub async fn publish(
        &self,
        exchange: &str,
        routing_key: &str,
        properties: Value,
        payload: &str,
    ) -> Answer<bool> {
        let body = json!({
            "routing_key": routing_key,
            "properties": properties,
            "payload": payload,
            "payload_encoding": "string",
        });
        // The default exchange has this name here.
        let exchange = if exchange.is_empty() { "amq.default" } else { exchange };
        let answer: Map<String, Value> =
            self.http.post(&format!("{}/publish", self.here("exchanges", exchange)), body).await?.json()?;
        Ok(answer.get("routed") == Some(&Value::Bool(true)))
    }

    /// All exchanges.
    pub async fn exchanges(&self) -> Answer<Vec<Exchange>> {
        self.get(&self.here("exchanges", "")).await
    }

    /// Declares a durable exchange of the given type.
    pub async fn declare_exchange(&self, name: &str, r#type: &str, arguments: Value) -> Answer<()> {
        let body = json!({ "type": r#type, "durable": true, "arguments": arguments });
        self.http.put(&self.here("exchanges", name), body).await?.done()
    }

    /// Deletes an exchange with its bindings.
    pub async fn delete_exchange(&self, name: &str) -> Answer<()> {
        self.http.delete(&self.here("exchanges", name)).await?.done()
    }

    /// All bindings, also those of the default exchange.
    pub async fn bindings(&self) -> Answer<Vec<Binding>> {
        self.get(&self.here("bindings", "")).await
    }

    /// Binds a queue to an exchange.
    pub async fn bind(&self, exchange: &str, queue: &str, routing_key: &str) -> Answer<()> {
        let path = format!("{}/q/{}", self.here("bindings/%s/e", exchange), segment(queue));
        self.http.post(&path, json!({ "routing_key": routing_key })).await?.done()
    }

    /// Takes a binding away. Its key must not be empty.
    pub async fn unbind(&self, exchange: &str, queue: &str, routing_key: &str) -> Answer<()> {
        let between = format!("{}/q/{}", self.here("bindings/%s/e", exchange), segment(queue));
        self.http.delete(&format!("{between}/{}", segment(routing_key))).await?.done()
    }

    /// The connections to this virtual host. A new one takes a moment to appear.
    pub async fn connections(&self) -> Answer<Vec<Connection>> {
        let all: Vec<Value> = self.get("connections").await?;
        // One that is about to vanish has hardly any fields left.
        let complete = all.into_iter().filter_map(|one| serde_json::from_value::<Connection>(one).ok());
        Ok(complete.filter(|one| one.vhost == self.virtual_host).collect())
    }

    /// Closes one connection, as an operator does: its client is told `CONNECTION_FORCED`.
    pub async fn close_connection(&self, name: &str) -> Answer<()> {
        self.http.delete(&format!("connections/{}", segment(name))).await?.done()
    }

    /// Closes the connections to this virtual host whose client named them so, and says how many.
    pub async fn close_connections_of(&self, client: &str) -> Answer<usize> {
        let mut closed = 0;
        for connection in self.connections().await? {
            if connection.client_name() == Some(client) {
                self.close_connection(&connection.name).await?;
                closed += 1;
            }
        }
        Ok(closed)
    }

    /// The channels of this virtual host.
    pub async fn channels(&self) -> Answer<Vec<Channel>> {
        self.get(&format!("vhosts/{}/channels", segment(&self.virtual_host))).await
    }

    /// The consumers of this virtual host.
    pub async fn consumers(&self) -> Answer<Vec<Consumer>> {
        self.get(&self.here("consumers", "")).await
    }

    /// Makes a user who may do nothing yet.
    pub async fn add_user(&self, name: &str, password: &str) -> Answer<()> {
        let body = json!({ "password": password, "tags": "" });
        self.http.put(&format!("users/{}", segment(name)), body).await?.done()
    }

    /// Removes a user.
    pub async fn delete_user(&self, name: &str) -> Answer<()> {
        self.http.delete(&format!("users/{}", segment(name))).await?.done()
    }

    /// What a user may configure, write and read in this virtual host: three regular expressions.
    pub async fn permit(&self, user: &str, configure: &str, write: &str, read: &str) -> Answer<()> {
        let path = format!("permissions/{}/{}", segment(&self.virtual_host), segment(user));
        let body = json!({ "configure": configure, "write": write, "read": read });
        self.http.put(&path, body).await?.done()
    }

    /// Sets a policy: `pattern` selects by name, `apply_to` is `queues` or `exchanges`.
    pub async fn set_policy(
        &self,
        name: &str,
        pattern: &str,
        apply_to: &str,
        definition: Value,
    ) -> Answer<()> {
        let path = format!("policies/{}/{}", segment(&self.virtual_host), segment(name));
        let body = json!({ "pattern": pattern, "definition": definition, "apply-to": apply_to });
        self.http.put(&path, body).await?.done()
    }

    pub(crate) async fn virtual_hosts(&self) -> Answer<Vec<String>> {
        let all: Vec<Map<String, Value>> = self.get("vhosts?columns=name").await?;
        Ok(all.iter().filter_map(|one| Some(one.get("name")?.as_str()?.to_owned())).collect())
    }

    pub(crate) async fn add_virtual_host(&self) -> Answer<()> {
        self.http.put(&format!("vhosts/{}", segment(&self.virtual_host)), json!({})).await?.done()?;
        let user = self.http.user().to_owned();
        self.permit(&user, ".*", ".*", ".*").await
    }

    pub(crate) async fn delete_virtual_host(&self) -> Answer<()> {
        self.http.delete(&format!("vhosts/{}", segment(&self.virtual_host))).await?.done()
    }

    pub(crate) fn at(&self, virtual_host: &str) -> Self {
        Self { virtual_host: virtual_host.to_owned(), ..self.clone() }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Answer<T> {
        self.http.get(path).await?.json()
    }

    /// `what/<virtual host>/name`; the virtual host stands at `%s` where that is not the end of `what`.
    fn here(&self, what: &str, name: &str) -> String {
        let host = segment(&self.virtual_host);
        let path = if what.contains("%s") { what.replace("%s", &host) } else { format!("{what}/{host}") };
        if name.is_empty() { path } else { format!("{path}/{}", segment(name)) }
    }
}

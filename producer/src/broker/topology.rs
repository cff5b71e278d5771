//! Exchanges, queues and bindings: the same for every broker.

use std::borrow::Cow;

use ackord_entities::ids::Incarnation;
use ackord_entities::jobs::Catalogue;

/// Where the relay publishes. It has no alternate exchange: that would turn an unroutable message into a confirmed one.
pub const JOBS_EXCHANGE: &str = "ackord.jobs";
/// Where other publishers publish: same bindings, with [`UNROUTABLE`] behind it.
pub const PUBLISH_EXCHANGE: &str = "ackord.publish";
/// Where queues send what is given up.
pub const DEAD_EXCHANGE: &str = "ackord.dead";
/// Where notices go, for whoever binds a queue of his own.
pub const EVENTS_EXCHANGE: &str = "ackord.events";
/// The queue of what was given up.
pub const DEAD_LETTERS: &str = "ackord.dead-letters";
/// The queue of what no queue wanted, and the exchange before it.
pub const UNROUTABLE: &str = "ackord.unroutable";

/// What the routing key of the relay's messages begins with. No other exchange leads to a kind's queue by such a key, so a
/// message still shows who published it when it has died: its exchange is then that of the dead, and what its headers say of
/// the one before, its publisher may have written.
const RELAYED: &str = "relayed.";

/// How often a message may be handed over before the broker itself gives it up: a distant backstop, since a process that
/// dies counts one delivery for each of its unsettled messages, guilty or not.
pub const DELIVERY_LIMIT: u32 = 100;

/// What has to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The queue of each kind.
    pub kinds: Vec<KindQueue>,
}

/// The queue of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindQueue {
    /// The kind, which is also the routing key of whoever is not the relay.
    pub kind: String,
    /// The queue's name.
    pub queue: String,
    /// Hand-overs before the broker gives a message up.
    pub delivery_limit: u32,
}

/// How an exchange chooses among its bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// The routing key is the binding's.
    Direct,
    /// Everything goes everywhere.
    Fanout,
    /// The routing key fits the binding's pattern.
    Topic,
}

/// An exchange. All are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Its name.
    pub name: &'static str,
    /// How it chooses.
    pub routing: Routing,
    /// The exchange that gets what no binding wants.
    pub alternate: Option<&'static str>,
}

/// A queue. All are durable and replicated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Hand-overs before the broker gives a message up. `None`: it never does.
    pub delivery_limit: Option<u32>,
    /// Whether what is given up goes to [`DEAD_EXCHANGE`], at least once; where it does not, it is gone.
    pub dead_letters: bool,
}

/// The value of a queue's argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A text.
    Text(&'static str),
    /// A number.
    Number(i32),
}

impl std::fmt::Display for Argument {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Number(number) => write!(formatter, "{number}"),
        }
    }
}

impl Queue {
    /// The arguments with which RabbitMQ is told of the queue. They cannot change once it is there.
    #[must_use]
    pub fn arguments(&self) -> Vec<(&'static str, Argument)> {
        // Servers from 4.0 on give up after 20 deliveries where a queue says nothing; this says never, and 3.10 takes it too.
        let limit = self.delivery_limit.map_or(i32::MAX, |limit| i32::try_from(limit).unwrap_or(i32::MAX));
        let mut arguments =
            vec![("x-queue-type", Argument::Text("quorum")), ("x-delivery-limit", Argument::Number(limit))];
        if self.dead_letters {
            arguments.extend([
                ("x-dead-letter-exchange", Argument::Text(DEAD_EXCHANGE)),
                // At least once needs the queue to refuse rather than drop what is too much.
                ("x-dead-letter-strategy", Argument::Text("at-least-once")),
                ("x-overflow", Argument::Text("reject-publish")),
            ]);
        }
        arguments
    }
}

/// A way from an exchange to a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The exchange.
    pub exchange: &'static str,
    /// The queue.
    pub queue: String,
    /// The routing key; empty where the exchange does not look at it.
    pub key: String,
}

impl Topology {
    /// The topology of a catalogue: one queue per kind.
    #[must_use]
    pub fn of(catalogue: &Catalogue) -> Self {
        let kinds = catalogue.iter().map(|spec| KindQueue {
            kind: spec.kind.to_owned(),
            queue: queue_of(spec.kind),
            delivery_limit: DELIVERY_LIMIT,
        });
        Self { kinds: kinds.collect() }
    }

    /// The exchanges, each behind its alternate exchange, so that they can be declared in this order.
    #[must_use]
    pub fn exchanges(&self) -> [Exchange; 5] {
        let exchange = |name, routing| Exchange { name, routing, alternate: None };
        [
            exchange(UNROUTABLE, Routing::Fanout),
            exchange(DEAD_EXCHANGE, Routing::Fanout),
            exchange(EVENTS_EXCHANGE, Routing::Topic),
            exchange(JOBS_EXCHANGE, Routing::Direct),
            Exchange { alternate: Some(UNROUTABLE), ..exchange(PUBLISH_EXCHANGE, Routing::Direct) },
        ]
    }

    /// The queues. The two that are no kind's have neither a delivery limit nor dead letters: there is no place left behind
    /// them.
    #[must_use]
    pub fn queues(&self) -> Vec<Queue> {
        let last_stop =
            |name: &str| Queue { name: name.to_owned(), delivery_limit: None, dead_letters: false };
        let kinds = self.kinds.iter().map(|kind| Queue {
            name: kind.queue.clone(),
            delivery_limit: Some(kind.delivery_limit),
            dead_letters: true,
        });
        [last_stop(DEAD_LETTERS), last_stop(UNROUTABLE)].into_iter().chain(kinds).collect()
    }

    /// The bindings.
    #[must_use]
    pub fn bindings(&self) -> Vec<Binding> {
        let binding = |exchange, queue: &str, key: &str| Binding {
            exchange,
            queue: queue.to_owned(),
            key: key.to_owned(),
        };
        let mut bindings =
            vec![binding(DEAD_EXCHANGE, DEAD_LETTERS, ""), binding(UNROUTABLE, UNROUTABLE, "")];
        for kind in &self.kinds {
            for exchange in [JOBS_EXCHANGE, PUBLISH_EXCHANGE] {
                bindings.push(binding(exchange, &kind.queue, &routing_key(exchange, &kind.kind)));
            }
        }
        bindings
    }
}

/// The routing key with which a message of `kind` is published to `exchange`.
#[must_use]
pub fn routing_key<'k>(exchange: &str, kind: &'k str) -> Cow<'k, str> {
    if exchange == JOBS_EXCHANGE { format!("{RELAYED}{kind}").into() } else { kind.into() }
}

/// Whether a message that is delivered with this exchange and this routing key was published to the relay's exchange. Its fence
/// counts only then: whoever may publish to another one could write any number there.
#[must_use]
pub fn is_relayed(exchange: &str, routing_key: &str) -> bool {
    exchange == JOBS_EXCHANGE || (exchange == DEAD_EXCHANGE && routing_key.starts_with(RELAYED))
}

/// The name of a kind's queue.
#[must_use]
pub fn queue_of(kind: &str) -> String {
    format!("ackord.{kind}")
}

/// The name of the queue by whose one message a broker is known again.
#[must_use]
pub fn queue_of_incarnation(incarnation: Incarnation) -> String {
    format!("ackord.incarnation.{incarnation}")
}

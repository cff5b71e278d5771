//! Exchanges, queues and bindings: the same for every broker.

use ackord_entities::jobs::Catalogue;

/// Where the relay publishes. It has no alternate exchange: that would turn an unroutable message into a confirmed one.
pub const JOBS_EXCHANGE: &str = "ackord.jobs";
/// Where other publishers publish: same bindings, with [`UNROUTABLE`] behind it.
pub const PUBLISH_EXCHANGE: &str = "ackord.publish";
/// Where queues send what is given up.
pub const DEAD_EXCHANGE: &str = "ackord.dead";
/// The queue of what was given up.
pub const DEAD_LETTERS: &str = "ackord.dead-letters";
/// The queue of what no queue wanted.
pub const UNROUTABLE: &str = "ackord.unroutable";

/// How often a message may be handed over before the broker itself gives it up: a distant backstop, since a process that
/// dies counts one delivery for each of its unsettled messages, guilty or not.
pub const DELIVERY_LIMIT: u32 = 100;

/// What has to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The queue of each kind, with the routing key that leads to it.
    pub kinds: Vec<KindQueue>,
}

/// The queue of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindQueue {
    /// The kind, which is also the routing key.
    pub kind: String,
    /// The queue's name.
    pub queue: String,
    /// Hand-overs before the broker gives a message up.
    pub delivery_limit: u32,
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
}

/// The name of a kind's queue.
#[must_use]
pub fn queue_of(kind: &str) -> String {
    format!("ackord.{kind}")
}

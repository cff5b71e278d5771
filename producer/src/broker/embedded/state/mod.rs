//! Queues, exchanges and consumers together, and the operations on them.
//!
//! Every operation ends with [`State::dispatch`] of the queues it touched, so that between two operations no message is
//! ready where a consumer has room.

mod declare;
mod settling;

use std::collections::{BTreeMap, HashMap, HashSet};

use ackord_entities::envelope::{DEATH_QUEUE_HEADER, DEATH_REASON_HEADER};
use ackord_entities::ids::Incarnation;
use tokio::sync::watch;

use super::consumer::{Consumer, Outlet};
use super::exchange::Exchange;
use super::memory::Memory;
use super::parcel::Parcel;
use super::queue::Queue;
use super::{EmbeddedOptions, Held};
use crate::broker::topology::{DEAD_EXCHANGE, routing_key};
use crate::broker::{BrokerError, BrokerState, Confirm, Depth};

/// Everything in the broker.
pub(super) struct State {
    /// Never shrinks: a queue is its index.
    queues: Vec<Queue>,
    names: HashMap<String, usize>,
    exchanges: HashMap<&'static str, Exchange>,
    consumers: BTreeMap<u64, Consumer>,
    incarnations: HashSet<Incarnation>,
    memory: Memory,
    forced_block: bool,
    closed: bool,
    shown: watch::Sender<BrokerState>,
    last_shown: BrokerState,
}

impl State {
    pub(super) fn new(options: EmbeddedOptions) -> Self {
        Self {
            queues: Vec::new(),
            names: HashMap::new(),
            exchanges: HashMap::new(),
            consumers: BTreeMap::new(),
            incarnations: HashSet::new(),
            memory: Memory::new(options.memory_limit),
            forced_block: false,
            closed: false,
            shown: watch::Sender::new(BrokerState::Open),
            last_shown: BrokerState::Open,
        }
    }

    pub(super) fn watch(&self) -> watch::Receiver<BrokerState> {
        self.shown.subscribe()
    }

    /// Refuses when nothing can be published at the moment.
    pub(super) fn takes_messages(&self) -> Result<(), BrokerError> {
        match self.current() {
            BrokerState::Open => Ok(()),
            BrokerState::Closed => Err(BrokerError::Closed),
            BrokerState::Blocked if self.forced_block => {
                Err(BrokerError::Blocked { reason: "it was blocked by hand".to_owned() })
            }
            BrokerState::Blocked => Err(BrokerError::Blocked { reason: self.memory.describe() }),
        }
    }

    /// Puts a window into its queues: all of it, or nothing.
    #[expect(clippy::vec_box, reason = "boxed before the lock is taken; from here on only the boxes move")]
    pub(super) fn publish(
        &mut self,
        exchange: &str,
        parcels: Vec<Box<Parcel>>,
    ) -> Result<Vec<Confirm>, BrokerError> {
        self.takes_messages()?;
        if !self.exchanges.contains_key(exchange) {
            return Err(BrokerError::NoSuchExchange { exchange: exchange.to_owned() });
        }
        let confirms = parcels.into_iter().map(|parcel| self.route(exchange, parcel)).collect();
        self.show();
        Ok(confirms)
    }

    fn route(&mut self, exchange: &str, parcel: Box<Parcel>) -> Confirm {
        let kind = parcel.message.kind.as_deref();
        let key = kind.map(|kind| routing_key(exchange, kind));
        match self.target(exchange, key.as_deref()) {
            Some(queue) => {
                self.push(queue, parcel);
                Confirm::Confirmed
            }
            None => Confirm::Refused(match kind {
                Some(kind) => format!("no queue is bound to `{kind}` at the exchange {exchange}"),
                None => format!("no queue is bound to a message without a kind at the exchange {exchange}"),
            }),
        }
    }

    /// The queue that a message goes to, by the exchange's own bindings or those of its alternate.
    fn target(&self, exchange: &str, key: Option<&str>) -> Option<usize> {
        let exchange = self.exchanges.get(exchange)?;
        exchange.route(key).or_else(|| self.exchanges.get(exchange.alternate?)?.route(key))
    }

    fn push(&mut self, queue: usize, parcel: Box<Parcel>) {
        self.memory.take(parcel.weight());
        self.queues[queue].push(parcel);
        self.dispatch(queue);
    }

    pub(super) fn consume(
        &mut self,
        queue: &str,
        id: u64,
        prefetch: usize,
        outlet: Outlet,
    ) -> Result<(), BrokerError> {
        let queue = self.queue(queue)?;
        self.consumers.insert(id, Consumer::new(id, queue, prefetch, outlet));
        self.serve(id);
        Ok(())
    }

    pub(super) fn depth(&self, queue: &str) -> Result<Depth, BrokerError> {
        let index = self.queue(queue)?;
        let takes_part = |consumer: &&Consumer| consumer.queue == index && consumer.takes_part();
        let consumers = self.consumers.values().filter(takes_part).count();
        Ok(Depth { ready: self.queues[index].held().ready, consumers })
    }

    pub(super) fn held(&self, queue: &str) -> Option<Held> {
        self.names.get(queue).map(|index| self.queues[*index].held())
    }

    /// Whether it was given this incarnation since it began.
    pub(super) fn remembers(&self, incarnation: Incarnation) -> Result<bool, BrokerError> {
        self.open().map(|()| self.incarnations.contains(&incarnation))
    }

    /// Remembers an incarnation for as long as this broker lives.
    pub(super) fn imprint(&mut self, incarnation: Incarnation) -> Result<(), BrokerError> {
        self.takes_messages()?;
        self.incarnations.insert(incarnation);
        Ok(())
    }

    fn open(&self) -> Result<(), BrokerError> {
        if self.closed { Err(BrokerError::Closed) } else { Ok(()) }
    }

    fn queue(&self, name: &str) -> Result<usize, BrokerError> {
        self.open()?;
        self.names.get(name).copied().ok_or_else(|| BrokerError::NoSuchQueue { queue: name.to_owned() })
    }

    /// Lets a consumer take part again after something about it changed.
    fn serve(&mut self, id: u64) {
        let Some(consumer) = self.consumers.get_mut(&id) else { return };
        let queue = consumer.queue;
        if consumer.has_room() && !consumer.in_line {
            consumer.in_line = true;
            self.queues[queue].stand_in_line(id);
        }
        self.dispatch(queue);
    }

    /// Hands ready messages to consumers with room, one each in turn, until either is used up.
    fn dispatch(&mut self, index: usize) {
        while self.queues[index].has_ready() {
            let queue = &mut self.queues[index];
            let Some(id) = queue.next_in_line() else { return };
            let Some(consumer) = self.consumers.get_mut(&id) else { continue };
            consumer.in_line = false;
            if !consumer.has_room() {
                continue;
            }
            let Some(parcel) = queue.take() else { return };
            let delivered = consumer.deliver(parcel, &queue.name);
            if let Err(parcel) = delivered {
                // Its receiver is being dropped at this moment. The message was not handed over, so it does not count.
                queue.put_back(parcel);
                self.give_back(id);
            } else if consumer.has_room() {
                consumer.in_line = true;
                queue.stand_in_line(id);
            }
        }
    }

    /// Moves a message that is out to the dead-letter exchange.
    fn give_up(&mut self, queue: usize, mut parcel: Box<Parcel>, reason: &str) {
        self.memory.release(parcel.weight());
        let target = self.target(DEAD_EXCHANGE, None);
        let queue = &mut self.queues[queue];
        queue.settled();
        if let Some(target) = target.filter(|_| queue.dead_letters) {
            let headers = &mut parcel.message.other_headers;
            headers.insert(DEATH_REASON_HEADER.to_owned(), reason.to_owned());
            headers.insert(DEATH_QUEUE_HEADER.to_owned(), queue.name.to_string());
            self.push(target, parcel);
        }
    }

    /// Ends everything. Queues and consumers are gone.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.consumers.clear();
        self.queues.iter_mut().for_each(Queue::clear);
        self.memory.clear();
        self.show();
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn force_block(&mut self, block: bool) {
        self.forced_block = block;
        self.show();
    }

    fn current(&self) -> BrokerState {
        if self.closed {
            BrokerState::Closed
        } else if self.forced_block || self.memory.is_full() {
            BrokerState::Blocked
        } else {
            BrokerState::Open
        }
    }

    /// Tells those who watch, if there is something to tell.
    fn show(&mut self) {
        let current = self.current();
        if current != self.last_shown {
            self.last_shown = current;
            self.shown.send_replace(current);
        }
    }
}

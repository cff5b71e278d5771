//! Declaring queues, exchanges and bindings.

use std::collections::BTreeSet;

use super::{Exchange, Queue, State};
use crate::broker::topology::{self, Binding, Topology};
use crate::broker::{Applied, BrokerError, Difference};

impl State {
    /// Declares what is missing. Compares first, so that a difference leaves everything as it was.
    pub(in crate::broker::embedded) fn apply(
        &mut self,
        topology: &Topology,
        there: &BTreeSet<String>,
    ) -> Result<Applied, BrokerError> {
        self.open()?;
        if let Some(queue) = there.iter().find(|name| !self.names.contains_key(*name)) {
            return Err(BrokerError::NoSuchQueue { queue: queue.clone() });
        }
        let (queues, bindings) = (topology.queues(), topology.bindings());
        queues.iter().try_for_each(|queue| self.compare_queue(queue))?;
        bindings.iter().try_for_each(|binding| self.compare_binding(binding))?;
        let mut applied = Applied::default();
        for queue in &queues {
            // Again, since two entries of one topology may differ too.
            self.compare_queue(queue)?;
            if !self.names.contains_key(&queue.name) {
                self.declare_queue(queue);
                applied.created.push(queue.name.clone());
            }
        }
        for exchange in topology.exchanges() {
            self.exchanges.entry(exchange.name).or_insert_with(|| Exchange::new(&exchange));
        }
        for binding in &bindings {
            self.compare_binding(binding)?;
            self.bind(binding);
        }
        Ok(applied)
    }

    /// What is missing or different.
    pub(in crate::broker::embedded) fn verify(
        &self,
        topology: &Topology,
    ) -> Result<Vec<Difference>, BrokerError> {
        self.open()?;
        let missing = |what: &str, problem: &str| Difference {
            what: what.to_owned(),
            problem: problem.to_owned(),
            remedy: "apply the topology".to_owned(),
        };
        let mut differences = Vec::new();
        for queue in topology.queues() {
            if !self.names.contains_key(&queue.name) {
                differences.push(missing(&queue.name, "there is no such queue"));
            }
            differences.extend(self.compare_queue(&queue).err().and_then(BrokerError::into_difference));
        }
        for exchange in topology.exchanges() {
            if !self.exchanges.contains_key(exchange.name) {
                differences.push(missing(exchange.name, "there is no such exchange"));
            }
        }
        for binding in topology.bindings() {
            match self.exchanges.get(binding.exchange).map(|exchange| exchange.bound(&binding.key).is_some())
            {
                Some(true) => {}
                Some(false) => differences.push(missing(
                    &format!("{} to {}", binding.exchange, binding.queue),
                    &format!("the routing key `{}` is not bound", binding.key),
                )),
                // Told already: there is no such exchange.
                None => continue,
            }
            differences.extend(self.compare_binding(&binding).err().and_then(BrokerError::into_difference));
        }
        Ok(differences)
    }

    fn compare_queue(&self, wanted: &topology::Queue) -> Result<(), BrokerError> {
        let Some(found) = self.names.get(&wanted.name).map(|index| &self.queues[*index]) else {
            return Ok(());
        };
        let limit = |limit: Option<u32>| limit.map_or("none".to_owned(), |limit| limit.to_string());
        if found.delivery_limit == wanted.delivery_limit && found.dead_letters == wanted.dead_letters {
            return Ok(());
        }
        Err(BrokerError::Mismatch {
            queue: wanted.name.clone(),
            what: "delivery limit".to_owned(),
            found: limit(found.delivery_limit),
            wanted: limit(wanted.delivery_limit),
        })
    }

    fn compare_binding(&self, wanted: &Binding) -> Result<(), BrokerError> {
        let bound = self.exchanges.get(wanted.exchange).and_then(|exchange| exchange.bound(&wanted.key));
        match bound.map(|index| &*self.queues[index].name) {
            Some(bound) if bound != wanted.queue => Err(BrokerError::Mismatch {
                queue: bound.to_owned(),
                what: "binding".to_owned(),
                found: format!("`{}` to `{bound}`", wanted.key),
                wanted: format!("`{}` to `{}`", wanted.key, wanted.queue),
            }),
            _ => Ok(()),
        }
    }

    fn declare_queue(&mut self, queue: &topology::Queue) {
        self.queues.push(Queue::new(&queue.name, queue.delivery_limit, queue.dead_letters));
        self.names.insert(queue.name.clone(), self.queues.len() - 1);
    }

    fn bind(&mut self, binding: &Binding) {
        if let (Some(exchange), Some(queue)) =
            (self.exchanges.get_mut(binding.exchange), self.names.get(&binding.queue))
        {
            exchange.bind(&binding.key, *queue);
        }
    }
}

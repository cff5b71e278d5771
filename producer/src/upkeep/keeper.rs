//! The keeper of the topology: whenever the broker is there again, makes sure that it has every exchange and queue and remembers
//! the database's messages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::ids::Incarnation;
use ackord_entities::jobs::Backoff;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::recall::{Recall, RecallError, recall};
use crate::broker::topology::Topology;
use crate::broker::{Applied, Broker, BrokerError, BrokerState};
use crate::doorbell::Doorbell;
use crate::health::Health;

/// The conditions that the keeper speaks about.
const CHECKED: &str = "topology";
const QUEUE: &str = "queue";
const ALONE: &str = "one_broker";

/// How the keeper works.
#[derive(Clone, Debug)]
pub struct TopologyOptions {
    /// The time between two looks while the connection stands: a queue may be deleted under it.
    pub interval: Duration,
    /// The wait before another try after a look that failed.
    pub failed: Backoff,
}

impl Default for TopologyOptions {
    fn default() -> Self {
        let failed = Backoff {
            initial: Duration::from_millis(250),
            longest: Duration::from_secs(5),
            ..Backoff::DEFAULT
        };
        Self { interval: Duration::from_secs(5), failed }
    }
}

/// What the keeper found wrong and cannot mend, at its last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopologyCondition {
    /// Queues and exchanges that are not as they have to be, with what is wrong. A kind whose queue is among them must not be
    /// consumed.
    pub mismatches: BTreeMap<String, String>,
    /// Why jobs may be told to a broker that nobody here listens to, if that is so.
    pub stranger: Option<String>,
}

/// The keeper. Any number may run against one database; of what has to be done once, one does it.
#[allow(missing_debug_implementations, reason = "a broker has nothing to show")]
pub struct TopologyKeeper {
    database: Database,
    broker: Arc<dyn Broker>,
    topology: Topology,
    doorbell: Doorbell,
    options: TopologyOptions,
    condition: watch::Sender<TopologyCondition>,
    health: Health,
    state: watch::Receiver<BrokerState>,
    /// What the broker remembered at the last look. Forgotten when it goes away: it may come back without it.
    known: Option<Incarnation>,
}

impl TopologyKeeper {
    /// A keeper that has not looked yet.
    #[must_use]
    pub fn new(
        database: Database,
        broker: Arc<dyn Broker>,
        topology: Topology,
        doorbell: Doorbell,
        options: TopologyOptions,
    ) -> Self {
        let (condition, state) = (watch::Sender::default(), broker.state());
        let health = Health::new("topology");
        health.check_broker(broker.state());
        health.fails(CHECKED, "the broker has not been looked at yet");
        Self { database, broker, topology, doorbell, options, condition, health, state, known: None }
    }

    /// What it finds, now and whenever that changes.
    #[must_use]
    pub fn condition(&self) -> watch::Receiver<TopologyCondition> {
        self.condition.subscribe()
    }

    /// What it says about the broker and its queues.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// The look at a start, when a person is there to hear of it. Answers whether the broker was there to be looked at.
    ///
    /// # Errors
    /// A queue that is not as it has to be, a database that does not answer. A broker that is away is none: [`run`](Self::run)
    /// waits for it.
    pub async fn first_look(&mut self) -> Result<bool, RecallError> {
        if *self.state.borrow_and_update() != BrokerState::Open {
            return Ok(false);
        }
        match self.look().await {
            Ok(None) => Ok(true),
            Ok(Some(difference)) => Err(difference.into()),
            // Whatever came of it, another look has to follow soon.
            Err(RecallError::Broker(
                BrokerError::Closed | BrokerError::Blocked { .. } | BrokerError::Unanswered { .. },
            )) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Looks whenever the broker is there again, and now and then, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut failures = 0;
        // A look at the start counts.
        let mut wait = if self.known.is_some() { self.options.interval } else { Duration::ZERO };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.state.changed() => {
                    if changed.is_err() {
                        return stop.cancelled().await;
                    }
                    self.changed();
                }
                () = tokio::time::sleep(wait) => {}
            }
            if *self.state.borrow() != BrokerState::Open {
                // The next change wakes us.
                wait = Duration::MAX;
                continue;
            }
            match self.look().await {
                Ok(_) => {
                    if failures > 0 {
                        info!(looks.failed = failures, "the broker can be looked after again");
                    }
                    failures = 0;
                    wait = self.options.interval;
                }
                Err(error) => {
                    failures += 1;
                    report(&error, failures);
                    wait = self.options.failed.delay_after(failures);
                }
            }
        }
    }

    /// Between two states it may have been away, and come back without its messages.
    fn changed(&mut self) {
        self.known = None;
        if *self.state.borrow_and_update() == BrokerState::Closed {
            self.health.fails(CHECKED, "the broker has not been looked at since it was away");
        }
    }

    /// One look: what the broker lost is told again, then what is missing is declared. Answers the first difference that cannot be
    /// mended.
    async fn look(&mut self) -> Result<Option<BrokerError>, RecallError> {
        let mut vanished = BTreeSet::new();
        let (stranger, differences) = loop {
            let recalled =
                recall(&self.database, &*self.broker, &self.topology, self.known, &vanished).await?;
            let stranger = self.note(&recalled);
            let declared = self.declare(&recalled.there(&self.topology)).await;
            if recalled.wrote() {
                self.doorbell.ring();
            }
            match declared {
                Ok(differences) => break (stranger, differences),
                // It went after the jobs were read: they are read again, at most once for each queue.
                Err(BrokerError::NoSuchQueue { queue }) if !vanished.contains(&queue) => {
                    vanished.insert(queue);
                }
                Err(error) => return Err(error.into()),
            }
        };
        let named = |error: &BrokerError| match error {
            BrokerError::Mismatch { queue, .. } => (queue.clone(), error.to_string()),
            other => (String::new(), other.to_string()),
        };
        let mismatches = differences.iter().map(named).collect();
        self.show(&TopologyCondition { mismatches, stranger });
        Ok(differences.into_iter().next())
    }

    /// Declares what is missing, around what is there and different: one wrong queue must not keep the others away.
    async fn declare(&self, there: &BTreeSet<String>) -> Result<Vec<BrokerError>, BrokerError> {
        let mut wanted = self.topology.clone();
        let mut differences = Vec::new();
        loop {
            let error = match self.broker.apply_but_for(&wanted, there).await {
                Ok(Applied { created }) => {
                    if !created.is_empty() {
                        info!(queues = created.join(", "), "queues were declared");
                    }
                    return Ok(differences);
                }
                Err(error) => error,
            };
            let BrokerError::Mismatch { queue, .. } = &error else { return Err(error) };
            let kinds = wanted.kinds.len();
            wanted.kinds.retain(|kind| kind.queue != *queue);
            let is_a_kind = wanted.kinds.len() < kinds;
            differences.push(error);
            if !is_a_kind {
                // It belongs to all of them: there is no way around it.
                return Ok(differences);
            }
        }
    }

    fn note(&mut self, recalled: &Recall) -> Option<String> {
        match recalled {
            Recall::Remembers { incarnation, lost, written } => {
                self.known = Some(*incarnation);
                if *written > 0 {
                    let kinds = lost.join(", ");
                    warn!(
                        kinds,
                        messages = written,
                        "queues were gone; their unfinished jobs are sent again"
                    );
                }
                None
            }
            Recall::Told { incarnation, was_told, written, .. } => {
                self.known = Some(*incarnation);
                if *was_told && !self.is_embedded() {
                    warn!(
                        messages = written,
                        "the broker has lost what it was told; unfinished jobs are sent again"
                    );
                } else if *written > 0 {
                    info!(messages = written, "unfinished jobs of an earlier run are sent again");
                }
                None
            }
            Recall::Stranger => Some(format!(
                "the database was told to another broker while {} went on: two brokers serve one database. Give all processes the \
                 same --broker, then restart this one",
                self.broker.description().url
            )),
        }
    }

    fn is_embedded(&self) -> bool {
        self.broker.description().url == "embedded"
    }

    /// Shows what was found, and says what is new about it.
    fn show(&self, found: &TopologyCondition) {
        let before = self.condition.send_replace(found.clone());
        self.health.holds(CHECKED);
        for (name, problem) in &found.mismatches {
            self.health.fails_for(QUEUE, name, problem);
            if before.mismatches.get(name) != Some(problem) {
                error!(queue.name = name, "{problem}");
            }
        }
        for name in before.mismatches.keys().filter(|name| !found.mismatches.contains_key(*name)) {
            self.health.holds_for(QUEUE, name);
            info!(queue.name = name, "it is as it has to be again");
        }
        match &found.stranger {
            Some(stranger) => {
                self.health.fails(ALONE, stranger);
                if before.stranger.is_none() {
                    error!("{stranger}");
                }
            }
            None => self.health.holds(ALONE),
        }
    }
}

/// Once when it begins, then as often as somebody would want to be reminded.
fn report(error: &RecallError, failures: u32) {
    let chain = ackord_entities::error_chain(error);
    if failures == 1 || failures.is_multiple_of(60) {
        warn!(error = chain, failures, "the broker cannot be looked after at the moment");
    } else {
        debug!(error = chain, failures, "the broker cannot be looked after at the moment");
    }
}

//! The relay: moves due messages from the outbox to the broker.
//!
//! One round is one transaction: claim a window of due messages, publish it, delete what the broker confirmed. It writes no job
//! state. A crash after a confirm and before the commit sends a message twice; the fence finds the second one stale.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ackord_entities::clock::later;
use ackord_entities::database::Database;
use ackord_entities::envelope::Message;
use ackord_entities::error_chain;
use ackord_entities::fault;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::Backoff;
use ackord_entities::queue::outbox::{self, Due};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::broker::topology::JOBS_EXCHANGE;
use crate::broker::{Broker, BrokerError, BrokerState, Confirm};
use crate::doorbell::Doorbell;
use crate::health::Health;
use crate::metrics::RelayMeter;

/// The wait while another relay is at what is due.
const SHORTEST_POLL: Duration = Duration::from_millis(5);

/// How the relay works.
#[derive(Clone, Debug)]
pub struct RelayOptions {
    /// Messages in one confirm window and one transaction.
    pub window: u32,
    /// The longest time between two looks at the outbox when nobody rings.
    pub longest_poll: Duration,
    /// The wait before a refused message is sent again.
    pub refused: Backoff,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self { window: 1_000, longest_poll: Duration::from_secs(1), refused: Backoff::DEFAULT }
    }
}

/// The relay. Any number may run against one Postgres; on SQLite there is one per file.
#[allow(missing_debug_implementations, reason = "a broker has nothing to show")]
pub struct Relay {
    database: Database,
    broker: Arc<dyn Broker>,
    doorbell: Doorbell,
    options: RelayOptions,
    health: Health,
    meter: RelayMeter,
}

/// The database can be read and written.
const DATABASE: &str = "database";
/// What is due is sent.
const MOVES: &str = "moves";
/// A round that takes longer is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// The wait while another relay has what is due.
const NOT_OURS: Duration = Duration::from_millis(50);

/// What a round came to.
enum Round {
    /// A window was handled; there may be more.
    Sent,
    /// Nothing is due.
    NothingDue,
    /// What is due is with another relay.
    NotOurs,
}

/// Why a round sent nothing.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error("the outbox cannot be read or written")]
    Database(#[from] DbErr),
    #[error("the broker took nothing")]
    Broker(#[from] BrokerError),
}

impl Relay {
    /// A relay that is not running yet.
    #[must_use]
    pub fn new(
        database: Database,
        broker: Arc<dyn Broker>,
        doorbell: Doorbell,
        options: RelayOptions,
    ) -> Self {
        let health = Health::new("relay");
        health.check_broker(broker.state());
        Self { database, broker, doorbell, options, health, meter: RelayMeter::new() }
    }

    /// How the relay is, readable while it runs.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Runs until `stop`. A round that is under way is finished.
    pub async fn run(self, stop: CancellationToken) {
        let mut state = self.broker.state();
        let mut failures = 0_u32;
        while !stop.is_cancelled() {
            if *state.borrow_and_update() != BrokerState::Open {
                // Nothing is claimed while nothing can be sent.
                tokio::select! {
                    () = stop.cancelled() => break,
                    changed = state.changed() => if changed.is_err() { break },
                }
                continue;
            }
            let round = {
                let _step = self.health.step(MOVES, None, "a round of the relay", STUCK_AFTER);
                self.round().await
            };
            self.say(&round);
            match round {
                Ok(sent) => {
                    if failures > 0 {
                        info!(rounds.failed = failures, "the relay works again");
                    }
                    failures = 0;
                    match sent {
                        Round::Sent => {}
                        Round::NothingDue => self.rest(&stop, Duration::ZERO).await,
                        Round::NotOurs => self.rest(&stop, NOT_OURS).await,
                    }
                }
                Err(error) => {
                    failures += 1;
                    report(&error, failures);
                    let wait =
                        Backoff { longest: Duration::from_secs(5), ..Backoff::DEFAULT }.delay_after(failures);
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = tokio::time::sleep(wait) => {}
                    }
                }
            }
        }
    }

    fn say(&self, round: &Result<Round, RoundError>) {
        match round {
            Ok(_) => {
                self.health.holds(DATABASE);
                self.health.holds(MOVES);
            }
            Err(RoundError::Database(error)) => self.health.fails(DATABASE, error_chain(error)),
            Err(RoundError::Broker(error)) => self.health.fails(MOVES, error_chain(error)),
        }
    }

    /// Sends one window.
    async fn round(&self) -> Result<Round, RoundError> {
        let now = self.database.clock().now(self.database.read()).await?;
        if outbox::next_due(self.database.read()).await?.is_none_or(|due| due > now) {
            return Ok(Round::NothingDue);
        }
        let tx = self.database.begin().await?;
        let due = outbox::claim_due(&tx, now, self.options.window).await?;
        if due.is_empty() {
            return Ok(Round::NotOurs);
        }
        let keys: Vec<(JobId, i32, i32)> = due.iter().map(|one| (one.job_id, one.seq, one.sends)).collect();
        let messages: Vec<Message> = due.into_iter().map(message).collect();
        fault::point("relay_before_publish");
        let began = Instant::now();
        let published = self.broker.publish(JOBS_EXCHANGE, &messages).await;
        let confirms = published.inspect_err(|error| {
            // Blocked: nothing was published.
            if !matches!(error, BrokerError::Blocked { .. }) {
                self.meter.unanswered(messages.len());
            }
        })?;
        fault::point("relay_after_confirm");
        let mut sent = Vec::with_capacity(keys.len());
        let mut refused = Vec::new();
        for ((job, seq, sends), confirm) in keys.iter().copied().zip(confirms) {
            match confirm {
                Confirm::Confirmed => sent.push((job, seq)),
                Confirm::Refused(reason) => refused.push((job, reason, self.again_at(now, sends))),
            }
        }
        self.meter.answered(sent.len(), refused.len(), began.elapsed().as_secs_f64());
        if let Some((job, reason, due)) = refused.first() {
            warn!(job.id = %job, refused = refused.len(), due_at = %due, "the broker refused messages: {reason}");
        }
        outbox::remove_sent(&tx, &sent).await?;
        outbox::note_refused(&tx, &refused).await?;
        tx.commit().await?;
        fault::point("relay_after_delete");
        Ok(Round::Sent)
    }

    fn again_at(&self, now: DateTime<Utc>, sends: i32) -> DateTime<Utc> {
        let attempt = u32::try_from(sends).unwrap_or(0).saturating_add(1);
        later(now, self.options.refused.delay_after(attempt))
    }

    /// Waits until somebody rings, the next message is due, or it is time to look again.
    async fn rest(&self, stop: &CancellationToken, at_least: Duration) {
        let wait = match self.until_next_due().await {
            Ok(Some(wait)) => wait.min(self.options.longest_poll),
            Ok(None) | Err(_) => self.options.longest_poll,
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.doorbell.rung() => {}
            () = tokio::time::sleep(wait.max(at_least)) => {}
        }
    }

    async fn until_next_due(&self) -> Result<Option<Duration>, DbErr> {
        let Some(due) = outbox::next_due(self.database.read()).await? else { return Ok(None) };
        let now = self.database.clock().now(self.database.read()).await?;
        // Due already, and yet it was not claimed: another relay has it.
        Ok(Some((due - now).to_std().unwrap_or(SHORTEST_POLL)))
    }
}

fn message(due: Due) -> Message {
    Message {
        message_id: Some(due.job_id.to_string()),
        kind: Some(due.kind),
        schema_version: u16::try_from(due.version).ok(),
        seq: Some(due.seq),
        traceparent: due.traceparent,
        other_headers: std::collections::BTreeMap::new(),
        body: Bytes::from(due.payload),
    }
}

/// Once when it begins, then as often as somebody would want to be reminded.
fn report(error: &RoundError, failures: u32) {
    let chain = error_chain(error);
    match error {
        RoundError::Broker(BrokerError::Blocked { .. }) => {
            debug!(error = chain, "the broker is blocked, the outbox keeps");
        }
        _ if failures == 1 || failures.is_multiple_of(60) => {
            error!(error = chain, failures, "the relay cannot send, the outbox keeps");
        }
        _ => debug!(error = chain, failures, "the relay cannot send, the outbox keeps"),
    }
}

//! The relay: moves due messages from the outbox to the broker.
//!
//! One round is one transaction: claim a window of due messages, publish it, delete what the broker confirmed. It writes no job
//! state. A crash after a confirm and before the commit sends a message twice; the fence finds the second one stale. So it is with
//! a message that the broker does not answer for: it stays and is sent again, and its kind is set aside until the broker answers.

mod aside;
mod probe;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ackord_entities::clock::{Moment, later};
use ackord_entities::database::Database;
use ackord_entities::envelope::Message;
use ackord_entities::error_chain;
use ackord_entities::fault;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::Backoff;
use ackord_entities::queue::outbox::{self, Claimed, Due, Window};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::future::join_all;
use sea_orm::{DatabaseTransaction, DbBackend, DbErr};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info, warn};

use self::aside::Aside;
use crate::broker::topology::JOBS_EXCHANGE;
use crate::broker::{Broker, BrokerError, BrokerState, Confirm};
use crate::doorbell::Doorbell;
use crate::health::Health;
use crate::metrics::RelayMeter;
use crate::trace;

/// The pause after the last message was sent, and the factor by which it grows while nothing comes: where nobody can ring,
/// behind a pooler, a message that follows others is found sooner than the first one after a long silence.
const SHORTEST_POLL: Duration = Duration::from_millis(10);
const SLOWER: u32 = 2;

/// How much longer than a unit of work of the database alone a round may take: the broker confirms in between, and has deadlines
/// of its own.
const CONFIRMING: Duration = Duration::from_secs(60);

/// Rounds at once where the database can do them at once: one publishes while the other waits for its confirms.
const OVERLAPPING: usize = 2;

/// How the relay works.
#[derive(Clone, Debug)]
pub struct RelayOptions {
    /// Messages in one confirm window and one transaction.
    pub window: u32,
    /// Bytes of payload in one window: what a relay has in memory at once. A larger message goes alone.
    pub window_bytes: u32,
    /// The longest time between two looks at the outbox when nobody rings.
    pub longest_poll: Duration,
    /// The wait before a refused message is sent again.
    pub refused: Backoff,
    /// The wait before the broker is asked again whether it answers for the messages of a kind that is set aside.
    pub unanswered: Backoff,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            window: 1_000,
            window_bytes: 8 * 1024 * 1024,
            longest_poll: Duration::from_secs(1),
            refused: Backoff::DEFAULT,
            unanswered: Backoff {
                initial: Duration::from_secs(1),
                factor: 2.0,
                longest: Duration::from_secs(30),
                jitter: 0.25,
            },
        }
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
    aside: Aside,
    /// Of how many kinds the newest claim found something: they share a window evenly.
    kinds: AtomicU32,
}

/// The database can be read and written.
const DATABASE: &str = "database";
/// What is due is sent, of all kinds or of one.
const MOVES: &str = "moves";
/// A round that takes longer is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// The wait while another relay has what is due.
const NOT_OURS: Duration = Duration::from_millis(50);

/// What is noted of a message that nobody answered for.
const UNANSWERED: &str = "the broker did not confirm it in time: its queue may have no leader";

/// How a round begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// With a look at what is due next: a transaction for nothing would cost more.
    Look,
    /// With the claim, since somebody rang or more is known to wait: a message is under way a round trip sooner.
    Claim,
}

/// What a look finds.
enum Seen {
    /// Something is due at that time, which is now.
    Due(DateTime<Utc>),
    /// Nothing is. The next message is, after that time.
    NothingDue(Option<Duration>),
}

/// What a round came to.
#[derive(Debug)]
enum Round {
    /// A window was handled. There may be more, and after a full one there is.
    Sent { full: bool },
    /// Nothing is due. The next message is, after that time.
    NothingDue(Option<Duration>),
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
        health.fails(MOVES, "the outbox has not been looked at yet");
        health.check_broker(broker.state());
        let aside = Aside::new(options.unanswered, health.clone());
        Self {
            database,
            broker,
            doorbell,
            options,
            health,
            meter: RelayMeter::new(),
            aside,
            kinds: AtomicU32::new(1),
        }
    }

    /// How the relay is, readable while it runs.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Runs until `stop`. A round that is under way is finished.
    pub async fn run(self, stop: CancellationToken) {
        let at_once = match self.database.backend() {
            DbBackend::Postgres => OVERLAPPING,
            _ => 1,
        };
        tokio::join!(join_all((0..at_once).map(|_| self.rounds(&stop))), self.probes(&stop));
    }

    /// One round after the other.
    async fn rounds(&self, stop: &CancellationToken) {
        let mut state = self.broker.state();
        let mut failures = 0_u32;
        let mut poll = SHORTEST_POLL;
        let mut start = Start::Look;
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
                self.database.within(CONFIRMING, self.round(start)).await
            };
            self.say(&round);
            match round {
                Ok(sent) => {
                    if failures > 0 {
                        info!(rounds.failed = failures, "the relay works again");
                    }
                    failures = 0;
                    start = match sent {
                        Round::Sent { full } => {
                            poll = SHORTEST_POLL;
                            if full { Start::Claim } else { Start::Look }
                        }
                        Round::NothingDue(next) => {
                            let poll_now = poll.min(self.options.longest_poll);
                            poll = poll_now * SLOWER;
                            self.rest(stop, next.map_or(poll_now, |next| next.min(poll_now))).await
                        }
                        Round::NotOurs => self.rest(stop, NOT_OURS).await,
                    };
                }
                Err(error) => {
                    failures += 1;
                    start = Start::Look;
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

    async fn look(&self) -> Result<Seen, DbErr> {
        let (now, next) =
            outbox::next_due(self.database.read(), self.database.clock(), &self.aside.kinds()).await?;
        Ok(match next {
            Some(due) if due <= now => Seen::Due(now),
            next => Seen::NothingDue(next.and_then(|due| (due - now).to_std().ok())),
        })
    }

    /// Sends one window.
    async fn round(&self, start: Start) -> Result<Round, RoundError> {
        let moment = match start {
            Start::Claim => self.database.clock().on_receipt(self.database.backend()),
            Start::Look => match self.look().await? {
                Seen::Due(now) => Moment::At(now),
                Seen::NothingDue(wait) => return Ok(Round::NothingDue(wait)),
            },
        };
        let of_a_kind = self.options.window.div_ceil(self.kinds.load(Ordering::Relaxed));
        let window = Window { messages: self.options.window, of_a_kind, bytes: self.options.window_bytes };
        let tx = self.database.begin().await?;
        // Looked at again: the other round may have set a kind aside meanwhile.
        let Claimed { due, kinds } = outbox::claim_due(&tx, moment, window, &self.aside.kinds()).await?;
        self.kinds.store(kinds.max(1), Ordering::Relaxed);
        if due.is_empty() {
            tx.rollback().await?;
            return Ok(match self.look().await? {
                Seen::Due(_) => Round::NotOurs,
                Seen::NothingDue(wait) => Round::NothingDue(wait),
            });
        }
        let full = due.len() >= of_a_kind as usize;
        let keys: Vec<(JobId, i32, i32)> = due.iter().map(|one| (one.job_id, one.seq, one.sends)).collect();
        let messages: Vec<Message> = due.into_iter().map(message).collect();
        fault::point("relay_before_publish");
        let began = Instant::now();
        let span = trace::relay(JOBS_EXCHANGE, messages.iter().map(|one| one.traceparent.as_deref()));
        let published = self.broker.publish(JOBS_EXCHANGE, &messages).instrument(span).await;
        let confirms = published.inspect_err(|error| {
            // Blocked: nothing was published.
            if !matches!(error, BrokerError::Blocked { .. }) {
                self.meter.unknown(messages.len());
            }
        })?;
        fault::point("relay_after_confirm");
        let mut sent = Vec::with_capacity(keys.len());
        let mut refused = Vec::new();
        let (mut unanswered, mut aside) = (Vec::new(), BTreeSet::new());
        for (((job, seq, sends), confirm), message) in keys.iter().copied().zip(confirms).zip(&messages) {
            match confirm {
                Confirm::Confirmed => sent.push((job, seq)),
                Confirm::Refused(reason) => refused.push((job, reason, sends)),
                Confirm::Unanswered => {
                    unanswered.push(job);
                    aside.extend(message.kind.as_deref());
                }
            }
        }
        self.aside.suspect(aside, tokio::time::Instant::now());
        self.meter.answered(sent.len(), refused.len(), unanswered.len(), began.elapsed().as_secs_f64());
        outbox::remove_sent(&tx, &sent).await?;
        self.put_off(&tx, refused).await?;
        outbox::note_unanswered(&tx, &unanswered, UNANSWERED).await?;
        tx.commit().await?;
        fault::point("relay_after_delete");
        Ok(Round::Sent { full })
    }

    /// Refused messages are sent again later.
    async fn put_off(
        &self,
        tx: &DatabaseTransaction,
        refused: Vec<(JobId, String, i32)>,
    ) -> Result<(), DbErr> {
        if refused.is_empty() {
            return Ok(());
        }
        let now = self.database.clock().now(tx).await?;
        let again = refused.into_iter().map(|(job, reason, sends)| (job, reason, self.again_at(now, sends)));
        let refused: Vec<_> = again.collect();
        if let Some((job, reason, due)) = refused.first() {
            warn!(job.id = %job, refused = refused.len(), due_at = %due, "the broker refused messages: {reason}");
        }
        outbox::note_refused(tx, &refused).await
    }

    fn again_at(&self, now: DateTime<Utc>, sends: i32) -> DateTime<Utc> {
        let attempt = u32::try_from(sends).unwrap_or(0).saturating_add(1);
        later(now, self.options.refused.delay_after(attempt))
    }

    /// Waits until somebody rings, at most for `longest`. Answers how the next round begins.
    async fn rest(&self, stop: &CancellationToken, longest: Duration) -> Start {
        tokio::select! {
            () = self.doorbell.rung() => Start::Claim,
            () = stop.cancelled() => Start::Look,
            () = tokio::time::sleep(longest) => Start::Look,
        }
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

#[cfg(test)]
mod tests;

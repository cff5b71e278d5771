//! The worker's metrics.
//!
//! The hot path counts per transaction, not per job, and looks nothing up: each kind has its counters in a `KindMeter`.
//! The one exception is the time from publishing to commit, which is recorded for each job: its tail is what it is for.

#![allow(clippy::cast_precision_loss, reason = "nobody counts to 2^53 here")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ackord_entities::queue::attempt::Outcome as Attempt;
use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::outbox::Cause;
use ackord_entities::queue::state::JobState;
use ackord_producer::metrics::Metric;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::runtime::Ledger;

const FINISHED: &str = "ackord_jobs_finished_total";
const ATTEMPTS: &str = "ackord_attempts_total";
const RETRIES: &str = "ackord_retries_total";
const DEFERRALS: &str = "ackord_deferrals_total";
const LETTERS: &str = "ackord_dead_letters_total";
const GROUP: &str = "ackord_commit_group_jobs";
const COMMIT: &str = "ackord_commit_seconds";
const ROLLBACKS: &str = "ackord_commit_rollbacks_total";
const PERFORM: &str = "ackord_perform_seconds";
const PERFORMING: &str = "ackord_performing_jobs";
const PUBLISH_TO_COMMIT: &str = "ackord_publish_to_commit_seconds";
const DELIVERIES: &str = "ackord_deliveries_total";
const REDELIVERIES: &str = "ackord_redeliveries_total";
const SETTLED: &str = "ackord_settled_total";
const RESTARTS: &str = "ackord_consumer_restarts_total";
const READY: &str = "ackord_queue_messages_ready";
const CONSUMERS: &str = "ackord_queue_consumers";
const ARCHIVED: &str = "ackord_archived_messages_total";
pub(crate) const SYNC_CYCLES: &str = "ackord_sync_cycles_total";
pub(crate) const SYNC_ROWS: &str = "ackord_sync_rows_total";
pub(crate) const SYNC_UNRESOLVED: &str = "ackord_sync_unresolved_total";
pub(crate) const NOTICES_SENT: &str = "ackord_notices_sent_total";
pub(crate) const NOTICES_DROPPED: &str = "ackord_notices_dropped_total";

/// The metrics of the worker.
pub const METRICS: &[Metric] = &[
    Metric::counter(
        FINISHED,
        &["kind", "end"],
        "Jobs that have ended: succeeded, failed (the domain said no), dead (given up), cancelled.",
    ),
    Metric::counter(
        ATTEMPTS,
        &["kind", "outcome"],
        "Attempts that have ended: succeeded, failed, errored, timed_out, panicked, cancelled, deferred, handed_back.",
    ),
    Metric::counter(RETRIES, &["kind"], "Attempts that failed and are tried again after a backoff."),
    Metric::counter(
        DEFERRALS,
        &["kind"],
        "Jobs that came too early and come back later: a gate is closed, a lease is taken.",
    ),
    Metric::counter(
        LETTERS,
        &["kind", "reason"],
        "Dead letters that were written, by why the message was given up.",
    ),
    Metric::histogram(GROUP, &["kind"], "Jobs in one group commit."),
    Metric::histogram(
        COMMIT,
        &["kind"],
        "Seconds that one group commit took, from its beginning to its commit.",
    ),
    Metric::counter(
        ROLLBACKS,
        &["kind"],
        "Group commits that were rolled back and run again, together or taken apart.",
    ),
    Metric::histogram(PERFORM, &["kind"], "Seconds that a slow half took, whatever came of it."),
    Metric::gauge(PERFORMING, &["kind"], "Slow halves that run at the moment."),
    Metric::histogram(
        PUBLISH_TO_COMMIT,
        &["kind"],
        "Seconds from the publishing of a job to the commit of its success. Retries, deferrals and a later due time count; \
         a direct publish counts from its first claim.",
    ),
    Metric::counter(DELIVERIES, &["kind"], "Deliveries that arrived."),
    Metric::counter(REDELIVERIES, &["kind"], "Deliveries that the broker had handed over before."),
    Metric::counter(
        SETTLED,
        &["kind", "answer"],
        "Deliveries that were settled: ack, reject (its dead letter is committed) or hand_back.",
    ),
    Metric::counter(
        RESTARTS,
        &["kind", "reason"],
        "Consumers that were started again: ended (the broker or the channel ended it), silent (it stopped without a word), \
         outage (closed while the database was away for long), failed (it could not be started).",
    ),
    Metric::gauge(
        READY,
        &["kind"],
        "Messages that wait in the kind's queue, as the broker said at the last look.",
    ),
    Metric::gauge(CONSUMERS, &["kind"], "Consumers of the kind's queue, of all workers, at the last look."),
    Metric::counter(
        SYNC_CYCLES,
        &["graph", "outcome"],
        "Cycles that copied a graph to its read side, by how they ended: idle, complete, continued, partial.",
    ),
    Metric::counter(
        SYNC_ROWS,
        &["graph", "outcome"],
        "Rows of a graph that cycles have moved, deleted, deferred (they wait for another row) or failed to copy.",
    ),
    Metric::counter(
        SYNC_UNRESOLVED,
        &["graph", "provider"],
        "Cycles that were put off because the graph's composition names a sync provider that this program does not have.",
    ),
    Metric::counter(ARCHIVED, &["queue"], "Messages from the dead-letter queues that were archived."),
    Metric::counter(NOTICES_SENT, &[], "Notices of what becomes of jobs that were handed to the broker."),
    Metric::counter(
        NOTICES_DROPPED,
        &[],
        "Notices that were not sent: the broker was away, or more happened than it takes notices of.",
    ),
];

/// The counters of one kind. Clones count for the same.
#[derive(Clone)]
pub(crate) struct KindMeter(Arc<Handles>);

struct Handles {
    kind: &'static str,
    succeeded: Counter,
    attempts_succeeded: Counter,
    retries: Counter,
    deferrals: Counter,
    group: Histogram,
    commit: Histogram,
    rollbacks: Counter,
    perform: Histogram,
    performing: Gauge,
    publish_to_commit: Histogram,
    deliveries: Counter,
    redeliveries: Counter,
    acks: Counter,
    rejects: Counter,
    hand_backs: Counter,
    ready: Gauge,
    consumers: Gauge,
}

impl KindMeter {
    pub(crate) fn new(kind: &'static str) -> Self {
        Self(Arc::new(Handles {
            kind,
            succeeded: counter!(FINISHED, "kind" => kind, "end" => "succeeded"),
            attempts_succeeded: counter!(ATTEMPTS, "kind" => kind, "outcome" => "succeeded"),
            retries: counter!(RETRIES, "kind" => kind),
            deferrals: counter!(DEFERRALS, "kind" => kind),
            group: histogram!(GROUP, "kind" => kind),
            commit: histogram!(COMMIT, "kind" => kind),
            rollbacks: counter!(ROLLBACKS, "kind" => kind),
            perform: histogram!(PERFORM, "kind" => kind),
            performing: gauge!(PERFORMING, "kind" => kind),
            publish_to_commit: histogram!(PUBLISH_TO_COMMIT, "kind" => kind),
            deliveries: counter!(DELIVERIES, "kind" => kind),
            redeliveries: counter!(REDELIVERIES, "kind" => kind),
            acks: counter!(SETTLED, "kind" => kind, "answer" => "ack"),
            rejects: counter!(SETTLED, "kind" => kind, "answer" => "reject"),
            hand_backs: counter!(SETTLED, "kind" => kind, "answer" => "hand_back"),
            ready: gauge!(READY, "kind" => kind),
            consumers: gauge!(CONSUMERS, "kind" => kind),
        }))
    }

    /// What a transaction has decided, once it is committed.
    pub(crate) fn committed(&self, tally: &Tally, jobs: usize, took: Duration) {
        let handles = &*self.0;
        handles.group.record(jobs as f64);
        handles.commit.record(took.as_secs_f64());
        handles.succeeded.increment(tally.waits.len() as u64);
        handles.attempts_succeeded.increment(tally.waits.len() as u64);
        for wait in &tally.waits {
            handles.publish_to_commit.record(wait + took.as_secs_f64());
        }
        handles.retries.increment(tally.retries);
        handles.deferrals.increment(tally.deferrals);
        // What ends otherwise is rare, so it may be looked up.
        for (end, count) in &tally.ends {
            counter!(FINISHED, "kind" => handles.kind, "end" => *end).increment(*count);
        }
        for (outcome, count) in &tally.attempts {
            counter!(ATTEMPTS, "kind" => handles.kind, "outcome" => *outcome).increment(*count);
        }
        for (reason, count) in &tally.letters {
            counter!(LETTERS, "kind" => handles.kind, "reason" => reason.to_string()).increment(*count);
        }
    }

    pub(crate) fn deferred(&self) {
        self.0.deferrals.increment(1);
    }

    pub(crate) fn rolled_back(&self) {
        self.0.rollbacks.increment(1);
    }

    pub(crate) fn delivered(&self, deliveries: usize, redeliveries: usize) {
        self.0.deliveries.increment(deliveries as u64);
        self.0.redeliveries.increment(redeliveries as u64);
    }

    pub(crate) fn settled(&self, acks: u64, rejects: u64, hand_backs: u64) {
        self.0.acks.increment(acks);
        self.0.rejects.increment(rejects);
        self.0.hand_backs.increment(hand_backs);
    }

    /// A slow half that begins. It ends when the answer is dropped.
    pub(crate) fn performing(&self) -> Performing {
        self.0.performing.increment(1.0);
        Performing { meter: self.clone(), since: std::time::Instant::now() }
    }

    pub(crate) fn depth(&self, ready: usize, consumers: usize) {
        self.0.ready.set(ready as f64);
        self.0.consumers.set(consumers as f64);
    }

    pub(crate) fn restarted(&self, reason: &'static str) {
        counter!(RESTARTS, "kind" => self.0.kind, "reason" => reason).increment(1);
    }
}

/// A slow half that runs.
pub(crate) struct Performing {
    meter: KindMeter,
    since: std::time::Instant,
}

impl Drop for Performing {
    fn drop(&mut self) {
        self.meter.0.performing.decrement(1.0);
        self.meter.0.perform.record(self.since.elapsed().as_secs_f64());
    }
}

/// What one transaction has decided, in numbers.
#[derive(Default)]
pub(crate) struct Tally {
    /// For each success, the seconds since its publishing when the transaction began.
    waits: Vec<f64>,
    ends: HashMap<&'static str, u64>,
    attempts: HashMap<&'static str, u64>,
    letters: HashMap<Reason, u64>,
    retries: u64,
    deferrals: u64,
}

impl Tally {
    /// The numbers of a ledger; `waits` are those of its successes.
    pub(crate) fn of(ledger: &Ledger, waits: Vec<f64>) -> Self {
        let mut tally = Self { waits, ..Self::default() };
        for end in ledger.transitions.iter().filter_map(|one| end_badly(one.state)) {
            *tally.ends.entry(end).or_default() += 1;
        }
        for outcome in ledger.attempts.iter().filter_map(|one| not_succeeded(one.outcome)) {
            *tally.attempts.entry(outcome).or_default() += 1;
        }
        for letter in &ledger.letters {
            *tally.letters.entry(letter.reason).or_default() += 1;
        }
        let caused = |cause| ledger.messages.iter().filter(|one| one.cause == cause).count() as u64;
        tally.retries = caused(Cause::Retry);
        tally.deferrals = caused(Cause::Deferral);
        tally
    }
}

fn end_badly(state: JobState) -> Option<&'static str> {
    match state {
        JobState::Pending | JobState::Running | JobState::Succeeded => None,
        JobState::Failed => Some("failed"),
        JobState::Dead => Some("dead"),
        JobState::Cancelled => Some("cancelled"),
    }
}

/// The successes are counted by the ends: those of short jobs have no row of their own.
fn not_succeeded(outcome: Attempt) -> Option<&'static str> {
    match outcome {
        Attempt::Running | Attempt::Succeeded | Attempt::Lost => None,
        Attempt::Failed => Some("failed"),
        Attempt::Errored => Some("errored"),
        Attempt::TimedOut => Some("timed_out"),
        Attempt::Panicked => Some("panicked"),
        Attempt::Cancelled => Some("cancelled"),
        Attempt::Deferred => Some("deferred"),
        Attempt::HandedBack => Some("handed_back"),
    }
}

/// A message from a dead-letter queue was archived.
pub(crate) fn archived(queue: &'static str) {
    counter!(ARCHIVED, "queue" => queue).increment(1);
}

//! The metrics of everything that publishes, and what a metric is.
//!
//! Nothing here knows who collects them. Without a recorder they cost next to nothing.

use ackord_entities::queue::schedule_tick::TickOutcome;
use chrono::TimeDelta;
use metrics::{Counter, Histogram, counter, histogram};

use crate::broker::Confirm;

/// A metric: its name, what kind it is, its labels and its help text. The lists of these are what documents, rules and
/// dashboards are checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// As it is exported.
    pub name: &'static str,
    /// How it behaves.
    pub behaves: Behaves,
    /// Its labels, in the order of their use.
    pub labels: &'static [&'static str],
    /// What it counts or measures.
    pub help: &'static str,
}

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaves {
    /// Only rises, until the process ends.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl Metric {
    /// A counter.
    #[must_use]
    pub const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, behaves: Behaves::Counter, labels, help }
    }

    /// A gauge.
    #[must_use]
    pub const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, behaves: Behaves::Gauge, labels, help }
    }

    /// A histogram.
    #[must_use]
    pub const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, behaves: Behaves::Histogram, labels, help }
    }
}

/// Gives the recorder that is installed the help texts.
pub fn describe(list: &[Metric]) {
    for metric in list {
        match metric.behaves {
            Behaves::Counter => metrics::describe_counter!(metric.name, metric.help),
            Behaves::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Behaves::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}

const WINDOWS: &str = "ackord_relay_windows_total";
const MESSAGES: &str = "ackord_relay_messages_total";
const SECONDS: &str = "ackord_relay_window_seconds";
const TICKS: &str = "ackord_schedule_ticks_total";
const LATE: &str = "ackord_schedule_late_seconds";

/// The metrics of this crate.
pub const METRICS: &[Metric] = &[
    Metric::counter(
        WINDOWS,
        &[],
        "Confirm windows that the relay has published, whatever became of their messages.",
    ),
    Metric::counter(
        MESSAGES,
        &["outcome"],
        "Messages that the relay has published: confirmed, refused (returned or nacked, sent again later), unanswered (not \
         confirmed in time: their kind is set aside and sent again when the broker answers) or unknown (the connection was lost, \
         sent again with the same id).",
    ),
    Metric::histogram(SECONDS, &[], "Seconds from the publishing of a window to its last confirm."),
    Metric::counter(
        TICKS,
        &["outcome"],
        "Ticks of schedules that this process has dealt with: fired (a job was made), overlap (the job before it had not ended), \
         duplicate (another job has the dedup key), missed (nobody was there in time; one for all that were passed over together), \
         unknown_kind, invalid_payload.",
    ),
    Metric::histogram(LATE, &[], "Seconds from the planned time of a tick to its firing."),
];

/// What a relay counts.
#[derive(Clone)]
pub struct RelayMeter {
    windows: Counter,
    confirmed: Counter,
    refused: Counter,
    unanswered: Counter,
    unknown: Counter,
    seconds: Histogram,
}

impl RelayMeter {
    /// The counters of the recorder that is installed.
    #[must_use]
    pub fn new() -> Self {
        Self {
            windows: counter!(WINDOWS),
            confirmed: counter!(MESSAGES, "outcome" => "confirmed"),
            refused: counter!(MESSAGES, "outcome" => "refused"),
            unanswered: counter!(MESSAGES, "outcome" => "unanswered"),
            unknown: counter!(MESSAGES, "outcome" => "unknown"),
            seconds: histogram!(SECONDS),
        }
    }

    /// A window whose messages were answered for, or left unanswered while the connection stood.
    pub fn answered(&self, confirmed: usize, refused: usize, unanswered: usize, seconds: f64) {
        self.windows.increment(1);
        self.confirmed.increment(confirmed as u64);
        self.refused.increment(refused as u64);
        self.unanswered.increment(unanswered as u64);
        if unanswered == 0 {
            self.seconds.record(seconds);
        }
    }

    /// A window of one message, to find out whether it is answered for.
    pub fn probed(&self, confirm: Option<&Confirm>) {
        let Some(confirm) = confirm else { return };
        self.windows.increment(1);
        match confirm {
            Confirm::Confirmed => self.confirmed.increment(1),
            Confirm::Refused(_) => self.refused.increment(1),
            Confirm::Unanswered => self.unanswered.increment(1),
        }
    }

    /// A window whose connection was lost: nobody knows what became of it.
    pub fn unknown(&self, messages: usize) {
        self.windows.increment(1);
        self.unknown.increment(messages as u64);
    }
}

impl Default for RelayMeter {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for RelayMeter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("RelayMeter")
    }
}

/// What a scheduler counts.
#[derive(Clone)]
pub struct SchedulerMeter {
    late: Histogram,
}

impl SchedulerMeter {
    /// The counters of the recorder that is installed.
    #[must_use]
    pub fn new() -> Self {
        Self { late: histogram!(LATE) }
    }

    /// A tick that was dealt with so late.
    pub fn tick(&self, outcome: TickOutcome, late_by: TimeDelta) {
        counter!(TICKS, "outcome" => outcome.to_string()).increment(1);
        if outcome == TickOutcome::Fired {
            self.late.record(late_by.as_seconds_f64().max(0.0));
        }
    }
}

impl Default for SchedulerMeter {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for SchedulerMeter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SchedulerMeter")
    }
}

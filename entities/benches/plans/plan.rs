//! The plans that the server sends as notices while statements run.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// What a busy installation has millions of, or hundreds of thousands.
const LARGE: [&str; 9] = [
    "jobs",
    "outbox",
    "attempts",
    "dead_letters",
    "message_ids",
    "dedup_keys",
    "leases",
    "idempotency_keys",
    "replay_letters",
];

/// Collects the notices of all connections.
#[derive(Clone, Default)]
pub(super) struct Plans(Arc<Mutex<Vec<Plan>>>);

/// One executed statement.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) millis: f64,
    pub(super) text: String,
}

impl Plans {
    /// What was collected since the last call.
    pub(super) fn take(&self) -> Vec<Plan> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: tracing::Subscriber> Layer<S> for Plans {
    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
        if event.metadata().target() != "sqlx::postgres::notice" {
            return;
        }
        let mut message = Message::default();
        event.record(&mut message);
        // `duration: 0.123 ms  plan:` and then the statement and its plan.
        let Some(rest) = message.0.strip_prefix("duration: ") else { return };
        let Some((millis, text)) = rest.split_once(" ms  plan:") else { return };
        let text = text.trim().to_owned();
        let plan = Plan { millis: millis.parse().unwrap(), text };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(plan);
    }
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0.clear();
            let _ = write!(self.0, "{value:?}");
        }
    }
}

impl Plan {
    /// The large tables that were read from end to end.
    pub(super) fn scanned(&self) -> Vec<&'static str> {
        let names = |line: &str| {
            let (_, rest) = line.split_once("Seq Scan on ")?;
            let name = rest.split_whitespace().next()?;
            LARGE.into_iter().find(|table| *table == name)
        };
        self.text.lines().filter_map(names).collect()
    }

    /// The indexes that were read, each once.
    pub(super) fn indexes(&self) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for line in self.text.lines().filter(|line| line.contains("Scan")) {
            // `Index Scan using NAME on ..`, `Bitmap Index Scan on NAME`
            let name = match line.split_once(" using ") {
                Some((_, rest)) => rest,
                None => match line.split_once("Bitmap Index Scan on ") {
                    Some((_, rest)) => rest,
                    None => continue,
                },
            };
            if let Some(name) = name.split_whitespace().next().filter(|name| !found.contains(name)) {
                found.push(name);
            }
        }
        found
    }

    /// Pages that were looked at, whether they were in memory or not: what a plan costs whatever else the machine does.
    pub(super) fn pages(&self) -> u64 {
        // The topmost node counts those below it.
        let Some(line) = self.text.lines().find(|line| line.trim_start().starts_with("Buffers: shared"))
        else {
            return 0;
        };
        let numbers = line.split_whitespace().filter_map(|word| {
            word.strip_prefix("hit=")
                .or_else(|| word.strip_prefix("read="))
                .and_then(|number| number.parse::<u64>().ok())
        });
        numbers.sum()
    }
}

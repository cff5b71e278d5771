//! What cycles count.

use ackord_entities::sync::cycle;
use metrics::counter;
use sea_orm::ActiveEnum as _;

use crate::metrics::{SYNC_CYCLES, SYNC_ROWS, SYNC_UNRESOLVED};

/// A cycle that was recorded.
pub(super) fn recorded(graph: &str, cycle: &cycle::Model) {
    counter!(SYNC_CYCLES, "graph" => graph.to_owned(), "outcome" => cycle.outcome.to_value()).increment(1);
    let rows = [
        ("moved", cycle.moved),
        ("deleted", cycle.deleted),
        ("deferred", cycle.deferred),
        ("failed", cycle.failed),
    ];
    for (outcome, count) in rows {
        counter!(SYNC_ROWS, "graph" => graph.to_owned(), "outcome" => outcome)
            .increment(count.unsigned_abs());
    }
}

/// A cycle whose graph names a provider that is not there.
pub(super) fn unresolved(graph: &str, provider: &str) {
    counter!(SYNC_UNRESOLVED, "graph" => graph.to_owned(), "provider" => provider.to_owned()).increment(1);
}

//! Schedules and ticks on the terminal.

use ackord_entities::queue::schedule_tick::{FiredBy, TickOutcome};
use ackord_producer::story::{NextTick, ScheduleView, TickView};
use chrono::{DateTime, Utc};

use crate::terminal::{ago, bad, dim, good, moment, waiting};

/// An outcome in its colour.
pub(super) fn coloured(outcome: TickOutcome) -> String {
    match outcome {
        TickOutcome::Fired => good(outcome),
        TickOutcome::Overlap | TickOutcome::Duplicate | TickOutcome::Changed => waiting(outcome),
        TickOutcome::Missed | TickOutcome::UnknownKind | TickOutcome::InvalidPayload => bad(outcome),
    }
}

/// When it ticks next, or why it does not.
pub(super) fn next(schedule: &ScheduleView, now: DateTime<Utc>) -> String {
    match schedule.next_tick {
        None if schedule.enabled => dim("never again"),
        None => dim("disabled"),
        Some(tick) if schedule.waits_for_clock => {
            waiting(format!("{} (the clock was set back)", ago(tick, now)))
        }
        Some(tick) => ago(tick, now),
    }
}

/// A tick that was dealt with, in a line.
pub(super) fn tick_line(tick: &TickView) -> String {
    let by = match tick.fired_by {
        FiredBy::Tick => "",
        FiredBy::Hand => " by hand",
    };
    let mut parts = vec![moment(tick.planned_at), format!("{}{by}", coloured(tick.outcome))];
    parts.extend(tick.job_id.map(|job| job.to_string()));
    parts.extend(tick.holder_id.map(|holder| format!("because of job {holder}")));
    parts.extend(tick.passed_from.zip(tick.passed_over).map(|(from, count)| {
        let more = if tick.passed_over_more { " or more" } else { "" };
        format!("{count}{more} since {}", moment(from))
    }));
    parts.extend(tick.note.clone());
    parts.join("  ")
}

/// A tick to come, in a line.
pub(super) fn next_line(tick: &NextTick, now: DateTime<Utc>) -> String {
    format!("{}  {}  {}", moment(tick.at), tick.local, dim(ago(tick.at, now)))
}

//! The queue's own tables: what waits for too long, what is paused, what waits for a decision.

use ackord_entities::database::Database;
use ackord_entities::jobs::catalogue;
use ackord_entities::queue::{pause, survey};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DbErr;

use super::check::{Check, Checks};
use super::count;
use crate::terminal::length;

/// A message that waits for longer should have been sent.
const LATE: TimeDelta = TimeDelta::seconds(30);
/// A lease that expired longer ago should have been swept.
const UNSWEPT: TimeDelta = TimeDelta::seconds(60);

pub(super) async fn look(database: &Database, now: DateTime<Utc>, checks: &mut Checks) -> Result<(), DbErr> {
    let found = survey::survey(database.read(), now).await?;
    checks.add(outbox(&found, now));
    if found.oldest_expiry.is_some_and(|expiry| now - expiry > UNSWEPT) {
        let what = format!("{} of lost workers wait to be put back", count(found.expired_leases, "job"));
        checks.add(Check::failed(
            "queue.leases",
            what,
            "start `ackord relay`, or `ackord work` without --no-upkeep",
        ));
    }
    let known = catalogue();
    let unknown: Vec<&str> =
        found.unfinished_kinds.iter().map(String::as_str).filter(|kind| known.get(kind).is_none()).collect();
    if !unknown.is_empty() {
        let what =
            format!("unfinished jobs of kinds that this program does not know: {}", unknown.join(", "));
        checks.add(Check::warning("queue.kinds", what, "run a program that knows them, or cancel the jobs"));
    }
    let paused: Vec<String> = pause::all(database.read()).await?.into_iter().map(|row| row.kind).collect();
    if !paused.is_empty() {
        let what = format!("paused: {}", paused.join(", "));
        checks.add(Check::warning("queue.paused", what, "`ackord resume KIND` lets a kind go on"));
    }
    checks.add(match found.open_letters {
        0 => Check::ok("queue.dead_letters", "none is open"),
        open => Check::warning(
            "queue.dead_letters",
            format!("{} wait for a decision", count(open, "dead letter")),
            "`ackord dead-letters list` shows them; mend the cause, then replay or discard",
        ),
    });
    Ok(())
}

fn outbox(found: &survey::Survey, now: DateTime<Utc>) -> Check {
    let check = "queue.outbox";
    let age = found.overdue.oldest.map_or(TimeDelta::zero(), |due| now - due);
    if age <= LATE {
        return Check::ok(check, "what is due is sent");
    }
    let age = length(age.to_std().unwrap_or_default());
    let what =
        format!("{} wait to be sent, the oldest since {age}", count(found.overdue.messages, "message"));
    match &found.overdue.last_error {
        Some(refusal) => Check::failed(
            check,
            format!("{what}; the broker did not take them: {refusal}"),
            "`ackord topology verify` says whether a queue is missing: run a program that knows the kind. A queue without a leader \
             needs one: docs/operations.md",
        ),
        None => Check::failed(
            check,
            what,
            "see whether a process runs the relay and whether the broker takes messages; its log says more",
        ),
    }
}

//! `ackord schedules show`.

use std::fmt::Write;

use ackord_entities::queue::schedule::{self, ScheduleName};
use ackord_producer::story::{Audience, ScheduleView, WholeSchedule};
use chrono::{DateTime, Utc};

use super::no_such_schedule;
use super::view::{next, next_line, tick_line};
use crate::exit::Exit;
use crate::session::Session;
use crate::terminal::{ago, bold, dim, moment};

pub(super) async fn run(session: &Session, name: &ScheduleName) -> anyhow::Result<Exit> {
    let database = session.database().await?;
    let found = schedule::find(database.read(), name).await?;
    let schedule = found.ok_or_else(|| no_such_schedule(name))?;
    let whole = WholeSchedule::read(&database, schedule, Audience::Operators).await?;
    session.terminal.answer(&whole, || text(&whole))?;
    Ok(Exit::Success)
}

fn text(whole: &WholeSchedule) -> String {
    let mut text = head(&whole.schedule, whole.at);
    section(&mut text, "Next ticks", whole.next_ticks.iter().map(|tick| next_line(tick, whole.at)));
    section(&mut text, "Last ticks", whole.ticks.iter().map(tick_line));
    text
}

fn head(schedule: &ScheduleView, now: DateTime<Utc>) -> String {
    let mut text = format!("{}  {}\n", bold(&schedule.name), next(schedule, now));
    let mut line = |label: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {} {value}", dim(format!("{label:<9}")));
    };
    line("cron", format!("{}  {}", schedule.expression, schedule.zone));
    line("kind", schedule.kind.clone());
    line("payload", schedule.payload.as_ref().map(ToString::to_string).unwrap_or_default());
    line("catch up", schedule.catch_up.to_string());
    line("overlap", schedule.overlap.to_string());
    if let Some(job) = schedule.last_job_id {
        line("last job", job.to_string());
    }
    let changed = (schedule.changed_at, &schedule.changed_by);
    line("changed", format!("{} by {}  {}", moment(changed.0), changed.1, dim(ago(changed.0, now))));
    text
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    let _ = writeln!(text, "\n{}", bold(title));
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
}

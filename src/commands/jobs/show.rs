//! `ackord jobs show`: a story as text.

use std::fmt::Write;

use ackord_entities::database::Database;
use ackord_entities::ids::JobId;
use ackord_producer::story::{Audience, Event, JobView, ModelSum, ModelUse, ScheduledBy, Story};
use chrono::{DateTime, Utc};
use sea_orm::DbErr;

use super::no_such_job;
use super::view::coloured;
use crate::exit::Exit;
use crate::lock;
use crate::session::{Session, sqlite_file};
use crate::terminal::{ago, bold, clock_time, dim, length, moment, waiting};

/// Longer payloads are cut in the text; the JSON has all of it.
const SHOWN_PAYLOAD: usize = 2_000;

pub(super) async fn run(session: &Session, id: JobId) -> anyhow::Result<Exit> {
    let database = session.database().await?;
    let story = story(&database, id).await?.ok_or_else(|| no_such_job(id))?;
    session.terminal.answer(&story, || story_text(&story))?;
    Ok(Exit::Success)
}

/// The story of a job for operators; `None` if there is no such job.
///
/// # Errors
/// Whatever the database answers.
pub(crate) async fn story(database: &Database, id: JobId) -> Result<Option<Story>, DbErr> {
    let worker = sqlite_file(database).map(|path| lock::holder(path).is_some());
    Story::read(database, id, Audience::Operators, worker).await
}

/// The story for people.
fn story_text(story: &Story) -> String {
    let mut text = head(&story.job, story.at);
    section(
        &mut text,
        "Why it is not running",
        story.why_not_running.iter().map(|reason| waiting(&reason.text)),
    );
    section(&mut text, "Timeline", timeline_lines(&story.timeline));
    section(&mut text, "Model", story.model_use.iter().flat_map(model_lines));
    section(&mut text, "Published by", story.parent.iter().map(one_line));
    section(&mut text, "Published by", story.schedule.iter().map(ScheduledBy::sentence));
    section(&mut text, "Follow-up jobs", story.follow_ups.iter().map(one_line));
    section(
        &mut text,
        "Dead letters",
        story.dead_letters.iter().map(|letter| {
            let state = format!("{:?}", letter.state).to_lowercase();
            format!("{}  {state}  {}  {}", letter.id, letter.reason, letter.error)
        }),
    );
    section(
        &mut text,
        "Lease",
        story.lease.iter().map(|lease| {
            let until =
                lease.expires_at.map_or_else(String::new, |until| format!(", until {}", moment(until)));
            format!("{}, term {}{until}", lease.key, lease.term)
        }),
    );
    section(&mut text, "Result", story.job.result.iter().map(ToString::to_string));
    section(
        &mut text,
        &format!("Payload (version {})", story.payload_version),
        payload_lines(story).into_iter(),
    );
    text
}

fn head(job: &JobView, now: DateTime<Utc>) -> String {
    let mut text = format!("{} {}  {}\n", bold(&job.kind), job.id, coloured(job.state));
    let mut line = |label: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {} {value}", dim(format!("{label:<11}")));
    };
    if let Some(subject) = &job.subject {
        line("about", subject.clone());
    }
    line("published", format!("{}  {}", moment(job.created_at), dim(ago(job.created_at, now))));
    if let Some(finished) = job.finished_at {
        let took = (finished - job.created_at).to_std().map(length).unwrap_or_default();
        line("ended", format!("{}  {}", moment(finished), dim(format!("{took} after it was published"))));
    }
    let deferrals = match job.deferrals {
        0 => String::new(),
        count => format!(", {count} deferrals"),
    };
    line("attempts", format!("{} of {}{deferrals}", job.attempt, job.max_attempts));
    line("message", format!("seq {}", job.seq));
    if let Some(key) = &job.dedup_key {
        line("dedup key", key.clone());
    }
    if let Some(error) = &job.error {
        line("error", format!("{} ({})", error.message, error.code));
    }
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

/// Each attempt, and all of them where there are several.
fn model_lines(used: &ModelUse) -> Vec<String> {
    let mut lines: Vec<String> =
        used.attempts.iter().map(|one| format!("attempt {}  {}", one.attempt, model_sum(&one.sum))).collect();
    if used.attempts.len() > 1 {
        lines.push(format!("in all     {}", model_sum(&used.sum)));
    }
    lines
}

fn model_sum(sum: &ModelSum) -> String {
    let calls = if sum.calls == 1 { "1 call".to_owned() } else { format!("{} calls", sum.calls) };
    let cached =
        if sum.cached_tokens > 0 { format!(" ({} cached)", sum.cached_tokens) } else { String::new() };
    let cost = sum.cost_micros.map_or_else(String::new, |micros| {
        format!(", cost {}.{:06}", micros / 1_000_000, micros % 1_000_000)
    });
    let estimated = if sum.estimated { ", partly estimated" } else { "" };
    format!(
        "{calls}, {} tokens sent{cached}, {} answered{cost}{estimated}",
        sum.prompt_tokens, sum.completion_tokens
    )
}

fn one_line(job: &JobView) -> String {
    format!("{}  {}  {}", job.id, job.kind, coloured(job.state))
}

/// Each event with its time, and how long after the one before.
pub(crate) fn timeline_lines(events: &[Event]) -> impl Iterator<Item = String> {
    let mut before: Option<DateTime<Utc>> = None;
    events.iter().map(move |event| {
        let later = before
            .and_then(|before| (event.at - before).to_std().ok())
            .map_or_else(String::new, |later| format!("+{}", length(later)));
        let new_day = before.is_none_or(|before| before.date_naive() != event.at.date_naive());
        before = Some(event.at);
        let day = if new_day { event.at.date_naive().to_string() } else { String::new() };
        let time = format!("{day:<10} {}", clock_time(event.at));
        format!("{}  {}  {}", dim(time), dim(format!("{later:>7}")), event.text)
    })
}

fn payload_lines(story: &Story) -> Vec<String> {
    let json = serde_json::to_string_pretty(&story.payload).unwrap_or_default();
    let shown: String = json.chars().take(SHOWN_PAYLOAD).collect();
    let mut lines: Vec<String> = shown.lines().map(str::to_owned).collect();
    if shown.len() < json.len() {
        lines.push(dim(format!(".. {} bytes in all; --json has them", json.len())));
    }
    lines
}

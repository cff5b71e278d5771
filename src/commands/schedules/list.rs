//! `ackord schedules list`.

use ackord_entities::queue::schedule::{self, ScheduleName};
use ackord_producer::story::{Audience, ScheduleView};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::view::{coloured, next};
use crate::exit::Exit;
use crate::session::Session;
use crate::terminal::{Column, ago, dim, table};

/// List schedules by name, with the next tick of each and what became of the last one
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ackord schedules list
  ackord schedules list --json | jq -r '.schedules[] | select(.last_tick.outcome != \"fired\") | .name'")]
pub(super) struct ListArgs {
    /// Only those behind this name: the page after the one that ended with it
    #[arg(long, value_name = "NAME", value_parser = super::name)]
    after: Option<ScheduleName>,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

/// One page. The JSON is a stable interface.
#[derive(Serialize)]
struct Page {
    schedules: Vec<ScheduleView>,
    /// What to give as `--after` for the next page; null when this was the last.
    next_after: Option<ScheduleName>,
}

impl ListArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let database = session.database().await?;
        let now = database.clock().now(database.read()).await?;
        let limit = usize::from(self.limit);
        let mut rows =
            schedule::list(database.read(), self.after.as_ref(), u64::from(self.limit) + 1).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_after = rows.last().filter(|_| more).map(|last| last.name.clone());
        let schedules = ScheduleView::of_all(&database, rows, Audience::Operators, now).await?;
        let page = Page { schedules, next_after };
        session.terminal.answer(&page, || text(&page, now))?;
        Ok(Exit::Success)
    }
}

fn text(page: &Page, now: DateTime<Utc>) -> String {
    if page.schedules.is_empty() {
        return "no schedules".to_owned();
    }
    let columns = [
        Column::text("NAME"),
        Column::text("KIND"),
        Column::text("CRON"),
        Column::text("ZONE"),
        Column::text("NEXT"),
        Column::text("LAST"),
    ];
    let rows = page.schedules.iter().map(|schedule| row(schedule, now)).collect();
    let more = page.next_after.as_ref();
    let more =
        more.map_or_else(String::new, |name| dim(format!("more: ackord schedules list --after {name}\n")));
    table(&columns, rows) + &more
}

fn row(schedule: &ScheduleView, now: DateTime<Utc>) -> Vec<String> {
    let last = schedule.last_tick.as_ref();
    vec![
        schedule.name.to_string(),
        schedule.kind.clone(),
        schedule.expression.clone(),
        schedule.zone.clone(),
        next(schedule, now),
        last.map_or_else(String::new, |tick| {
            format!("{} {}", coloured(tick.outcome), ago(tick.planned_at, now))
        }),
    ]
}

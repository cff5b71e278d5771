//! `ackord schedules preview`.

use ackord_entities::queue::schedule::{self, ScheduleName};
use ackord_producer::schedules::Plan;
use ackord_producer::story::{NextTick, next_ticks};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::view::next_line;
use super::{checked, no_such_schedule};
use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::Session;

/// Show which moments a schedule, or an expression that is none yet, names
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ackord schedules preview nightly
  ackord schedules preview --cron '30 2 * * *' --zone Europe/Berlin --after 2027-03-27T00:00:00Z --count 3")]
pub(super) struct PreviewArgs {
    /// The schedule
    #[arg(value_parser = super::name)]
    schedule: Option<ScheduleName>,
    /// A cron expression instead of the schedule's
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,
    /// A time zone instead of the schedule's [default without a schedule: UTC]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// From when on [default: now]
    #[arg(long, value_name = "MOMENT", value_parser = crate::commands::publish::parse_moment)]
    after: Option<DateTime<Utc>>,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
}

/// What it names. The JSON is a stable interface.
#[derive(Serialize)]
struct Preview {
    expression: String,
    zone: String,
    next_ticks: Vec<NextTick>,
}

impl PreviewArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let (known, now) = match &self.schedule {
            Some(name) => {
                let database = session.database().await?;
                let found = schedule::find(database.read(), name).await?;
                let now = database.clock().now(database.read()).await?;
                (Some(found.ok_or_else(|| no_such_schedule(name))?), now)
            }
            // Nothing is decided here, so no database is needed.
            None => (None, ackord_entities::clock::machine_now()),
        };
        let of_schedule = |pick: fn(&schedule::Model) -> &String| known.as_ref().map(pick).cloned();
        let expression = self.cron.or_else(|| of_schedule(|schedule| &schedule.expression));
        let zone = self.zone.or_else(|| of_schedule(|schedule| &schedule.zone));
        let expression =
            expression.ok_or_else(|| Problem::usage("give a schedule, or an expression with --cron"))?;
        let zone = zone.unwrap_or_else(|| "UTC".to_owned());
        let plan = Plan::new(&expression, &zone).map_err(|invalid| checked(invalid.into()))?;
        let next_ticks = next_ticks(&plan, self.after.unwrap_or(now), usize::from(self.count));
        let preview = Preview { expression, zone, next_ticks };
        session.terminal.answer(&preview, || text(&preview, now))?;
        Ok(Exit::Success)
    }
}

fn text(preview: &Preview, now: DateTime<Utc>) -> String {
    if preview.next_ticks.is_empty() {
        return format!("`{}` names no moment to come", preview.expression);
    }
    let lines = preview.next_ticks.iter().map(|tick| next_line(tick, now));
    lines.collect::<Vec<_>>().join("\n")
}

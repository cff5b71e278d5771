//! `ackord schedules set`.

use ackord_entities::jobs::catalogue;
use ackord_entities::queue::schedule::{CatchUp, NotACatchUp, Overlap, ScheduleName};
use ackord_producer::operate::{ScheduleWish, set_schedule};
use ackord_producer::story::{Audience, ScheduleView};
use clap::ValueEnum;
use serde::Serialize;

use super::problem;
use super::view::next;
use crate::commands::payload;
use crate::exit::Exit;
use crate::session::{OperatorArgs, Session};

/// Make a schedule, or change what is given of one that is there
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The expression: minute, hour, day of the month, month, day of the week; a sixth field in front is the second. The clock of the
zone counts: what happens when it is set forward or back stands in docs/schedules.md, and `ackord schedules preview` shows it.

Examples:
  ackord schedules set nightly --cron '30 2 * * *' --zone Europe/Berlin --kind synthesis --payload '{\"topic\": \"outbox\"}'
  ackord schedules set nightly --cron '45 2 * * MON-FRI'
  ackord schedules set hourly --cron @hourly --kind synthesis --payload @topic.json --catch-up all:24 --overlap allow")]
pub(super) struct SetArgs {
    /// Its name: lower-case letters, digits, and single hyphens between them
    #[arg(value_parser = super::name)]
    schedule: ScheduleName,
    /// The cron expression
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,
    /// Time zone, by its IANA name [default for a new one: UTC]
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// The kind of its jobs
    #[arg(long)]
    kind: Option<String>,
    /// The payload of its jobs: JSON, @FILE, or - for stdin [default for a new one: {}]
    #[arg(long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    payload: Option<String>,
    /// Ticks that nobody fired in time: none of them, the last one, or all up to N of the newest [default for a new one: none]
    #[arg(long, value_name = "none|last|all:N", value_parser = parse_catch_up)]
    catch_up: Option<CatchUp>,
    /// A tick while the job before it has not ended [default for a new one: skip]
    #[arg(long, value_enum, value_name = "WHAT")]
    overlap: Option<OverlapName>,
    #[command(flatten)]
    operator: OperatorArgs,
}

fn parse_catch_up(text: &str) -> Result<CatchUp, NotACatchUp> {
    text.parse()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OverlapName {
    /// Is not fired
    Skip,
    /// Is fired all the same
    Allow,
}

impl OverlapName {
    fn overlap(self) -> Overlap {
        match self {
            Self::Skip => Overlap::Skip,
            Self::Allow => Overlap::Allow,
        }
    }
}

/// What the verb did. The JSON is a stable interface.
#[derive(Serialize)]
struct Done {
    schedule: ScheduleView,
    created: bool,
    /// Whether it was otherwise before.
    changed: bool,
}

impl SetArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let payload = self.payload.as_deref().map(payload::read).transpose()?;
        let wish = ScheduleWish {
            kind: self.kind.as_deref(),
            payload: payload.as_deref(),
            expression: self.cron.as_deref(),
            zone: self.zone.as_deref(),
            catch_up: self.catch_up,
            overlap: self.overlap.map(OverlapName::overlap),
            ..ScheduleWish::default()
        };
        let operator = self.operator.operator();
        let database = session.database().await?;
        let tx = database.begin().await?;
        let now = database.clock().now(&tx).await?;
        let set = set_schedule(&tx, &catalogue(), &self.schedule, &wish, &operator, now).await;
        let set = set.map_err(problem)?;
        tx.commit().await?;
        let views = ScheduleView::of_all(&database, vec![set.schedule], Audience::Operators, now).await?;
        for schedule in views {
            let done = Done { schedule, created: set.created, changed: set.changed };
            session.terminal.answer(&done, || {
                let what = match (done.created, done.changed) {
                    (true, _) => "is made",
                    (false, true) => "is changed",
                    (false, false) => "is like that already",
                };
                format!("{} {what}, next tick: {}", done.schedule.name, next(&done.schedule, now))
            })?;
        }
        Ok(Exit::Success)
    }
}

//! `ackord jobs list`.

use ackord_entities::database::Database;
use ackord_entities::ids::JobId;
use ackord_entities::queue::job::{self, Filter};
use ackord_entities::queue::state::{JobState, ShownState};
use ackord_producer::story::{Audience, JobView};
use chrono::{DateTime, Utc};
use clap::ValueEnum;
use serde::Serialize;

use super::view::coloured;
use crate::commands::page::{PageArgs, older};
use crate::exit::Exit;
use crate::session::Session;
use crate::terminal::{Column, ago, table};

/// List jobs, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ackord jobs list
  ackord jobs list --state failed,dead --kind synthesis
  ackord jobs list --before ID        the page after the one that ended with ID")]
pub(super) struct ListArgs {
    /// Only this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only these states, joined by commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STATE")]
    state: Vec<StateName>,
    /// Only jobs about this, for example graph:default
    #[arg(long)]
    subject: Option<String>,
    /// Only follow-ups of this job
    #[arg(long, value_name = "ID")]
    parent: Option<JobId>,
    #[command(flatten)]
    page: PageArgs<JobId>,
}

/// The states as they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StateName {
    Scheduled,
    Retrying,
    Deferred,
    Queued,
    Running,
    Succeeded,
    Failed,
    Dead,
    Cancelled,
}

impl StateName {
    fn shown(self) -> ShownState {
        match self {
            Self::Scheduled => ShownState::Scheduled,
            Self::Retrying => ShownState::Retrying,
            Self::Deferred => ShownState::Deferred,
            Self::Queued => ShownState::Queued,
            Self::Running => ShownState::Running,
            Self::Succeeded => ShownState::Succeeded,
            Self::Failed => ShownState::Failed,
            Self::Dead => ShownState::Dead,
            Self::Cancelled => ShownState::Cancelled,
        }
    }
}

/// One page. The JSON is a stable interface.
#[derive(Serialize)]
struct Page {
    jobs: Vec<JobView>,
    /// What to give as `--before` for the next page; null when this was the last.
    next_before: Option<JobId>,
}

impl ListArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let database = session.database().await?;
        let now = database.clock().now(database.read()).await?;
        let page = self.page(&database, now).await?;
        session.terminal.answer(&page, || text(&page, now))?;
        Ok(Exit::Success)
    }

    /// The shown states are not stored, so a page of them may take several of the database's.
    async fn page(&self, database: &Database, now: DateTime<Utc>) -> anyhow::Result<Page> {
        let limit = usize::from(self.page.limit);
        let shown: Vec<ShownState> = self.state.iter().map(|state| state.shown()).collect();
        let mut states: Vec<JobState> = shown.iter().map(|state| state.stored()).collect();
        states.dedup();
        let mut filter = Filter {
            kind: self.kind.clone(),
            states,
            subject: self.subject.clone(),
            parent: self.parent,
            since: None,
            before: self.page.before,
        };
        let mut jobs = Vec::new();
        loop {
            let rows = job::list(database.read(), &filter, self.page.rows()).await?;
            let views = JobView::of_all(database, &rows, Audience::Operators, now).await?;
            jobs.extend(views.into_iter().filter(|job| shown.is_empty() || shown.contains(&job.state)));
            if rows.len() <= limit || jobs.len() > limit {
                break;
            }
            filter.before = rows.last().map(|job| job.id);
        }
        let next_before = self.page.cut(&mut jobs, |job| job.id);
        Ok(Page { jobs, next_before })
    }
}

fn text(page: &Page, now: DateTime<Utc>) -> String {
    if page.jobs.is_empty() {
        return "no jobs".to_owned();
    }
    let columns = [
        Column::text("ID"),
        Column::text("KIND"),
        Column::text("STATE"),
        Column::numbers("TRIES"),
        Column::text("ABOUT"),
        Column::text("PUBLISHED"),
        Column::text("ERROR"),
    ];
    let rows = page.jobs.iter().map(|job| row(job, now)).collect();
    table(&columns, rows) + &older("jobs list", page.next_before)
}

fn row(job: &JobView, now: DateTime<Utc>) -> Vec<String> {
    vec![
        job.id.to_string(),
        job.kind.clone(),
        coloured(job.state),
        format!("{}/{}", job.attempt, job.max_attempts),
        job.subject.clone().unwrap_or_default(),
        ago(job.created_at, now),
        job.error.as_ref().map(|error| error.code.clone()).unwrap_or_default(),
    ]
}

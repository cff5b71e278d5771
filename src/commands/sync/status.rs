//! `ackord sync status`.

use std::time::Duration;

use ackord_producer::story::{Audience, CycleView, ResolutionView, SyncStatus, SyncStory};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{graph, words};
use crate::exit::Exit;
use crate::registry::providers;
use crate::session::Session;
use crate::terminal::{Column, ago, bad, dim, length, table, waiting};

/// Show how the copying of graphs stands; of one graph, its cycles and what the last busy one did table by table
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  ackord sync status\n  ackord sync status research\n  \
                        ackord sync status --json | jq '.graphs[] | select(.synced_at == null) | .graph'")]
pub(super) struct StatusArgs {
    /// The graph [default: all of them]
    #[arg(value_name = "GRAPH")]
    graph: Option<String>,
    /// How many of its cycles
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000), requires = "graph")]
    cycles: u16,
}

/// All graphs. The JSON is a stable interface.
#[derive(Serialize)]
struct All {
    graphs: Vec<SyncStatus>,
    /// The providers that this program has.
    providers: Vec<&'static str>,
}

/// One graph. The JSON is a stable interface.
#[derive(Serialize)]
struct One {
    #[serde(flatten)]
    story: SyncStory,
    /// The providers that this program has.
    providers: Vec<&'static str>,
}

impl StatusArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let database = session.database().await?;
        let providers = providers(session.config()).ids();
        let now = database.clock().now(database.read()).await?;
        match self.graph {
            None => {
                let graphs = SyncStatus::of_all(&database, Audience::Operators).await?;
                let all = All { graphs, providers };
                session.terminal.answer(&all, || all_text(&all, now))?;
            }
            Some(name) => {
                let graph = graph(&database, &name).await?;
                let story =
                    SyncStory::read(&database, &graph, self.cycles.into(), Audience::Operators).await?;
                let one = One { story, providers };
                session.terminal.answer(&one, || one_text(&one, now))?;
            }
        }
        Ok(Exit::Success)
    }
}

fn all_text(all: &All, now: DateTime<Utc>) -> String {
    if all.graphs.is_empty() {
        return "there are no graphs: `ackord import PATH` makes one".to_owned();
    }
    let columns = [
        Column::text("GRAPH"),
        Column::text("PROVIDER"),
        Column::text("LAST CYCLE"),
        Column::text("COPIED"),
        Column::numbers("WAIT"),
        Column::numbers("REFUSED"),
        Column::numbers("ABANDONED"),
        Column::text("HELD BACK"),
    ];
    let row = |status: &SyncStatus| {
        let newest = status.newest.as_ref();
        vec![
            status.graph.clone(),
            provider(status, &all.providers),
            newest.map_or_else(
                || "none".to_owned(),
                |cycle| format!("{} {}", words::outcome(cycle.outcome), ago(cycle.ended_at, now)),
            ),
            status.synced_at.map_or_else(|| waiting("never"), |at| ago(at, now)),
            status.held.deferred.to_string(),
            status.held.pending.to_string(),
            status.held.abandoned.to_string(),
            newest.and_then(held_back).unwrap_or_default(),
        ]
    };
    table(&columns, all.graphs.iter().map(row).collect())
}

/// The provider, and what is wrong with it.
fn provider(status: &SyncStatus, known: &[&str]) -> String {
    match (&status.provider, status.resolution) {
        (None, _) | (_, ResolutionView::Unreadable) => bad("cannot be read"),
        (Some(id), _) if !known.contains(&id.as_str()) => bad(format!("{id} (not in this program)")),
        (Some(id), _) => id.clone(),
    }
}

/// What a cycle could not read past.
fn held_back(cycle: &CycleView) -> Option<String> {
    let lag = cycle.lag_ms.and_then(|lag| u64::try_from(lag).ok()).map(Duration::from_millis)?;
    let who = cycle.held_by.as_deref().unwrap_or("a transaction");
    Some(format!("{} by {who}", length(lag)))
}

fn one_text(one: &One, now: DateTime<Utc>) -> String {
    let One { story: SyncStory { status, busy, cycles }, providers } = one;
    let name = &status.graph;
    let resolution = match status.resolution {
        ResolutionView::Default => "the graph names none",
        ResolutionView::Composition => "the graph names it",
        ResolutionView::Unreadable => "see `ackord sync provider`",
    };
    let copied =
        status.synced_at.map_or_else(|| format!("never: `ackord sync run {name}`"), |at| ago(at, now));
    let mut text =
        format!("{name}\nprovider   {} ({resolution})\ncopied     {copied}\n", provider(status, providers));
    for job in &status.jobs {
        text.extend([format!("job        {} is {}\n", job.id, job.state)]);
    }
    if let Some(held) = words::held(status.held) {
        text.extend([format!("not there  {held}\n")]);
    }
    if let Some(held) = status.newest.as_ref().and_then(held_back) {
        text.extend([format!("held back  {held}\n")]);
    }
    if !cycles.is_empty() {
        text.extend([format!("\n{}", cycles_table(cycles, now))]);
    }
    if let Some(busy) = busy {
        text.extend([format!(
            "\n{}\n{}",
            dim(format!("what {} did", busy.job_id)),
            words::tables(&busy.tables)
        )]);
    }
    text
}

fn cycles_table(cycles: &[CycleView], now: DateTime<Utc>) -> String {
    let columns = [
        Column::text("CYCLE"),
        Column::text("ENDED"),
        Column::text("OUTCOME"),
        Column::numbers("MOVED"),
        Column::numbers("DELETED"),
        Column::numbers("DEFERRED"),
        Column::numbers("FAILED"),
        Column::text("TOOK"),
        Column::text("ERROR"),
    ];
    let row = |cycle: &CycleView| {
        let took = (cycle.ended_at - cycle.started_at).to_std().unwrap_or_default();
        vec![
            cycle.job_id.to_string(),
            ago(cycle.ended_at, now),
            words::outcome(cycle.outcome),
            cycle.moved.to_string(),
            cycle.deleted.to_string(),
            cycle.deferred.to_string(),
            cycle.failed.to_string(),
            length(took),
            cycle.error.as_deref().and_then(|error| error.lines().next()).unwrap_or_default().to_owned(),
        ]
    };
    table(&columns, cycles.iter().map(row).collect())
}

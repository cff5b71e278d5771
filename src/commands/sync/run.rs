//! `ackord sync run`.

use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::graph::composition::sync_provider;
use ackord_entities::graph::graphs;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::SyncCycle;
use ackord_producer::{Publish, enqueue};
use serde::Serialize;

use super::watch::{Ended, Patience, ended};
use super::{graph, words};
use crate::exit::Exit;
use crate::registry::providers;
use crate::session::{Session, ring};
use crate::terminal::{bad, dim};

/// Have what has changed in a graph copied to its read side; the exit code tells with --wait: 0 all copied, 6 not all
#[derive(Debug, clap::Args)]
#[command(after_help = "\
It publishes a job of the kind sync-cycle; a worker does it. A graph whose cycle waits already gets no second one. What is copied is
what is there when the job runs.

Examples:
  ackord sync run
  ackord sync run research --wait --timeout 5m
  ackord sync run --all
  ackord sync run research --afresh --wait     everything again, and what is not there any more is removed")]
pub(super) struct RunArgs {
    /// The graph [default: default]
    #[arg(value_name = "GRAPH")]
    graph: Option<String>,
    /// Every graph
    #[arg(long, conflicts_with = "graph")]
    all: bool,
    /// Copy everything again, whatever was copied before
    #[arg(long)]
    afresh: bool,
    /// Wait until everything is copied
    #[arg(long)]
    wait: bool,
    /// How long to wait at most, for example 5m
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, requires = "wait")]
    timeout: Option<Duration>,
}

/// The cycles. The JSON is a stable interface.
#[derive(Serialize)]
struct Published {
    cycles: Vec<Cycle>,
}

/// The cycle of a graph.
#[derive(Serialize)]
struct Cycle {
    graph: String,
    /// Its job: a new one, or the one that waits already.
    job: JobId,
    /// Whether one was waiting already: nothing was published.
    waiting_already: bool,
    /// Whether this program has the graph's provider. Another worker may.
    provider_known: bool,
    /// With `--wait`: what it and those that continued it did.
    ended: Option<Ended>,
}

impl RunArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let database = session.database().await?;
        let wanted = match (&self.graph, self.all) {
            (_, true) => graphs::all(database.read()).await?,
            (name, false) => vec![graph(&database, name.as_deref().unwrap_or(graphs::DEFAULT)).await?],
        };
        let mut published = Published { cycles: self.publish(session, &database, &wanted).await? };
        ring(&database).await;
        if !self.wait {
            session.terminal.answer(&published, || text(&published))?;
            return Ok(Exit::Success);
        }
        session.terminal.say(&text(&published))?;
        let patience = Patience::new(self.timeout);
        for (cycle, graph) in published.cycles.iter_mut().zip(&wanted) {
            cycle.ended = Some(ended(session, &database, graph, cycle.job, patience).await?);
        }
        session.terminal.answer(&published, || told(&published))?;
        let is_good = |cycle: &Cycle| cycle.ended.as_ref().is_none_or(Ended::is_good);
        Ok(if published.cycles.iter().all(is_good) { Exit::Success } else { Exit::JobEndedBadly })
    }

    /// One transaction: all cycles or none.
    async fn publish(
        &self,
        session: &Session,
        database: &Database,
        wanted: &[graphs::Model],
    ) -> anyhow::Result<Vec<Cycle>> {
        let known = providers(session.config()).ids();
        let tx = database.begin().await?;
        let now = database.clock().now(&tx).await?;
        let mut cycles = Vec::with_capacity(wanted.len());
        for graph in wanted {
            let job = SyncCycle { graph: graph.slug.clone(), afresh: self.afresh };
            let enqueued = enqueue(&tx, &job, &Publish::at(now)).await?;
            let named = sync_provider(graph.composition.as_deref());
            cycles.push(Cycle {
                graph: graph.slug.clone(),
                job: enqueued.id,
                waiting_already: enqueued.duplicate,
                provider_known: named.is_ok_and(|id| id.is_none_or(|id| known.contains(&id.as_str()))),
                ended: None,
            });
        }
        tx.commit().await?;
        Ok(cycles)
    }
}

fn text(published: &Published) -> String {
    if published.cycles.is_empty() {
        return "there are no graphs".to_owned();
    }
    published.cycles.iter().map(line).collect()
}

fn line(cycle: &Cycle) -> String {
    let Cycle { graph, job, .. } = cycle;
    let mut line = format!("{job}  {graph}");
    if cycle.waiting_already {
        line.push_str("  waits already: nothing new was published");
    }
    line.push('\n');
    if !cycle.provider_known {
        let hint =
            format!("this program has no such provider as `{graph}` names: ackord sync provider {graph}\n");
        line.push_str(&dim(hint));
    }
    line
}

fn told(published: &Published) -> String {
    let ended = published.cycles.iter().filter_map(|cycle| Some((cycle, cycle.ended.as_ref()?)));
    ended.map(|(cycle, ended)| story(&cycle.graph, ended)).collect::<Vec<_>>().join("\n")
}

fn story(graph: &str, ended: &Ended) -> String {
    let cycles = match ended.jobs.len() {
        1 => String::new(),
        many => format!(" after {many} cycles"),
    };
    let mut text = format!("{graph}: {}{cycles}\n", words::outcome(ended.outcome));
    if let Some(error) = &ended.error {
        text.extend([format!("{} ({})\n", error.message, error.code)]);
    }
    if !ended.tables.is_empty() {
        text.push_str(&words::tables(&ended.tables));
    }
    if let Some(held) = words::held(ended.held) {
        let held = format!("not on the read side: {held}");
        let held = if ended.is_good() { held } else { bad(held) };
        text.extend([format!("{held}\n{}", dim(format!("ackord sync failures list --graph {graph}\n")))]);
    }
    text
}

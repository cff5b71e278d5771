//! `ackord sync provider`.

use ackord_entities::graph::composition::{DEFAULT_SYNC, sync_provider};
use ackord_producer::operate::set_sync_provider;
use serde::Serialize;

use super::graph;
use crate::exit::Exit;
use crate::problem::Problem;
use crate::registry::providers;
use crate::session::{OperatorArgs, Session};

/// Show or change who copies a graph
#[derive(Debug, clap::Args)]
#[command(after_help = "\
From the graph's next cycle on the other provider copies it, and begins with everything. What the one before has made stays as it is.

Examples:
  ackord sync provider research                show it, and which there are
  ackord sync provider research mirror         files in the folder that sync.mirror.folder names
  ackord sync provider research --default      tables of the read side")]
pub(super) struct ProviderArgs {
    /// The graph
    #[arg(value_name = "GRAPH")]
    graph: String,
    /// The provider from now on
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// The default provider from now on
    #[arg(long, conflicts_with = "id")]
    default: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// Who copies the graph. The JSON is a stable interface.
#[derive(Serialize)]
struct Answer {
    graph: String,
    /// What the graph names; null: the default.
    named: Option<String>,
    /// Who copies it; null where what it names cannot be read.
    provider: Option<String>,
    changed: bool,
    /// The providers that this program has.
    providers: Vec<&'static str>,
}

impl ProviderArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let known = providers(session.config()).ids();
        if let Some(id) = self.id.as_deref().filter(|id| !known.contains(id)) {
            return Err(no_such_provider(id, &known).into());
        }
        let database = session.database().await?;
        let graph = graph(&database, &self.graph).await?;
        let mut answer =
            Answer { named: None, provider: None, changed: false, providers: known, graph: graph.slug };
        if self.id.is_none() && !self.default {
            if let Ok(named) = sync_provider(graph.composition.as_deref()) {
                answer.provider = Some(named.clone().unwrap_or_else(|| DEFAULT_SYNC.to_owned()));
                answer.named = named;
            }
            session.terminal.answer(&answer, || shown(&answer))?;
            return Ok(Exit::Success);
        }
        let tx = database.begin().await?;
        let now = database.clock().now(&tx).await?;
        let changed =
            set_sync_provider(&tx, graph.id, self.id.as_deref(), &self.operator.operator(), now).await?;
        tx.commit().await?;
        answer.changed = changed.unwrap_or_default();
        answer.provider = Some(self.id.clone().unwrap_or_else(|| DEFAULT_SYNC.to_owned()));
        answer.named = self.id;
        session.terminal.answer(&answer, || done(&answer))?;
        Ok(Exit::Success)
    }
}

fn no_such_provider(id: &str, known: &[&str]) -> Problem {
    let problem =
        Problem::not_found(format!("this program has no sync provider `{id}`; it has {}", known.join(", ")));
    if id == ackord_graph::sync::mirror::MIRROR {
        problem.remedy("name its folder: sync.mirror.folder in ackord.toml, or ACKORD_SYNC_MIRROR_FOLDER")
    } else {
        problem.remedy("name one of these, or update this program")
    }
}

fn shown(answer: &Answer) -> String {
    let there = answer.providers.join(", ");
    match (&answer.provider, &answer.named) {
        (None, _) => format!(
            "what {} names cannot be read: `ackord sync provider {} --default` names the default; there are {there}",
            answer.graph, answer.graph
        ),
        (Some(provider), None) => {
            format!("{} is copied by {provider}: it names none; there are {there}", answer.graph)
        }
        (Some(provider), Some(_)) => {
            format!("{} is copied by {provider}, which it names; there are {there}", answer.graph)
        }
    }
}

fn done(answer: &Answer) -> String {
    let word = if answer.changed { "is copied by" } else { "is already copied by" };
    format!("{} {word} {}", answer.graph, answer.provider.as_deref().unwrap_or_default())
}

//! `ackord sync run|status|failures|provider`.

mod failures;
mod provider;
mod run;
mod status;
mod watch;
mod words;

use ackord_entities::database::Database;
use ackord_entities::graph::graphs;
use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::Session;

/// Copy graphs to their read sides, see how that stands, and deal with rows that could not be copied
#[derive(Debug, Args)]
pub(crate) struct SyncArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::RunArgs),
    Status(status::StatusArgs),
    Failures(failures::FailuresArgs),
    Provider(provider::ProviderArgs),
}

impl SyncArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        match self.verb {
            Verb::Run(args) => args.run(session).await,
            Verb::Status(args) => args.run(session).await,
            Verb::Failures(args) => args.run(session).await,
            Verb::Provider(args) => args.run(session).await,
        }
    }
}

/// The graph called `slug`.
///
/// # Errors
/// There is none; whatever the database answers.
async fn graph(database: &Database, slug: &str) -> anyhow::Result<graphs::Model> {
    if let Some(graph) = graphs::by_slug(database.read(), slug).await? {
        return Ok(graph);
    }
    let all = graphs::all(database.read()).await?;
    let names: Vec<&str> = all.iter().map(|graph| graph.slug.as_str()).collect();
    let remedy = if names.is_empty() {
        "there is none yet: `ackord import PATH` makes one".to_owned()
    } else {
        format!("the graphs are {}", names.join(", "))
    };
    Err(Problem::not_found(format!("there is no graph `{slug}`")).remedy(remedy).into())
}

//! `ackord synthesis create|super|regenerate|show|versions|export`.

mod ask;
mod create;
mod export;
mod family;
mod regenerate;
mod show;
mod versions;
mod view;

use ackord_entities::database::Database;
use ackord_entities::graph::graphs;
use ackord_entities::ids::SynthesisId;
use ackord_graph::synthesis::{Found, find};
use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::Session;
use crate::terminal::moment;

pub(crate) use show::stored_text;
pub(crate) use versions::compared;

/// Have a text written about a topic, read it, or learn why there is none
#[derive(Debug, Args)]
pub(crate) struct SynthesisArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Create(create::CreateArgs),
    Super(create::SuperArgs),
    Regenerate(regenerate::RegenerateArgs),
    Show(show::ShowArgs),
    Versions(versions::VersionsArgs),
    Export(export::ExportArgs),
}

/// Which synthesis: the same two arguments on every verb about one.
#[derive(Clone, Debug, Args)]
struct Which {
    /// Its id, the id of its job, its key, or its topic
    #[arg(value_name = "ID|KEY|TOPIC")]
    synthesis: String,
    /// The graph, where a key or a topic is given
    #[arg(long, value_name = "SLUG", default_value = graphs::DEFAULT)]
    graph: String,
}

impl SynthesisArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        match self.verb {
            Verb::Create(args) => args.run(session).await,
            Verb::Super(args) => args.run(session).await,
            Verb::Regenerate(args) => args.run(session).await,
            Verb::Show(args) => args.run(session).await,
            Verb::Versions(args) => args.run(session).await,
            Verb::Export(args) => args.run(session).await,
        }
    }
}

impl Which {
    async fn id(&self, database: &Database) -> anyhow::Result<SynthesisId> {
        match find(database.read(), graphs::id_of(&self.graph), &self.synthesis).await? {
            Found::One(id) => Ok(id),
            Found::Several(all) => {
                let list: Vec<String> = all
                    .iter()
                    .map(|one| format!("{}  {}  {}", one.id, moment(one.created_at), one.topic))
                    .collect();
                let message = format!("`{}` fits several syntheses:\n{}", self.synthesis, list.join("\n"));
                Err(Problem::refused(message).remedy("give one of these ids").into())
            }
            Found::Nothing => Err(self.no_such().into()),
        }
    }

    fn no_such(&self) -> Problem {
        Problem::not_found(format!(
            "there is no synthesis `{}` in the graph `{}`",
            self.synthesis, self.graph
        ))
        .remedy(
            "`ackord jobs list --kind synthesis` shows the jobs; a synthesis is there once its job has begun",
        )
    }
}

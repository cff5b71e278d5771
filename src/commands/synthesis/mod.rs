//! `ackord synthesis show|export`.

mod export;
mod show;
mod view;

use ackord_entities::database::Database;
use ackord_entities::graph::graphs;
use ackord_graph::synthesis::{Found, Stored, find, load};
use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::Session;
use crate::terminal::moment;

pub(crate) use show::stored_text;

/// Read what was written about a topic, or why nothing was
#[derive(Debug, Args)]
pub(crate) struct SynthesisArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Show(show::ShowArgs),
    Export(export::ExportArgs),
}

/// Which synthesis: the same two arguments on both verbs.
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
            Verb::Show(args) => args.run(session).await,
            Verb::Export(args) => args.run(session).await,
        }
    }
}

impl Which {
    async fn read(&self, database: &Database) -> anyhow::Result<Stored> {
        let connection = database.read();
        let id = match find(connection, graphs::id_of(&self.graph), &self.synthesis).await? {
            Found::One(id) => id,
            Found::Several(all) => {
                let list: Vec<String> = all
                    .iter()
                    .map(|one| format!("{}  {}  {}", one.id, moment(one.created_at), one.topic))
                    .collect();
                let message = format!("`{}` fits several syntheses:\n{}", self.synthesis, list.join("\n"));
                return Err(Problem::refused(message).remedy("give one of these ids").into());
            }
            Found::Nothing => return Err(self.no_such().into()),
        };
        Ok(load(connection, id).await?.ok_or_else(|| self.no_such())?)
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

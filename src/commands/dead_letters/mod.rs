//! `ackord dead-letters list|show|replay|discard|runs`.

mod diff;
mod discard;
mod list;
mod replay;
mod runs;
mod select;
mod show;
mod view;

use ackord_entities::ids::DeadLetterId;
use ackord_producer::operate::ReplayError;
use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::Session;

/// Look at what was given up, repair and replay it, or discard it
#[derive(Debug, Args)]
pub(crate) struct DeadLettersArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::ListArgs),
    /// Show a dead letter with its cause, its headers and its body
    #[command(
        after_help = "Examples:\n  ackord dead-letters show ID\n  ackord dead-letters show ID --json | jq -r .body > job.json"
    )]
    Show {
        /// The dead letter
        id: DeadLetterId,
    },
    Replay(Box<replay::ReplayArgs>),
    Discard(discard::DiscardArgs),
    Runs(runs::RunsArgs),
}

impl DeadLettersArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        match self.verb {
            Verb::List(args) => args.run(session).await,
            Verb::Show { id } => show::run(session, id).await,
            Verb::Replay(args) => args.run(session).await,
            Verb::Discard(args) => args.run(session).await,
            Verb::Runs(args) => args.run(session).await,
        }
    }
}

/// The exit code of a refusal; what the database says goes through.
fn explain(error: ReplayError) -> anyhow::Error {
    let text = error.to_string();
    match error {
        ReplayError::NotFound(_) | ReplayError::UnknownKind(_) => Problem::not_found(text).into(),
        ReplayError::NotOpen { .. }
        | ReplayError::NoKind
        | ReplayError::DedupKeyTaken { .. }
        | ReplayError::OtherKind { .. }
        | ReplayError::JobNotDead { .. } => Problem::refused(text).into(),
        ReplayError::Payload(_) | ReplayError::Patch(_) => Problem::usage(text).into(),
        error => error.into(),
    }
}

fn no_such_letter(id: DeadLetterId) -> Problem {
    Problem::not_found(format!("there is no dead letter {id}"))
        .remedy("`ackord dead-letters list --state all` shows them")
}

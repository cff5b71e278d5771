//! `ackord dead-letters list|show|replay|discard`.

mod list;
mod replay;
mod show;
mod view;

use ackord_entities::ids::DeadLetterId;
use ackord_producer::operate::{self, ReplayError};
use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::{OperatorArgs, Session};

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
    Replay(replay::ReplayArgs),
    /// Give a dead letter up for good; its row stays until its retention ends
    #[command(after_help = "Example:\n  ackord dead-letters discard ID --reason 'the customer is gone'")]
    Discard {
        /// The dead letter
        id: DeadLetterId,
        #[command(flatten)]
        operator: OperatorArgs,
    },
}

impl DeadLettersArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        match self.verb {
            Verb::List(args) => args.run(session).await,
            Verb::Show { id } => show::run(session, id).await,
            Verb::Replay(args) => args.run(session).await,
            Verb::Discard { id, operator } => discard(session, id, &operator).await,
        }
    }
}

async fn discard(session: &Session, id: DeadLetterId, operator: &OperatorArgs) -> anyhow::Result<Exit> {
    let database = session.database().await?;
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    let changed = operate::discard(&tx, id, &operator.operator(), now).await.map_err(explain)?;
    tx.commit().await?;
    session.terminal.answer(&serde_json::json!({ "id": id, "changed": changed }), || {
        let what = if changed { "is discarded" } else { "was dealt with before" };
        format!("dead letter {id} {what}")
    })?;
    Ok(Exit::Success)
}

/// The exit code of a refusal; what the database says goes through.
fn explain(error: ReplayError) -> anyhow::Error {
    let text = error.to_string();
    match error {
        ReplayError::NotFound(_) | ReplayError::UnknownKind(_) => Problem::not_found(text).into(),
        ReplayError::NotOpen { .. }
        | ReplayError::NoKind
        | ReplayError::DedupKeyTaken { .. }
        | ReplayError::JobNotDead { .. } => Problem::refused(text).into(),
        ReplayError::Payload(_) => Problem::usage(text).into(),
        error => error.into(),
    }
}

fn no_such_letter(id: DeadLetterId) -> Problem {
    Problem::not_found(format!("there is no dead letter {id}"))
        .remedy("`ackord dead-letters list --state all` shows them")
}

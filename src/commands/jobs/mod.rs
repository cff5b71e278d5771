//! `ackord jobs list|show|wait|cancel|retry`.

mod list;
mod operate;
mod show;
mod view;
mod wait;

pub(crate) use show::{story, timeline_lines};
pub(crate) use wait::{exit_of, sentence, wait_for};

use ackord_entities::ids::JobId;
use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::{OperatorArgs, Session};

/// Look at jobs, wait for them, call them off, run them now
#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::ListArgs),
    /// Tell the whole story of one job, and why it is not running where it waits
    #[command(
        after_help = "Examples:\n  ackord jobs show 01890a5d-ac96-774b-bcce-b302099a8057\n  ackord jobs show ID --json | jq .timeline"
    )]
    Show {
        /// The job
        id: JobId,
    },
    Wait(wait::WaitArgs),
    /// Call a job off: a waiting one at once, a running one within about a second
    #[command(after_help = "Example:\n  ackord jobs cancel ID --reason 'ordered twice'")]
    Cancel {
        /// The job
        id: JobId,
        #[command(flatten)]
        operator: OperatorArgs,
    },
    /// Run a scheduled, retrying or deferred job now instead of later
    #[command(
        after_help = "A dead job comes back through `ackord dead-letters replay`.\n\nExample:\n  ackord jobs retry ID --reason 'the mail server is back'"
    )]
    Retry {
        /// The job
        id: JobId,
        #[command(flatten)]
        operator: OperatorArgs,
    },
}

impl JobsArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        match self.verb {
            Verb::List(args) => args.run(session).await,
            Verb::Show { id } => show::run(session, id).await,
            Verb::Wait(args) => args.run(session).await,
            Verb::Cancel { id, operator } => operate::cancel(session, id, &operator.operator()).await,
            Verb::Retry { id, operator } => operate::retry(session, id, &operator.operator()).await,
        }
    }
}

/// There is no such job.
fn no_such_job(id: JobId) -> Problem {
    Problem::not_found(format!("there is no job {id}"))
        .remedy("`ackord jobs list` shows the newest; finished jobs are removed in time")
}

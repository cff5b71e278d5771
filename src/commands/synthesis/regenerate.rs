//! `ackord synthesis regenerate`.

use ackord_producer::Publish;
use ackord_producer::syntheses::{RegenerateError, regenerate};

use super::Which;
use super::ask::{Waiting, answer};
use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::Session;

/// Write a failed synthesis again, in place; a super-synthesis is combined again from what its parts say now
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ackord synthesis regenerate glaciers --wait
  ackord synthesis regenerate 01890a5d-ac96-774b-bcce-b302099a8057")]
pub(super) struct RegenerateArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    waiting: Waiting,
}

impl RegenerateArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let database = session.database().await?;
        let id = self.which.id(&database).await?;
        let tx = database.begin().await?;
        let now = database.clock().now(&tx).await?;
        let again = regenerate(&tx, id, &Publish::at(now)).await.map_err(refusal)?;
        tx.commit().await?;
        answer(session, &database, &self.waiting, id, (again.job, again.kind)).await
    }
}

fn refusal(error: RegenerateError) -> anyhow::Error {
    let text = error.to_string();
    match error {
        RegenerateError::NotFound(_) => Problem::not_found(text).into(),
        RegenerateError::WrongType(_) | RegenerateError::NoStoredInput { .. } => {
            Problem::refused(text).remedy("`ackord synthesis create` writes a new one").into()
        }
        RegenerateError::NotInError { .. } => {
            Problem::refused(text).remedy("`ackord synthesis show` tells how it stands").into()
        }
        RegenerateError::InFlight { job } => {
            Problem::refused(text).remedy(format!("`ackord jobs wait {job}` waits for it")).into()
        }
        other => other.into(),
    }
}

//! `ackord reconcile`.

use ackord_entities::jobs::catalogue;
use ackord_producer::Doorbell;
use ackord_producer::upkeep::reconcile;

use crate::exit::Exit;
use crate::session::{Session, ring};

/// Send the messages of unfinished jobs again that wait nowhere else: after a broker lost or was purged of them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A message that was not lost after all comes twice, and the second one has no effect. What a broker lost by itself (its disk, a queue)
is noticed and sent again by up, work and relay; nobody can notice a purge.

Examples:
  ackord reconcile
  ackord reconcile synthesis")]
pub(crate) struct ReconcileArgs {
    /// Only this kind
    kind: Option<String>,
}

impl ReconcileArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        if let Some(kind) = &self.kind {
            catalogue().require(kind)?;
        }
        let database = session.database().await?;
        let written = reconcile(&database, self.kind.as_deref(), &Doorbell::default()).await?;
        ring(&database).await;
        session.terminal.answer(&serde_json::json!({ "written": written }), || {
            format!("{written} messages are sent again")
        })?;
        Ok(Exit::Success)
    }
}

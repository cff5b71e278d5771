//! `ackord pause` and `ackord resume`.

use ackord_entities::jobs::catalogue;
use ackord_producer::operate;
use serde::Serialize;

use crate::exit::Exit;
use crate::session::{OperatorArgs, Session, ring};

/// Stop a kind: workers take no more of its messages, also after a restart; what runs goes on
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  ackord pause synthesis --reason 'the disk is being moved'")]
pub(crate) struct PauseArgs {
    /// The kind
    kind: String,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// Let a paused kind go on
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  ackord resume synthesis")]
pub(crate) struct ResumeArgs {
    /// The kind
    kind: String,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// What the verb did. The JSON is a stable interface.
#[derive(Serialize)]
struct Done {
    kind: String,
    paused: bool,
    /// Whether it was otherwise before.
    changed: bool,
}

impl PauseArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        set(session, self.kind, &self.operator, true).await
    }
}

impl ResumeArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        set(session, self.kind, &self.operator, false).await
    }
}

async fn set(session: &Session, kind: String, operator: &OperatorArgs, paused: bool) -> anyhow::Result<Exit> {
    catalogue().require(&kind)?;
    let operator = operator.operator();
    let database = session.database().await?;
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    let changed = if paused {
        operate::pause(&tx, &kind, &operator, now).await?
    } else {
        operate::resume(&tx, &kind, &operator, now).await?
    };
    tx.commit().await?;
    ring(&database).await;
    let word = if paused { "paused" } else { "not paused" };
    let before = if changed { "now" } else { "already" };
    let done = Done { kind, paused, changed };
    session.terminal.answer(&done, || format!("{} is {before} {word}", done.kind))?;
    Ok(Exit::Success)
}

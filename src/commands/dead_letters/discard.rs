//! `ackord dead-letters discard`.

use ackord_entities::queue::dead_letter;
use ackord_producer::operate;
use ackord_producer::story::{Audience, GroupView};
use serde::Serialize;

use super::list::groups_table;
use super::select::{SelectionArgs, confirm, letters};
use crate::exit::Exit;
use crate::session::{OperatorArgs, Session};

/// Letters that one transaction closes: on SQLite, nobody else writes meanwhile.
const STEP: usize = 1_000;
/// Groups that are shown before it is asked.
const GROUPS: u64 = 10;

/// Give dead letters up for good; their rows stay until their retention ends
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ackord dead-letters discard ID --reason 'the customer is gone'
  ackord dead-letters discard --fingerprint 0f3c9a51d2e84b76 --reason 'tests of last night'
  ackord dead-letters discard --kind synthesis --until 30d --dry-run")]
pub(super) struct DiscardArgs {
    #[command(flatten)]
    selection: SelectionArgs,
    /// Show what would happen and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before a filter's letters go
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// What the verb did. The JSON is a stable interface.
#[derive(Serialize)]
struct Done {
    /// Letters that were open and are discarded, or would be.
    discarded: u64,
    /// Named letters that somebody dealt with before.
    dealt_with_before: u64,
    changed: bool,
    dry_run: bool,
}

impl DiscardArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let database = session.database().await?;
        let selected = self.selection.select(&database).await?;
        if let (Some(filter), false) = (&selected.filter, selected.ids.is_empty()) {
            let now = database.clock().now(database.read()).await?;
            let groups = dead_letter::groups(database.read(), filter, GROUPS).await?;
            let groups: Vec<GroupView> =
                groups.into_iter().map(|group| GroupView::new(group, Audience::Operators)).collect();
            session.terminal.say(&groups_table(&groups, now))?;
            if !self.dry_run {
                confirm(session, self.yes, &format!("Discard {}?", letters(selected.ids.len())))?;
            }
        }
        let mut discarded = if self.dry_run { selected.ids.len() as u64 } else { 0 };
        let steps = if self.dry_run { &[][..] } else { &selected.ids[..] };
        for step in steps.chunks(STEP) {
            let tx = database.begin().await?;
            let now = database.clock().now(&tx).await?;
            discarded += operate::discard(&tx, step, &self.operator.operator(), now).await?;
            tx.commit().await?;
        }
        let named =
            if selected.filter.is_none() { selected.ids.len() + selected.dealt_with_before } else { 0 };
        let dealt_with_before = (named as u64).saturating_sub(discarded);
        let changed = discarded > 0 && !self.dry_run;
        let done = Done { discarded, dealt_with_before, changed, dry_run: self.dry_run };
        session.terminal.answer(&done, || sentence(&done))?;
        Ok(Exit::Success)
    }
}

fn sentence(done: &Done) -> String {
    let count = letters(usize::try_from(done.discarded).unwrap_or(usize::MAX));
    let before = match done.dealt_with_before {
        0 => String::new(),
        1 => "; 1 was dealt with before".to_owned(),
        many => format!("; {many} were dealt with before"),
    };
    match (done.dry_run, done.discarded) {
        (true, _) => format!("{count} would be discarded{before}; nothing was changed"),
        (false, 0) => format!("no open dead letters to discard{before}"),
        (false, _) => format!("{count} discarded{before}"),
    }
}

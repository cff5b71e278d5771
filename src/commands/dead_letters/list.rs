//! `ackord dead-letters list`.

use ackord_entities::ids::DeadLetterId;
use ackord_entities::queue::dead_letter::{self, Filter, LetterState, Reason};
use chrono::{DateTime, Utc};
use clap::ValueEnum;
use sea_orm::{ActiveEnum, Iterable};
use serde::Serialize;

use super::view::{LetterView, state_word};
use crate::exit::Exit;
use crate::session::Session;
use crate::terminal::{Column, ago, dim, table};

/// List dead letters, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ackord dead-letters list
  ackord dead-letters list --kind synthesis --reason permanent
  ackord dead-letters list --fingerprint 0f3c9a51d2e84b76     those that failed alike")]
pub(super) struct ListArgs {
    /// Only this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only those given up for this reason
    #[arg(long, value_parser = parse_reason)]
    reason: Option<Reason>,
    /// Only these
    #[arg(long, value_enum, default_value_t = StateName::Open)]
    state: StateName,
    /// Only those that failed alike
    #[arg(long, value_name = "TEXT")]
    fingerprint: Option<String>,
    /// Only letters older than this one
    #[arg(long, value_name = "ID")]
    before: Option<DeadLetterId>,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StateName {
    Open,
    Replayed,
    Discarded,
    All,
}

impl StateName {
    fn stored(self) -> Option<LetterState> {
        match self {
            Self::Open => Some(LetterState::Open),
            Self::Replayed => Some(LetterState::Replayed),
            Self::Discarded => Some(LetterState::Discarded),
            Self::All => None,
        }
    }
}

fn parse_reason(word: &str) -> Result<Reason, String> {
    Reason::try_from_value(&word.to_owned()).map_err(|_| {
        let known: Vec<String> = Reason::iter().map(|reason| reason.to_value()).collect();
        format!("the reasons are {}", known.join(", "))
    })
}

/// One page. The JSON is a stable interface.
#[derive(Serialize)]
struct Page {
    dead_letters: Vec<LetterView>,
    /// What to give as `--before` for the next page; null when this was the last.
    next_before: Option<DeadLetterId>,
}

impl ListArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let database = session.database().await?;
        let now = database.clock().now(database.read()).await?;
        let limit = usize::from(self.limit);
        let filter = Filter {
            kind: self.kind,
            reason: self.reason,
            state: self.state.stored(),
            fingerprint: self.fingerprint,
            before: self.before,
        };
        let mut rows = dead_letter::list(database.read(), &filter, limit as u64 + 1).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_before = rows.last().filter(|_| more).map(|row| row.id);
        let page = Page { dead_letters: rows.into_iter().map(LetterView::from).collect(), next_before };
        session.terminal.answer(&page, || text(&page, now))?;
        Ok(Exit::Success)
    }
}

fn text(page: &Page, now: DateTime<Utc>) -> String {
    if page.dead_letters.is_empty() {
        return "no dead letters".to_owned();
    }
    let columns = [
        Column::text("ID"),
        Column::text("KIND"),
        Column::text("REASON"),
        Column::text("STATE"),
        Column::text("SINCE"),
        Column::text("ALIKE"),
        Column::text("ERROR"),
    ];
    let mut text = table(&columns, page.dead_letters.iter().map(|letter| row(letter, now)).collect());
    if let Some(before) = page.next_before {
        text.push_str(&dim(format!("older ones: ackord dead-letters list --before {before}\n")));
    }
    text
}

fn row(letter: &LetterView, now: DateTime<Utc>) -> Vec<String> {
    vec![
        letter.id.to_string(),
        letter.kind.clone().unwrap_or_else(|| "?".to_owned()),
        letter.reason.to_string(),
        state_word(letter.state).to_owned(),
        ago(letter.last_failed_at, now),
        letter.fingerprint.clone(),
        letter.error.lines().next().unwrap_or_default().to_owned(),
    ]
}

//! `ackord dead-letters list`.

use ackord_entities::database::Database;
use ackord_entities::ids::DeadLetterId;
use ackord_entities::queue::dead_letter::{self, Filter, Group, LetterState, Reason};
use ackord_producer::story::{Audience, GroupView, LetterView};
use chrono::{DateTime, Utc};
use clap::ValueEnum;
use serde::Serialize;

use super::select::{FilterArgs, parse_reason};
use super::view::state_word;
use crate::commands::page::{PageArgs, older};
use crate::exit::Exit;
use crate::session::Session;
use crate::terminal::{Column, ago, dim, table};

/// List dead letters, newest first; with --group, those that failed alike as one, the largest group first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ackord dead-letters list
  ackord dead-letters list --group                            what fails, and how often
  ackord dead-letters list --fingerprint 0f3c9a51d2e84b76     those that failed alike
  ackord dead-letters list --kind synthesis --reason permanent --since 2h")]
pub(super) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Only those given up for this reason
    #[arg(long, value_parser = parse_reason, visible_alias = "dead-reason")]
    reason: Option<Reason>,
    /// Only these
    #[arg(long, value_enum, default_value_t = StateName::Open)]
    state: StateName,
    /// Those that failed alike as one
    #[arg(long, conflicts_with = "before")]
    group: bool,
    #[command(flatten)]
    page: PageArgs<DeadLetterId>,
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

/// One page. The JSON is a stable interface.
#[derive(Serialize)]
struct Page {
    dead_letters: Vec<LetterView>,
    /// What to give as `--before` for the next page; null when this was the last.
    next_before: Option<DeadLetterId>,
}

/// The largest groups. The JSON is a stable interface.
#[derive(Serialize)]
struct Groups {
    groups: Vec<GroupView>,
    /// Whether there are more than `--limit`.
    more: bool,
}

impl ListArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let database = session.database().await?;
        let now = database.clock().now(database.read()).await?;
        let mut filter = self.filter.filter(self.reason, self.state.stored(), now);
        if self.group {
            let groups = self.groups(&database, &filter).await?;
            session.terminal.answer(&groups, || groups_text(&groups, now))?;
            return Ok(Exit::Success);
        }
        filter.before = self.page.before;
        let mut rows = dead_letter::list(database.read(), &filter, self.page.rows()).await?;
        let next_before = self.page.cut(&mut rows, |row| row.id);
        let page = Page {
            dead_letters: rows.into_iter().map(|row| LetterView::new(row, Audience::Operators)).collect(),
            next_before,
        };
        session.terminal.answer(&page, || text(&page, now))?;
        Ok(Exit::Success)
    }

    async fn groups(&self, database: &Database, filter: &Filter) -> anyhow::Result<Groups> {
        let mut groups: Vec<Group> = dead_letter::groups(database.read(), filter, self.page.rows()).await?;
        let limit = usize::from(self.page.limit);
        let more = groups.len() > limit;
        groups.truncate(limit);
        Ok(Groups {
            groups: groups.into_iter().map(|group| GroupView::new(group, Audience::Operators)).collect(),
            more,
        })
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
    let rows = page.dead_letters.iter().map(|letter| row(letter, now)).collect();
    table(&columns, rows) + &older("dead-letters list", page.next_before)
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

fn groups_text(page: &Groups, now: DateTime<Utc>) -> String {
    if page.groups.is_empty() {
        return "no dead letters".to_owned();
    }
    let mut text = groups_table(&page.groups, now);
    if page.more {
        text.push_str(&dim("there are more groups: ackord dead-letters list --group --limit N\n"));
    }
    text.push_str(&dim("ackord dead-letters replay --fingerprint ALIKE   or   ackord dead-letters discard --fingerprint ALIKE\n"));
    text
}

/// Groups for people: also what a replay or a discard of many shows before it asks.
pub(super) fn groups_table(groups: &[GroupView], now: DateTime<Utc>) -> String {
    let columns = [
        Column::text("ALIKE"),
        Column::numbers("LETTERS"),
        Column::text("KIND"),
        Column::text("REASON"),
        Column::text("CODE"),
        Column::text("FIRST"),
        Column::text("LAST"),
        Column::text("ERROR"),
    ];
    let row = |group: &GroupView| {
        let reasons: Vec<String> = group.reasons.iter().map(ToString::to_string).collect();
        vec![
            group.fingerprint.clone(),
            group.letters.to_string(),
            group.kind.clone().unwrap_or_else(|| "?".to_owned()),
            reasons.join(", "),
            group.error_code.clone(),
            ago(group.first_failed_at, now),
            ago(group.last_failed_at, now),
            group.example.iter().flat_map(|example| example.lines()).next().unwrap_or_default().to_owned(),
        ]
    };
    table(&columns, groups.iter().map(row).collect())
}

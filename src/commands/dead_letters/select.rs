//! Which letters a verb is about: by id, by filter, or all.

use std::time::Duration;

use ackord_entities::clock::later;
use ackord_entities::database::Database;
use ackord_entities::ids::DeadLetterId;
use ackord_entities::queue::dead_letter::{self, Filter, LetterState, Reason};
use chrono::{DateTime, Utc};
use clap::Args;
use sea_orm::{ActiveEnum, Iterable};

use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::Session;
use crate::terminal::Asked;

/// What narrows the letters, in lists and verbs alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub(super) struct FilterArgs {
    /// Only this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only those whose error has this code
    #[arg(long, value_name = "CODE")]
    error_code: Option<String>,
    /// Only those from this queue, for example ackord.synthesis
    #[arg(long)]
    queue: Option<String>,
    /// Only those that failed alike: the group of `list --group`
    #[arg(long, value_name = "TEXT")]
    fingerprint: Option<String>,
    /// Only those given up since then: a moment such as 2026-12-24T18:00:00Z, or so long ago, such as 2h
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    since: Option<When>,
    /// Only those given up before then
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    until: Option<When>,
}

/// A moment, or so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    At(DateTime<Utc>),
    Ago(Duration),
}

impl When {
    fn moment(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(moment) => moment,
            // As far back as forward: `later` knows how far that is.
            Self::Ago(length) => {
                now.checked_sub_signed(later(now, length) - now).unwrap_or(DateTime::<Utc>::UNIX_EPOCH)
            }
        }
    }

    /// As it was asked for: the same words are the same request, whenever they are said.
    fn words(self) -> String {
        match self {
            Self::At(moment) => moment.to_rfc3339(),
            Self::Ago(length) => format!("{} ago", humantime::format_duration(length)),
        }
    }
}

fn parse_when(text: &str) -> Result<When, String> {
    if let Ok(length) = humantime::parse_duration(text) {
        return Ok(When::Ago(length));
    }
    DateTime::parse_from_rfc3339(text)
        .map(|moment| When::At(moment.to_utc()))
        .map_err(|_| "give a moment such as 2026-12-24T18:00:00Z, or so long ago, such as 2h".to_owned())
}

pub(super) fn parse_reason(word: &str) -> Result<Reason, String> {
    Reason::try_from_value(&word.to_owned()).map_err(|_| {
        let known: Vec<String> = Reason::iter().map(|reason| reason.to_value()).collect();
        format!("the reasons are {}", known.join(", "))
    })
}

impl FilterArgs {
    /// The filter at `now`, for letters in `state`.
    pub(super) fn filter(
        &self,
        reason: Option<Reason>,
        state: Option<LetterState>,
        now: DateTime<Utc>,
    ) -> Filter {
        Filter {
            kind: self.kind.clone(),
            reason,
            error_code: self.error_code.clone(),
            queue: self.queue.clone(),
            fingerprint: self.fingerprint.clone(),
            since: self.since.map(|when| when.moment(now)),
            until: self.until.map(|when| when.moment(now)),
            state,
            before: None,
        }
    }
}

/// Which letters a verb changes.
#[derive(Clone, Debug, Args)]
pub(super) struct SelectionArgs {
    /// The dead letters
    #[arg(value_name = "ID")]
    pub(super) ids: Vec<DeadLetterId>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Only those given up for this reason
    #[arg(long, value_name = "REASON", value_parser = parse_reason)]
    dead_reason: Option<Reason>,
    /// All open ones
    #[arg(long)]
    all: bool,
}

/// The letters that a verb is about.
#[derive(Debug)]
pub(super) struct Selected {
    /// The open ones, oldest first.
    pub(super) ids: Vec<DeadLetterId>,
    /// Named ones that somebody dealt with before.
    pub(super) dealt_with_before: usize,
    /// The request, in a form that is equal for equal ones.
    pub(super) words: String,
    /// The request, to be shown.
    pub(super) shown: String,
    /// The filter, where there is one.
    pub(super) filter: Option<Filter>,
}

/// Ids that are kept to be shown; the frozen set has all of them.
const SHOWN_IDS: usize = 20;

impl SelectionArgs {
    /// The one letter that is named, if it is exactly one.
    pub(super) fn one(&self) -> Option<DeadLetterId> {
        match self.ids.as_slice() {
            [id] if !self.narrows() => Some(*id),
            _ => None,
        }
    }

    fn narrows(&self) -> bool {
        self.all || self.dead_reason.is_some() || self.filter != FilterArgs::default()
    }

    /// Finds the letters.
    ///
    /// # Errors
    /// Nothing, or too much, was asked for; a named letter is not there.
    pub(super) async fn select(&self, database: &Database) -> anyhow::Result<Selected> {
        match (self.ids.is_empty(), self.narrows()) {
            (true, false) => Err(Problem::usage("which dead letters?")
                .remedy("give ids, filters such as --fingerprint or --kind, or --all")
                .into()),
            (false, true) => {
                Err(Problem::usage("ids and filters at once").remedy("give either ids or filters").into())
            }
            (false, false) => self.named(database).await,
            (true, true) => self.filtered(database).await,
        }
    }

    async fn named(&self, database: &Database) -> anyhow::Result<Selected> {
        let mut wanted = self.ids.clone();
        wanted.sort_unstable();
        wanted.dedup();
        let found = dead_letter::standings(database.read(), &wanted).await?;
        let missing: Vec<String> = wanted
            .iter()
            .filter(|id| found.binary_search_by_key(*id, |letter| letter.id).is_err())
            .map(ToString::to_string)
            .collect();
        if !missing.is_empty() {
            return Err(Problem::not_found(format!("there is no dead letter {}", missing.join(", ")))
                .remedy("`ackord dead-letters list --state all` shows them; nothing was changed")
                .into());
        }
        let open: Vec<DeadLetterId> =
            found.iter().filter(|letter| letter.state == LetterState::Open).map(|letter| letter.id).collect();
        let shown = if wanted.len() <= SHOWN_IDS {
            serde_json::json!({ "ids": wanted })
        } else {
            serde_json::json!({ "ids": wanted.len() })
        };
        Ok(Selected {
            dealt_with_before: wanted.len() - open.len(),
            ids: open,
            words: serde_json::json!({ "ids": wanted }).to_string(),
            shown: shown.to_string(),
            filter: None,
        })
    }

    async fn filtered(&self, database: &Database) -> anyhow::Result<Selected> {
        let now = database.clock().now(database.read()).await?;
        let filter = self.filter.filter(self.dead_reason, Some(LetterState::Open), now);
        let mut words = serde_json::to_value(&filter)?;
        for (name, when) in [("since", self.filter.since), ("until", self.filter.until)] {
            if let Some(when) = when {
                words[name] = when.words().into();
            }
        }
        Ok(Selected {
            ids: dead_letter::ids(database.read(), &filter).await?,
            dealt_with_before: 0,
            words: words.to_string(),
            shown: serde_json::to_string(&filter)?,
            filter: Some(filter),
        })
    }
}

/// Insists on a yes, from the flag or from the person at the terminal.
///
/// # Errors
/// The person said no, or nobody is there.
pub(super) fn confirm(session: &Session, yes: bool, question: &str) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    match session.terminal.asks(question)? {
        Asked::Yes => Ok(()),
        Asked::No => Err(Problem::refused("nothing was changed").into()),
        Asked::Nobody => {
            Err(Problem::new(Exit::Refused, "nobody is at a terminal to confirm it: nothing was changed")
                .remedy("--dry-run shows what would happen, --yes goes ahead")
                .into())
        }
    }
}

/// So many letters, in words.
pub(super) fn letters(count: usize) -> String {
    if count == 1 { "1 dead letter".to_owned() } else { format!("{count} dead letters") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_moment_and_a_length_of_time_are_both_times() {
        let now = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(365);
        assert_eq!(parse_when("2h").unwrap().moment(now), now - TimeDelta::hours(2));
        assert_eq!(
            parse_when("1970-01-02T00:00:00Z").unwrap().moment(now),
            DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(1)
        );
        assert!(parse_when("yesterday").unwrap_err().contains("2h"));
        assert!(parse_when("584542046090years").unwrap().moment(now) < now);
    }
}

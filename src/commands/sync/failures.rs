//! `ackord sync failures list|requeue|discard`.

use std::str::FromStr;

use ackord_entities::graph::graphs;
use ackord_entities::sync::failure::{self, Filter, Which};
use ackord_producer::operate;
use ackord_producer::story::{FailureState, FailureView};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::{graph, words};
use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::{OperatorArgs, Session};
use crate::terminal::{Asked, Column, ago, dim, table};

/// Rows that could not be copied: look at them, have them tried again, give them up
#[derive(Debug, Args)]
pub(super) struct FailuresArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(ListArgs),
    /// Have rows tried again by the graph's next cycle, as if for the first time
    #[command(after_help = "\
Examples:
  ackord sync failures requeue research --all --reason 'the constraint is gone' && ackord sync run research --wait
  ackord sync failures requeue research --table facts --key 5f3c2b1a-0d9e-5c4b-8a7f-6e5d4c3b2a19")]
    Requeue(ChangeArgs),
    /// Give rows up: they stay as they are on the read side until they change again
    #[command(after_help = "\
A row that waits for another one and is discarded is not copied when that one comes.

Examples:
  ackord sync failures discard research --table facts --key 5f3c2b1a-0d9e-5c4b-8a7f-6e5d4c3b2a19
  ackord sync failures discard research --all --yes --reason 'rubbish of an old pipeline'")]
    Discard {
        #[command(flatten)]
        change: ChangeArgs,
        /// Do not ask before all of them go
        #[arg(long)]
        yes: bool,
    },
}

/// List rows that could not be copied, by graph, table and key
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ackord sync failures list
  ackord sync failures list --graph research --state abandoned
  ackord sync failures list --after research/facts/KEY        the page after the one that ended with that row")]
struct ListArgs {
    /// Only rows of this graph
    #[arg(long, value_name = "GRAPH")]
    graph: Option<String>,
    /// Only rows of this table of the read side
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// Only rows in this state
    #[arg(long, value_enum)]
    state: Option<StateName>,
    /// Only those behind this one: the page after the one that ended with it
    #[arg(long, value_name = "GRAPH/TABLE/KEY")]
    after: Option<RowName>,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

/// Which rows, who and why.
#[derive(Debug, Args)]
struct ChangeArgs {
    /// The graph
    #[arg(value_name = "GRAPH")]
    graph: String,
    /// The row's table
    #[arg(long, value_name = "TABLE", requires = "key", conflicts_with = "all")]
    table: Option<String>,
    /// The row's key
    #[arg(long, value_name = "KEY", requires = "table", conflicts_with = "all")]
    key: Option<String>,
    /// All rows of the graph that were refused; those that wait for others go on doing that
    #[arg(long, required_unless_present = "table")]
    all: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StateName {
    Deferred,
    Pending,
    Abandoned,
}

impl StateName {
    fn stored(self) -> failure::State {
        match self {
            Self::Deferred => failure::State::Deferred,
            Self::Pending => failure::State::Pending,
            Self::Abandoned => failure::State::Abandoned,
        }
    }
}

/// A row by its whole name. A key may hold anything, a graph and a table no slash.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RowName {
    graph: String,
    table: String,
    key: String,
}

impl FromStr for RowName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, '/').map(str::to_owned);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(graph), Some(table), Some(key)) => Ok(Self { graph, table, key }),
            _ => Err(format!("`{text}` is not GRAPH/TABLE/KEY")),
        }
    }
}

/// One page. The JSON is a stable interface.
#[derive(Serialize)]
struct Page {
    failures: Vec<FailureView>,
    /// What to give as `--after` for the next page; null when this was the last.
    next_after: Option<String>,
}

/// What a verb did. The JSON is a stable interface.
#[derive(Serialize)]
struct Done {
    graph: String,
    /// How many rows.
    rows: u64,
    changed: bool,
}

impl FailuresArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        match self.verb {
            Verb::List(args) => args.run(session).await,
            Verb::Requeue(args) => args.requeue(session).await,
            Verb::Discard { change, yes } => change.discard(session, yes).await,
        }
    }
}

impl ListArgs {
    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let database = session.database().await?;
        let now = database.clock().now(database.read()).await?;
        let only = match &self.graph {
            Some(name) => Some(graph(&database, name).await?.id),
            None => None,
        };
        let filter = Filter {
            graph: only,
            state: self.state.map(StateName::stored),
            table: self.table,
            after: self.after.map(|row| (graphs::id_of(&row.graph), row.table, row.key)),
        };
        let limit = usize::from(self.limit);
        let mut rows = failure::list(database.read(), &filter, u64::from(self.limit) + 1).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let failures = FailureView::of_all(&database, rows).await?;
        let next_after = failures.last().filter(|_| more).map(name);
        let page = Page { failures, next_after };
        session.terminal.answer(&page, || text(&page, now))?;
        Ok(Exit::Success)
    }
}

impl ChangeArgs {
    fn which(&self) -> Which {
        match (&self.table, &self.key) {
            (Some(table), Some(key)) => Which::One { table: table.clone(), key: key.clone() },
            _ => Which::All,
        }
    }

    async fn requeue(self, session: &Session) -> anyhow::Result<Exit> {
        let database = session.database().await?;
        let (graph, which) = (graph(&database, &self.graph).await?, self.which());
        let tx = database.begin().await?;
        let now = database.clock().now(&tx).await?;
        let rows = operate::requeue_failures(&tx, &graph, &which, &self.operator.operator(), now).await?;
        tx.commit().await?;
        let sentence = "tried again by the next cycle";
        answer(session, graph.slug, &which, rows, sentence, |graph| format!("ackord sync run {graph}\n"))
    }

    async fn discard(self, session: &Session, yes: bool) -> anyhow::Result<Exit> {
        let database = session.database().await?;
        let (graph, which) = (graph(&database, &self.graph).await?, self.which());
        if which == Which::All && !yes {
            confirm(session, &graph.slug)?;
        }
        let tx = database.begin().await?;
        let now = database.clock().now(&tx).await?;
        let rows = operate::discard_failures(&tx, &graph, &which, &self.operator.operator(), now).await?;
        tx.commit().await?;
        answer(session, graph.slug, &which, rows, "given up", |_| String::new())
    }
}

/// Insists on a yes from the person at the terminal.
fn confirm(session: &Session, graph: &str) -> Result<(), anyhow::Error> {
    match session.terminal.asks(&format!("Give up every row of {graph} that was refused?"))? {
        Asked::Yes => Ok(()),
        Asked::No => Err(Problem::refused("nothing was changed").into()),
        Asked::Nobody => Err(Problem::refused("nobody is at a terminal to confirm it: nothing was changed")
            .remedy("`ackord sync failures list` shows them, --yes goes ahead")
            .into()),
    }
}

fn answer(
    session: &Session,
    graph: String,
    which: &Which,
    rows: u64,
    sentence: &str,
    next: impl FnOnce(&str) -> String,
) -> anyhow::Result<Exit> {
    if let (Which::One { table, key }, 0) = (which, rows) {
        let text = format!("no row {table}/{key} of {graph} waits or was refused");
        return Err(Problem::not_found(text)
            .remedy(format!("`ackord sync failures list --graph {graph}`"))
            .into());
    }
    let done = Done { graph, rows, changed: rows > 0 };
    session.terminal.answer(&done, || match done.rows {
        0 => format!("no row of {} was refused", done.graph),
        rows => format!("{} of {}: {sentence}\n{}", words::rows(rows), done.graph, dim(next(&done.graph))),
    })?;
    Ok(Exit::Success)
}

fn name(row: &FailureView) -> String {
    format!("{}/{}/{}", row.graph, row.table, row.key)
}

fn text(page: &Page, now: DateTime<Utc>) -> String {
    if page.failures.is_empty() {
        return "no rows: all that is on the write side is on the read side, or is still to be copied"
            .to_owned();
    }
    let columns = [
        Column::text("GRAPH"),
        Column::text("TABLE"),
        Column::text("KEY"),
        Column::text("STATE"),
        Column::numbers("TRIES"),
        Column::text("SINCE"),
        Column::text("ERROR"),
    ];
    let row = |row: &FailureView| {
        vec![
            row.graph.clone(),
            row.table.clone(),
            row.key.clone(),
            state(row.state).to_owned(),
            row.tries.to_string(),
            ago(row.created_at, now),
            row.error.lines().next().unwrap_or_default().to_owned(),
        ]
    };
    let next = page.next_after.as_ref().map_or_else(String::new, |after| {
        dim(format!("more: ackord sync failures list --after '{after}'\n"))
    });
    table(&columns, page.failures.iter().map(row).collect()) + &next
}

fn state(state: FailureState) -> &'static str {
    match state {
        FailureState::Deferred => "deferred",
        FailureState::Pending => "pending",
        FailureState::Abandoned => "abandoned",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_row_is_named_by_graph_table_and_whatever_its_key_is() {
        let row: RowName = r#"research/edges/["related","a/b","c"]"#.parse().unwrap();
        assert_eq!((row.graph.as_str(), row.table.as_str()), ("research", "edges"));
        assert_eq!(row.key, r#"["related","a/b","c"]"#);
        assert!("research/edges".parse::<RowName>().unwrap_err().contains("GRAPH/TABLE/KEY"));
    }
}

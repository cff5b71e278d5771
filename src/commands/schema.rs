//! `ackord schema up|down|status`.

use ackord_entities::database::Database;
use ackord_migration::{Migrator, MigratorTrait};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::exit::Exit;
use crate::problem::Problem;
use crate::schema::{self, SchemaState, SchemaStatus};
use crate::session::{Session, sqlite_file};
use crate::terminal::{Asked, Column, table};

/// Make, take back or look at the database's tables
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the migrations that are missing, also in the databases of graphs; makes missing SQLite files
    #[command(after_help = "Examples:\n  ackord schema up\n  ackord schema up --database sqlite:other.db")]
    Up,
    /// Take migrations of the one database back, newest first: their tables go WITH ALL THEIR ROWS
    #[command(after_help = "Examples:\n  ackord schema down\n  ackord schema down --steps 2 --yes")]
    Down {
        /// How many
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        steps: u32,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Show which migrations ran
    #[command(after_help = "Examples:\n  ackord schema status\n  ackord schema status --json")]
    Status,
}

impl SchemaArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        match self.verb {
            Verb::Up => up(session).await,
            Verb::Down { steps, yes } => down(session, steps, yes).await,
            Verb::Status => status(session).await,
        }
    }
}

/// `schema up` and `schema down`: what was changed.
#[derive(Serialize)]
struct Changed {
    changed: Vec<String>,
    #[serde(flatten)]
    now: Report,
}

/// `schema up`: also of the databases beside the jobs' own, in which graphs are written or read.
#[derive(Serialize)]
struct AllChanged {
    #[serde(flatten)]
    own: Changed,
    others: Vec<OtherChanged>,
}

#[derive(Serialize)]
struct OtherChanged {
    /// The keys of the configuration that name it.
    keys: Vec<String>,
    #[serde(flatten)]
    changed: Changed,
}

/// `schema status`, also of the databases beside the jobs' own.
#[derive(Serialize)]
struct AllReports {
    #[serde(flatten)]
    own: Report,
    others: Vec<OtherReport>,
}

/// A database beside the jobs' own.
#[derive(Serialize)]
struct OtherReport {
    keys: Vec<String>,
    #[serde(flatten)]
    report: Report,
}

#[derive(Serialize)]
struct Report {
    database: String,
    state: SchemaState,
    #[serde(flatten)]
    status: SchemaStatus,
}

async fn report(database: &Database) -> anyhow::Result<Report> {
    let status = schema::status(database).await?;
    Ok(Report { database: database.location().to_string(), state: status.state(), status })
}

async fn up(session: &Session) -> anyhow::Result<Exit> {
    let database = session.open(true).await?;
    let changed = schema::bring_up(&database).await?;
    let own = Changed { changed, now: report(&database).await? };
    let mut others = Vec::new();
    for other in session.config().other_databases() {
        let (database, changed) = other.bring_up().await?;
        let changed = Changed { changed, now: report(&database).await? };
        database.close().await;
        others.push(OtherChanged { keys: other.keys, changed });
    }
    let answer = AllChanged { own, others };
    session.terminal.answer(&answer, || {
        let others = answer.others.iter().map(|other| &other.changed);
        let lines: Vec<String> = std::iter::once(&answer.own).chain(others).map(ran).collect();
        lines.join("\n")
    })?;
    Ok(Exit::Success)
}

fn ran(changed: &Changed) -> String {
    match changed.changed.len() {
        0 => format!("{} is up to date", changed.now.database),
        _ => format!("{}: ran {}", changed.now.database, changed.changed.join(", ")),
    }
}

async fn down(session: &Session, steps: u32, yes: bool) -> anyhow::Result<Exit> {
    let database = session.open(false).await?;
    // A worker must not lose its tables under its feet.
    let _lock = sqlite_file(&database).map(crate::lock::take).transpose()?;
    let before = report(&database).await?;
    if before.state == SchemaState::Newer {
        return Err(Problem::refused("a newer program made this schema")
            .remedy("use that program to take it back")
            .into());
    }
    let going: Vec<String> = before.status.applied.iter().rev().take(steps as usize).cloned().collect();
    if !going.is_empty() && !yes {
        let question = format!(
            "Take back {} on {}? All rows in their tables are lost.",
            going.join(", "),
            before.database
        );
        match session.terminal.asks(&question)? {
            Asked::Yes => {}
            Asked::No => return Err(Problem::refused("nothing was changed").into()),
            Asked::Nobody => {
                return Err(Problem::usage(format!("{question} Nobody is there to be asked"))
                    .remedy("say --yes")
                    .into());
            }
        }
    }
    if !going.is_empty() {
        let tx = database.begin_unlimited().await?;
        Migrator::down(&tx, Some(steps)).await?;
        tx.commit().await?;
    }
    let answer = Changed { changed: going, now: report(&database).await? };
    session.terminal.answer(&answer, || match answer.changed.len() {
        0 => format!("{} has no ackord tables", answer.now.database),
        _ => format!("{}: took back {}", answer.now.database, answer.changed.join(", ")),
    })?;
    Ok(Exit::Success)
}

async fn status(session: &Session) -> anyhow::Result<Exit> {
    let database = session.open(false).await?;
    let own = report(&database).await?;
    let mut others = Vec::new();
    for other in session.config().other_databases() {
        let database = other.open(false).await?;
        let report = report(&database).await.with_context(|| other.named())?;
        database.close().await;
        others.push(OtherReport { keys: other.keys, report });
    }
    let all = AllReports { own, others };
    session.terminal.answer(&all, || {
        let others =
            all.others.iter().map(|other| format!("{}\n{}", other.keys.join(", "), text(&other.report)));
        std::iter::once(text(&all.own)).chain(others).collect::<Vec<_>>().join("\n")
    })?;
    Ok(Exit::Success)
}

fn text(report: &Report) -> String {
    let rows = |names: &[String], word: &str| -> Vec<Vec<String>> {
        names.iter().map(|name| vec![name.clone(), word.to_owned()]).collect()
    };
    let mut all = rows(&report.status.applied, "applied");
    all.extend(rows(&report.status.pending, "missing"));
    all.extend(rows(&report.status.unknown, "made by a newer program"));
    format!("{}\n{}", report.database, table(&[Column::text("MIGRATION"), Column::text("STATE")], all))
}

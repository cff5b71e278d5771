//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ackord_entities::database::{Database, DatabaseError, DatabaseOptions};
use ackord_migration::{Migrator, MigratorTrait};
use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use sea_orm::DbErr;

use crate::graphs::GraphArgs;
use crate::publish::PublishArgs;
use crate::texts::SuperArgs;
use crate::up::UpArgs;
use crate::{audit, effects, graphs, publish, texts, up};

#[derive(Debug, Parser)]
#[command(name = "testbed")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Place {
    /// A SQLite file, or the URL of a Postgres database.
    #[arg(long, value_name = "FILE|URL")]
    database: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes the file and its tables.
    Prepare {
        #[command(flatten)]
        place: Place,
    },
    /// Runs a worker with everything it needs.
    Up {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        args: UpArgs,
    },
    /// Publishes jobs and prints their ids, each once its transaction is committed.
    Publish {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        args: PublishArgs,
    },
    /// Prints what became of the jobs, as JSON.
    Audit {
        #[command(flatten)]
        place: Place,
    },
    /// Imports documents and asks for a super-synthesis about them.
    Super {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        args: SuperArgs,
    },
    /// Imports the documents that were missing.
    Learn {
        #[command(flatten)]
        place: Place,
    },
    /// Has every failed part written again.
    Again {
        #[command(flatten)]
        place: Place,
    },
    /// Prints what became of the super-syntheses, as JSON.
    Texts {
        #[command(flatten)]
        place: Place,
    },
    /// Changes the graph, and has it copied.
    Graph {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        args: GraphArgs,
    },
    /// Prints how the two sides of the graph differ, as JSON.
    Copied {
        #[command(flatten)]
        place: Place,
    },
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let filter = std::env::var("TESTBED_LOG").unwrap_or_else(|_| "info".to_owned());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("testbed: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let command = Cli::parse().command;
    let file = command.file();
    match runtime.block_on(run(command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testbed: {}", said(&error, file.as_deref()));
            ExitCode::FAILURE
        }
    }
}

/// As `ackord` says it: a file that is full, locked or read-only is named with the remedy, also where a statement was the first
/// to find out.
fn said(error: &anyhow::Error, file: Option<&Path>) -> String {
    let opening = error.chain().any(<dyn std::error::Error>::is::<DatabaseError>);
    let statement = error.chain().find_map(|cause| cause.downcast_ref::<DbErr>()).filter(|_| !opening);
    match statement.zip(file).map(|(error, file)| DatabaseError::sqlite(file, error.clone())) {
        Some(known) if !matches!(known, DatabaseError::Open { .. }) => format!("{known}: {error:#}"),
        _ => format!("{error:#}"),
    }
}

impl Command {
    /// The SQLite file that it works on.
    fn file(&self) -> Option<PathBuf> {
        let (Self::Prepare { place }
        | Self::Up { place, .. }
        | Self::Publish { place, .. }
        | Self::Audit { place }
        | Self::Super { place, .. }
        | Self::Learn { place }
        | Self::Again { place }
        | Self::Texts { place }
        | Self::Graph { place, .. }
        | Self::Copied { place }) = self;
        (!place.is_url()).then(|| place.database.clone().into())
    }
}

impl Place {
    fn is_url(&self) -> bool {
        self.database.contains("://")
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Prepare { place } => {
            let database = open(&place, true).await?;
            prepare(&database).await?;
            database.close().await;
            Ok(())
        }
        Command::Up { place, args } => {
            let database = open(&place, true).await?;
            let lock = up::take_lock(&database)?;
            prepare(&database).await?;
            up::run(&database, &args).await?;
            database.close().await;
            drop(lock);
            Ok(())
        }
        Command::Publish { place, args } => publish::run(&open(&place, false).await?, &args).await,
        Command::Audit { place } => {
            let audit = audit::audit(&open(&place, false).await?).await?;
            println!("{}", serde_json::to_string(&audit)?);
            Ok(())
        }
        Command::Super { place, args } => texts::ask(&open(&place, false).await?, &args).await,
        Command::Learn { place } => texts::learn(&open(&place, false).await?).await,
        Command::Again { place } => texts::again(&open(&place, false).await?).await,
        Command::Graph { place, args } => graphs::change(&open(&place, false).await?, &args).await,
        Command::Copied { place } => {
            let copied = graphs::compare(&open(&place, false).await?).await?;
            println!("{}", serde_json::to_string(&copied)?);
            Ok(())
        }
        Command::Texts { place } => {
            let audit = texts::audit(&open(&place, false).await?).await?;
            println!("{}", serde_json::to_string(&audit)?);
            Ok(())
        }
    }
}

async fn open(place: &Place, create: bool) -> anyhow::Result<Database> {
    let url = if place.is_url() { place.database.clone() } else { format!("sqlite:{}", place.database) };
    Ok(DatabaseOptions { create, ..DatabaseOptions::new(url) }.open().await?)
}

async fn prepare(database: &Database) -> anyhow::Result<()> {
    let tx = database.begin_unlimited().await?;
    Migrator::up(&tx, None).await.context("the schema")?;
    tx.commit().await?;
    effects::make_table(database).await.context("the table of effects")
}

//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use ackord_entities::database::{Database, DatabaseOptions};
use ackord_migration::{Migrator, MigratorTrait};
use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use crate::publish::PublishArgs;
use crate::up::UpArgs;
use crate::{audit, effects, publish, up};

#[derive(Debug, Parser)]
#[command(name = "testbed")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct File {
    /// The SQLite file.
    #[arg(long, value_name = "FILE")]
    database: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes the file and its tables.
    Prepare {
        #[command(flatten)]
        file: File,
    },
    /// Runs a worker with everything it needs.
    Up {
        #[command(flatten)]
        file: File,
        #[command(flatten)]
        args: UpArgs,
    },
    /// Publishes jobs and prints their ids, each once its transaction is committed.
    Publish {
        #[command(flatten)]
        file: File,
        #[command(flatten)]
        args: PublishArgs,
    },
    /// Prints what became of the jobs, as JSON.
    Audit {
        #[command(flatten)]
        file: File,
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
    match runtime.block_on(run(Cli::parse().command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testbed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Prepare { file } => {
            let database = open(&file, true).await?;
            prepare(&database).await?;
            database.close().await;
            Ok(())
        }
        Command::Up { file, args } => {
            let lock = up::take_lock(&file.database)?;
            let database = open(&file, true).await?;
            prepare(&database).await?;
            up::run(&database, &file.database, &args).await?;
            database.close().await;
            drop(lock);
            Ok(())
        }
        Command::Publish { file, args } => publish::run(&open(&file, false).await?, &args).await,
        Command::Audit { file } => {
            let audit = audit::audit(&open(&file, false).await?).await?;
            println!("{}", serde_json::to_string(&audit)?);
            Ok(())
        }
    }
}

async fn open(file: &File, create: bool) -> anyhow::Result<Database> {
    let url = format!("sqlite:{}", file.database.display());
    Ok(DatabaseOptions { create, ..DatabaseOptions::new(url) }.open().await?)
}

async fn prepare(database: &Database) -> anyhow::Result<()> {
    Migrator::up(database.write(), None).await.context("the schema")?;
    effects::make_table(database).await.context("the table of effects")
}

//! The command line: one variant per verb, each with a file of its own under `commands`.

use std::future::ready;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::config::{self, Flags};
use crate::exit::Exit;
use crate::logging::{self, LogFormat};
use crate::problem::Problem;
use crate::session::Session;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  ackord demo                             see it work, on this folder's own documents
  ackord up                               run the worker on .ackord/ackord.db until Ctrl-C
  ackord jobs list --state failed,dead    what went wrong
  ackord jobs show ID                     the whole story of one job

Configuration: ackord.toml, then the environment (ACKORD_DATABASE, ACKORD_BROKER, ACKORD_LISTEN,
ACKORD_LOG, ..), then flags; the later one counts. `ackord config` shows what came of it.
Exit codes: 0 success, 1 failure, 2 usage, 3 not found, 4 refused, 5 database,
6 the job waited for ended badly, 7 timed out, 8 broker, 9 findings of doctor or verify.";

const DATABASE_HELP: &str =
    "Database: sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME [default: sqlite:.ackord/ackord.db]";

const BROKER_HELP: &str =
    "Broker: embedded, amqp://USER:PASSWORD@HOST/VHOST or amqps://.. [default: embedded]";

/// Durable jobs: a message is acknowledged only when the database agrees.
#[derive(Debug, Parser)]
#[command(name = "ackord", version, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
struct Global {
    /// Configuration file [default: ackord.toml in this folder, if there is one]
    #[arg(long, global = true, value_name = "FILE", env = "ACKORD_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    #[arg(long, global = true, value_name = "URL", help = DATABASE_HELP)]
    database: Option<String>,
    #[arg(long, global = true, value_name = "URL", help = BROKER_HELP)]
    broker: Option<String>,
    /// What to log on stderr: a level or a list such as info,sqlx=warn [default: warn; info for up, work, relay, serve]
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    /// How to log
    #[arg(long, global = true, value_name = "FORMAT", value_enum)]
    log_format: Option<LogFormat>,
    /// Answer with one JSON value on stdout, for scripts
    #[arg(long, global = true)]
    json: bool,
}

/// The verbs: one line each here and in [`Command::run`].
#[derive(Debug, Subcommand)]
enum Command {
    Demo(commands::demo::DemoArgs),
    Up(commands::up::UpArgs),
    Work(commands::work::WorkArgs),
    Relay(commands::relay::RelayArgs),
    Serve(commands::serve::ServeArgs),
    Import(commands::import::ImportArgs),
    Publish(commands::publish::PublishArgs),
    Jobs(commands::jobs::JobsArgs),
    DeadLetters(commands::dead_letters::DeadLettersArgs),
    Pause(commands::pause::PauseArgs),
    Resume(commands::pause::ResumeArgs),
    Schedules(commands::schedules::SchedulesArgs),
    Reconcile(commands::reconcile::ReconcileArgs),
    Schema(commands::schema::SchemaArgs),
    Tokens(commands::tokens::TokensArgs),
    Synthesis(commands::synthesis::SynthesisArgs),
    Sync(commands::sync::SyncArgs),
    Contract(commands::contract::ContractArgs),
    Topology(commands::topology::TopologyArgs),
    Doctor(commands::doctor::DoctorArgs),
    Config(commands::config::ConfigArgs),
    Bench(commands::bench::BenchArgs),
}

/// A verb at work.
type Work<'s> = Pin<Box<dyn Future<Output = anyhow::Result<Exit>> + 's>>;

impl Command {
    /// What the verb does. In a box each: all verbs in one future are one function, over which an optimising compiler sits for minutes.
    fn run(self, session: &Session) -> Work<'_> {
        match self {
            Self::Demo(args) => Box::pin(args.run(session)),
            Self::Up(args) => Box::pin(args.run(session)),
            Self::Work(args) => Box::pin(args.run(session)),
            Self::Relay(args) => Box::pin(args.run(session)),
            Self::Serve(args) => Box::pin(args.run(session)),
            Self::Import(args) => Box::pin(args.run(session)),
            Self::Publish(args) => Box::pin(args.run(session)),
            Self::Jobs(args) => Box::pin(args.run(session)),
            Self::DeadLetters(args) => Box::pin(args.run(session)),
            Self::Pause(args) => Box::pin(args.run(session)),
            Self::Resume(args) => Box::pin(args.run(session)),
            Self::Schedules(args) => Box::pin(args.run(session)),
            Self::Reconcile(args) => Box::pin(args.run(session)),
            Self::Schema(args) => Box::pin(args.run(session)),
            Self::Tokens(args) => Box::pin(args.run(session)),
            Self::Synthesis(args) => Box::pin(args.run(session)),
            Self::Sync(args) => Box::pin(args.run(session)),
            Self::Contract(args) => Box::pin(ready(args.run(session))),
            Self::Topology(args) => Box::pin(args.run(session)),
            Self::Doctor(args) => Box::pin(args.run(session)),
            Self::Config(_) => Box::pin(ready(commands::config::run(session))),
            Self::Bench(args) => Box::pin(args.run(session)),
        }
    }

    /// Flags that mean nothing to the verb are not passed over in silence.
    fn refuse(&self, global: &Global) -> Result<(), Problem> {
        let Self::Demo(_) = self else { return Ok(()) };
        let given = [("--database", &global.database), ("--broker", &global.broker)];
        let Some((flag, _)) = given.iter().find(|(_, value)| value.is_some()) else { return Ok(()) };
        Err(Problem::usage(format!("`{flag}`: the demo runs by itself, on a file of its own"))
            .remedy("name another file with --data, or use `ackord up` with your database and broker"))
    }

    /// What the verb's own flags say about the configuration.
    fn concurrency(&self) -> Option<config::Concurrency> {
        match self {
            Self::Demo(args) => args.concurrency.clone(),
            Self::Up(args) => args.concurrency.clone(),
            Self::Work(args) => args.concurrency.clone(),
            _ => None,
        }
    }

    fn listen(&self) -> Option<String> {
        match self {
            Self::Up(args) => args.listen.clone(),
            Self::Work(args) => args.listen.clone(),
            Self::Relay(args) => args.listen.clone(),
            Self::Serve(args) => args.listen.clone(),
            _ => None,
        }
    }

    fn api(&self) -> Option<String> {
        match self {
            Self::Up(args) => args.api.clone(),
            _ => None,
        }
    }

    /// The log's filter where none is configured. A service tells what it does, a verb only what is wrong.
    fn default_log(&self) -> &'static str {
        match self {
            Self::Up(_) | Self::Work(_) | Self::Relay(_) | Self::Serve(_) => "info",
            // What they find is their answer.
            Self::Topology(_) | Self::Doctor(_) => "error",
            // Five texts at once keep the readers of a file waiting on a small machine. That is no news to who watches the demo.
            Self::Demo(_) => "warn,sqlx=error",
            _ => "warn",
        }
    }
}

/// Reads the command line, does what it says, and says what went wrong.
pub(crate) fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::new(cli.global.json);
    match start(cli, terminal) {
        Ok(exit) => exit.into(),
        Err(problem) => {
            terminal.complain(&problem);
            problem.exit.into()
        }
    }
}

fn start(cli: Cli, terminal: Terminal) -> Result<Exit, Problem> {
    cli.command.refuse(&cli.global)?;
    let flags = Flags {
        file: cli.global.config,
        database: cli.global.database,
        broker: cli.global.broker,
        listen: cli.command.listen(),
        api: cli.command.api(),
        log: cli.global.log,
        log_format: cli.global.log_format,
        concurrency: cli.command.concurrency(),
    };
    let loaded = config::load(&flags, |name| std::env::var(name).ok())?;
    let filter = loaded.config.log.clone().unwrap_or_else(|| cli.command.default_log().to_owned());
    // Before the runtime, which its exporter must not meet, and until after it: the last spans are sent at the end.
    let _traces = logging::start(&filter, loaded.config.log_format, loaded.config.otlp_endpoint.as_deref())?;
    let session = Session { loaded, terminal };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::new(Exit::Failure, format!("the runtime cannot start: {error}")))?;
    let location = session.config().database.parse().ok();
    runtime.block_on(cli.command.run(&session)).map_err(|error| {
        // A broker that could not be reached is still being tried. The process ends now; a runtime that ended before it would make
        // that attempt complain.
        std::mem::forget(runtime);
        Problem::of(&error, location.as_ref())
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_a_help_text_with_an_example() {
        fn check(command: &clap::Command) {
            for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
                assert!(verb.get_about().is_some(), "`{}` says nothing about itself", verb.get_name());
                let is_leaf = verb.get_subcommands().next().is_none();
                assert!(!is_leaf || verb.get_after_help().is_some(), "`{}` has no example", verb.get_name());
                check(verb);
            }
        }
        check(&Cli::command());
    }
}

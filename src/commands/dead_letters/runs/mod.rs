//! `ackord dead-letters runs`: replays of many letters.

mod view;
mod wait;

pub(super) use view::RunText;
pub(super) use wait::wait_for_run;

use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::ids::ReplayRunId;
use ackord_entities::queue::replay_run::{self, RunState};
use ackord_producer::operate::{Operator, ResumeOutcome, StopOutcome, resume_run, stop_run};
use ackord_producer::story::RunView;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::commands::page::{PageArgs, older};
use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::{OperatorArgs, Session, ring};

/// Look at replays of many letters, stop them, let stopped ones go on
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct RunsArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(ListArgs),
    /// Show a run: its steps, what failed again, what was left out and why
    #[command(after_help = "Example:\n  ackord dead-letters runs show RUN")]
    Show {
        /// The run
        #[arg(value_name = "RUN")]
        id: ReplayRunId,
    },
    /// Stop a run: nothing more goes out; what went out goes on, the other letters stay as they are
    #[command(after_help = "Example:\n  ackord dead-letters runs stop RUN --reason 'the wrong group'")]
    Stop {
        /// The run
        #[arg(value_name = "RUN")]
        id: ReplayRunId,
        #[command(flatten)]
        operator: OperatorArgs,
    },
    /// Let a stopped run go on with the letters that are left, with one letter first
    #[command(after_help = "Example:\n  ackord dead-letters runs resume RUN --reason 'fixed in 1.4' --wait")]
    Resume {
        /// The run
        #[arg(value_name = "RUN")]
        id: ReplayRunId,
        #[command(flatten)]
        operator: OperatorArgs,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Wait until a run has ended; the exit code tells how: 0 finished, 6 stopped, 7 too late
    #[command(after_help = "Example:\n  ackord dead-letters runs wait RUN --timeout 10m")]
    Wait {
        /// The run
        #[arg(value_name = "RUN")]
        id: ReplayRunId,
        /// How long at most, for example 30s or 5m [default: for ever]
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        timeout: Option<Duration>,
    },
}

/// List runs, newest first
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  ackord dead-letters runs\n  ackord dead-letters runs list --state stopped"
)]
struct ListArgs {
    /// Only these
    #[arg(long, value_enum)]
    state: Option<StateName>,
    #[command(flatten)]
    page: PageArgs<ReplayRunId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StateName {
    Running,
    Stopped,
    Finished,
}

impl StateName {
    fn stored(self) -> RunState {
        match self {
            Self::Running => RunState::Running,
            Self::Stopped => RunState::Stopped,
            Self::Finished => RunState::Finished,
        }
    }
}

#[derive(Clone, Debug, Args)]
struct WaitArgs {
    /// Wait until it has ended
    #[arg(long)]
    wait: bool,
    /// How long to wait at most, for example 30s
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, requires = "wait")]
    timeout: Option<Duration>,
}

/// One page. The JSON is a stable interface.
#[derive(Serialize)]
struct Page {
    runs: Vec<RunView>,
    /// What to give as `--before` for the next page; null when this was the last.
    next_before: Option<ReplayRunId>,
}

/// What a verb did. The JSON is a stable interface.
#[derive(Serialize)]
struct Done {
    run: RunView,
    changed: bool,
}

impl RunsArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        match self.verb {
            None => self.list.run(session).await,
            Some(Verb::List(args)) => args.run(session).await,
            Some(Verb::Show { id }) => show(session, id).await,
            Some(Verb::Stop { id, operator }) => stop(session, id, &operator.operator()).await,
            Some(Verb::Resume { id, operator, wait }) => {
                resume(session, id, &operator.operator(), &wait).await
            }
            Some(Verb::Wait { id, timeout }) => wait_until_ended(session, id, timeout).await,
        }
    }
}

impl ListArgs {
    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let database = session.database().await?;
        let state = self.state.map(StateName::stored);
        let mut rows = replay_run::list(database.read(), state, self.page.before, self.page.rows()).await?;
        let next_before = self.page.cut(&mut rows, |run| run.id);
        let mut runs = Vec::with_capacity(rows.len());
        for row in rows {
            runs.push(RunView::read(&database, row).await?);
        }
        let now = database.clock().now(database.read()).await?;
        let page = Page { runs, next_before };
        session
            .terminal
            .answer(&page, || view::list(&page.runs, now) + &older("dead-letters runs", page.next_before))?;
        Ok(Exit::Success)
    }
}

async fn show(session: &Session, id: ReplayRunId) -> anyhow::Result<Exit> {
    let database = session.database().await?;
    let run = known(&database, id).await?;
    session.terminal.answer(&run, || run.text())?;
    Ok(Exit::Success)
}

async fn stop(session: &Session, id: ReplayRunId, operator: &Operator) -> anyhow::Result<Exit> {
    let database = session.database().await?;
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    let outcome = stop_run(&tx, id, operator, now).await?;
    tx.commit().await?;
    let text = match outcome {
        StopOutcome::NotFound => return Err(no_such_run(id).into()),
        StopOutcome::NotRunning(state) => format!("replay run {id} was {state} before"),
        StopOutcome::Stopped => {
            ring(&database).await;
            format!("replay run {id} is stopped; what went out goes on\nackord dead-letters runs resume {id}")
        }
    };
    answer(session, &database, id, outcome == StopOutcome::Stopped, text).await
}

async fn resume(
    session: &Session,
    id: ReplayRunId,
    operator: &Operator,
    wait: &WaitArgs,
) -> anyhow::Result<Exit> {
    let database = session.database().await?;
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    let outcome = resume_run(&tx, id, operator, now).await?;
    let text = match outcome {
        ResumeOutcome::NotFound => return Err(no_such_run(id).into()),
        ResumeOutcome::Finished => {
            return Err(Problem::refused(format!(
                "replay run {id} is finished: there is nothing left to replay"
            ))
            .remedy("`ackord dead-letters list` shows what is open; replay that")
            .into());
        }
        ResumeOutcome::Replaced(other) => {
            return Err(Problem::refused(format!("replay run {other} of the same letters is running"))
                .remedy(format!("wait for it: ackord dead-letters runs wait {other}"))
                .into());
        }
        ResumeOutcome::Running => format!("replay run {id} is running already"),
        ResumeOutcome::Resumed => format!("replay run {id} goes on\nackord dead-letters runs wait {id}"),
    };
    tx.commit().await?;
    ring(&database).await;
    if wait.wait {
        session.terminal.say(text.lines().next().unwrap_or_default())?;
        return wait_until_ended(session, id, wait.timeout).await;
    }
    answer(session, &database, id, outcome == ResumeOutcome::Resumed, text).await
}

async fn wait_until_ended(
    session: &Session,
    id: ReplayRunId,
    timeout: Option<Duration>,
) -> anyhow::Result<Exit> {
    let database = session.database().await?;
    let run = wait_for_run(&database, id, timeout, session.terminal).await?;
    session.terminal.answer(&run, || run.sentence())?;
    Ok(run.exit())
}

async fn answer(
    session: &Session,
    database: &Database,
    id: ReplayRunId,
    changed: bool,
    text: String,
) -> anyhow::Result<Exit> {
    let run = known(database, id).await?;
    session.terminal.answer(&Done { run, changed }, || text)?;
    Ok(Exit::Success)
}

/// The run of that id.
///
/// # Errors
/// There is none; whatever the database answers.
pub(super) async fn known(database: &Database, id: ReplayRunId) -> anyhow::Result<RunView> {
    Ok(RunView::of(database, id).await?.ok_or_else(|| no_such_run(id))?)
}

fn no_such_run(id: ReplayRunId) -> Problem {
    Problem::not_found(format!("there is no replay run {id}")).remedy("`ackord dead-letters runs` lists them")
}

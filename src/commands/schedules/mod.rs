//! `ackord schedules list|show|set|enable|disable|fire|remove|preview`.

mod list;
mod operate;
mod preview;
mod set;
mod show;
mod view;

use ackord_entities::queue::schedule::{NotAName, ScheduleName};
use ackord_producer::EnqueueError;
use ackord_producer::operate::ScheduleError;
use ackord_producer::schedules::CheckError;
use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::{OperatorArgs, Session};

/// Publish jobs by the clock: cron expressions in time zones
#[derive(Debug, Args)]
pub(crate) struct SchedulesArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::ListArgs),
    /// Show a schedule, its next ticks and what became of the last ones
    #[command(
        after_help = "Examples:\n  ackord schedules show nightly\n  ackord schedules show nightly --json | jq .next_ticks"
    )]
    Show {
        /// The schedule
        #[arg(value_parser = name)]
        schedule: ScheduleName,
    },
    Set(set::SetArgs),
    /// Let a schedule tick, from now on
    #[command(after_help = "Example:\n  ackord schedules enable nightly --reason 'the disk is larger now'")]
    Enable(OneArgs),
    /// Let a schedule tick no more, until it is enabled: what would have come meanwhile is not caught up with
    #[command(after_help = "Example:\n  ackord schedules disable nightly --reason 'the disk is full'")]
    Disable(OneArgs),
    /// Fire a schedule now: a job of its own, whatever its ticks, its overlap and its being disabled say
    #[command(
        after_help = "Example:\n  ackord jobs wait $(ackord schedules fire nightly --json | jq -r .job_id)"
    )]
    Fire(OneArgs),
    /// Remove a schedule; its jobs go on
    #[command(after_help = "Example:\n  ackord schedules remove nightly --reason 'nobody reads it'")]
    Remove(OneArgs),
    Preview(preview::PreviewArgs),
}

/// One schedule, and who does it and why.
#[derive(Debug, Args)]
struct OneArgs {
    /// The schedule
    #[arg(value_parser = name)]
    schedule: ScheduleName,
    #[command(flatten)]
    operator: OperatorArgs,
}

impl SchedulesArgs {
    pub(crate) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        match self.verb {
            Verb::List(args) => args.run(session).await,
            Verb::Show { schedule } => show::run(session, &schedule).await,
            Verb::Set(args) => args.run(session).await,
            Verb::Enable(one) => operate::enable(session, &one, true).await,
            Verb::Disable(one) => operate::enable(session, &one, false).await,
            Verb::Fire(one) => operate::fire(session, &one).await,
            Verb::Remove(one) => operate::remove(session, &one).await,
            Verb::Preview(args) => args.run(session).await,
        }
    }
}

fn name(text: &str) -> Result<ScheduleName, NotAName> {
    text.parse()
}

fn no_such_schedule(name: &ScheduleName) -> Problem {
    Problem::not_found(format!("there is no schedule `{name}`")).remedy("`ackord schedules list` shows them")
}

/// Why a schedule was not touched, as the user meets it.
fn problem(error: ScheduleError) -> anyhow::Error {
    match error {
        ScheduleError::NotThere(name) => no_such_schedule(&name).into(),
        ScheduleError::ChangedSince { .. } => {
            Problem::refused(error.to_string()).remedy("look at it again: `ackord schedules show`").into()
        }
        ScheduleError::Check(error) => checked(error),
        ScheduleError::Publish(EnqueueError::Payload(error)) => Problem::usage(error.to_string()).into(),
        other => other.into(),
    }
}

/// The same for what cannot be. Fields are named as the flags are.
fn checked(error: CheckError) -> anyhow::Error {
    match error {
        CheckError::Field(invalid) => {
            let flag = match invalid.field.as_str() {
                "expression" => "--cron".to_owned(),
                field => format!("--{field}"),
            };
            Problem::usage(format!("`{flag}`: {}", invalid.reason)).into()
        }
        CheckError::Kind(error) => error.into(),
        CheckError::Payload(error) => error.into(),
        other => other.into(),
    }
}

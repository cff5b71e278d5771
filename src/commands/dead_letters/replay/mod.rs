//! `ackord dead-letters replay`.

mod check;
mod many;
mod one;

use std::time::Duration;

use ackord_producer::operate::Patch;

use super::select::SelectionArgs;
use crate::commands::payload;
use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::{OperatorArgs, Session};

/// Give the jobs of dead letters another life, with the payloads they had or edited ones
///
/// A job keeps its id, so its effect still happens at most once. It gets as many attempts as its kind allows. One letter goes out
/// at once. Many go out as a run: a durable job that sends 1, then 10, 100, 1000 and so on, waits each time until those have
/// ended, and stops by itself when they fail again. Letters that arrive later are not part of it. Edited payloads are checked
/// against their kinds and shown as a diff first; the letters keep the originals.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ackord dead-letters replay ID --reason 'the disk has room again'
  ackord dead-letters replay ID --payload @edited.json --yes
  ackord dead-letters replay --fingerprint 0f3c9a51d2e84b76 --reason 'fixed in 1.4' --wait
  ackord dead-letters replay --kind synthesis --since 2h --dry-run
  ackord dead-letters replay --kind synthesis --patch '[{\"op\": \"replace\", \"path\": \"/graph\", \"value\": \"default\"}]'")]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    selection: SelectionArgs,
    /// Another payload, for one letter: JSON, @FILE, or - for stdin
    #[arg(long, value_name = "JSON|@FILE|-", allow_hyphen_values = true, conflicts_with = "patch")]
    payload: Option<String>,
    /// A JSON Patch (RFC 6902) for every payload: JSON, @FILE, or - for stdin
    #[arg(long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    patch: Option<String>,
    /// How much of a step may fail again, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=100))]
    tolerate: u8,
    /// Show what would happen and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before a filter's letters or edited payloads go
    #[arg(long)]
    yes: bool,
    /// Wait until the job, or the run, has ended
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// How long to wait at most, for example 30s
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, requires = "wait")]
    timeout: Option<Duration>,
    #[command(flatten)]
    operator: OperatorArgs,
}

impl ReplayArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let payload = self.payload.as_deref().map(payload::read).transpose()?;
        let patch = self.patch.as_deref().map(read_patch).transpose()?;
        match (self.selection.one(), payload) {
            (Some(id), payload) => self.one(session, id, payload.as_deref(), patch.as_ref()).await,
            (None, Some(_)) => Err(Problem::usage("--payload is for one letter")
                .remedy("name that letter, or give --patch for many")
                .into()),
            (None, None) => self.many(session, patch.as_ref()).await,
        }
    }
}

fn read_patch(given: &str) -> anyhow::Result<Patch> {
    Ok(Patch::parse(&payload::read(given)?).map_err(|error| Problem::usage(error.to_string()))?)
}

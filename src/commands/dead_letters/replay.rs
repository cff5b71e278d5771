//! `ackord dead-letters replay`.

use ackord_entities::ids::{DeadLetterId, JobId};
use ackord_entities::jobs::catalogue;
use ackord_entities::queue::dead_letter;
use ackord_producer::operate;
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::show::pretty_text;
use super::{explain, no_such_letter};
use crate::commands::payload;
use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::{OperatorArgs, Session, ring};
use crate::terminal::{Asked, bad, good};

/// Give a dead letter's job another life, with the payload it had or an edited one
///
/// The job keeps its id, so its effect still happens at most once. It gets as many attempts as its kind allows. An edited
/// payload is checked against its kind and shown as a diff first; the letter keeps the original.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ackord dead-letters replay ID --reason 'the disk has room again'
  ackord dead-letters replay ID --payload @edited.json --yes")]
pub(super) struct ReplayArgs {
    /// The dead letter
    id: DeadLetterId,
    /// Another payload: JSON, @FILE, or - for stdin
    #[arg(long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    payload: Option<String>,
    /// Do not ask before an edited payload goes
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// What the verb did. The JSON is a stable interface.
#[derive(Serialize)]
struct Done {
    id: DeadLetterId,
    job_id: JobId,
    /// The seq of the job's new message.
    seq: i32,
    payload_edited: bool,
}

impl ReplayArgs {
    pub(super) async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let edited = self.payload.as_deref().map(payload::read).transpose()?;
        let database = session.database().await?;
        let letter =
            dead_letter::find(database.read(), self.id).await?.ok_or_else(|| no_such_letter(self.id))?;
        if let Some(edited) = &edited {
            let original = String::from_utf8_lossy(&letter.body);
            session.terminal.say(&diff(&pretty_text(&original), &pretty_text(edited)))?;
            if !self.yes && session.terminal.asks("Replay with this payload?")? == Asked::No {
                return Err(Problem::refused("nothing was changed").into());
            }
        }
        let tx = database.begin().await?;
        let now = database.clock().now(&tx).await?;
        let operator = self.operator.operator();
        let replayed = operate::replay(&tx, &catalogue(), self.id, edited.as_deref(), &operator, now)
            .await
            .map_err(explain)?;
        tx.commit().await?;
        ring(&database);
        let done =
            Done { id: self.id, job_id: replayed.job, seq: replayed.seq, payload_edited: edited.is_some() };
        session.terminal.answer(&done, || {
            format!("job {job} has another life\nackord jobs wait {job}", job = done.job_id)
        })?;
        Ok(Exit::Success)
    }
}

/// What an edited payload changes, line by line.
fn diff(before: &str, after: &str) -> String {
    TextDiff::from_lines(&ended(before), &ended(after))
        .iter_all_changes()
        .map(|change| {
            let line = change.value().trim_end_matches('\n');
            match change.tag() {
                ChangeTag::Delete => bad(format!("- {line}")) + "\n",
                ChangeTag::Insert => good(format!("+ {line}")) + "\n",
                ChangeTag::Equal => format!("  {line}\n"),
            }
        })
        .collect()
}

fn ended(text: &str) -> String {
    format!("{}\n", text.trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_is_shown_with_what_goes_and_what_comes() {
        console::set_colors_enabled(false);
        let text = diff("{\n  \"a\": 1,\n  \"b\": 2\n}", "{\n  \"a\": 1,\n  \"b\": 3\n}");
        assert_eq!(text, "  {\n    \"a\": 1,\n-   \"b\": 2\n+   \"b\": 3\n  }\n");
    }
}

//! One letter, at once.

use ackord_entities::database::Database;
use ackord_entities::ids::{DeadLetterId, JobId};
use ackord_entities::jobs::catalogue;
use ackord_entities::queue::dead_letter::{self, LetterState};
use ackord_entities::queue::job;
use ackord_producer::operate::{self, Edit, Patch, Prepared, Replayed, payload_diff};
use ackord_producer::story::JobView;
use serde::Serialize;

use super::ReplayArgs;
use crate::commands::dead_letters::select::confirm;
use crate::commands::dead_letters::{diff, explain, no_such_letter};
use crate::commands::jobs::{exit_of, sentence, wait_for};
use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::{Session, ring};

/// What the verb did. The JSON is a stable interface.
#[derive(Serialize)]
struct Done {
    id: DeadLetterId,
    job_id: Option<JobId>,
    /// The seq of the job's new message.
    seq: Option<i32>,
    payload_edited: bool,
    /// False where nothing was done: it was replayed before, or this is a dry run.
    changed: bool,
    dry_run: bool,
    /// What the edit changes, as a unified diff.
    diff: Option<String>,
    /// With `--wait`: how it ended.
    job: Option<JobView>,
}

impl ReplayArgs {
    pub(super) async fn one(
        &self,
        session: &Session,
        id: DeadLetterId,
        payload: Option<&str>,
        patch: Option<&Patch>,
    ) -> anyhow::Result<Exit> {
        let database = session.database().await?;
        let letter = dead_letter::find(database.read(), id).await?.ok_or_else(|| no_such_letter(id))?;
        if letter.state == LetterState::Replayed {
            return replayed_before(session, &database, &letter, payload.is_some() || patch.is_some()).await;
        }
        let edit = payload.map_or_else(|| patch.map_or(Edit::None, Edit::Patch), Edit::Payload);
        let mut done = Done {
            id,
            job_id: letter.job_id,
            seq: None,
            payload_edited: false,
            changed: false,
            dry_run: self.dry_run,
            diff: None,
            job: None,
        };
        if letter.state == LetterState::Open {
            let prepared = operate::prepare(&catalogue(), &letter, edit).map_err(explain)?;
            done.payload_edited = prepared.edited.is_some();
            done.diff = show_edit(session, &letter, &prepared)?;
            if self.dry_run {
                let text = "it can be replayed as far as its message tells; nothing was changed";
                session.terminal.answer(&done, || text.to_owned())?;
                return Ok(Exit::Success);
            }
            if prepared.edited.is_some() {
                confirm(session, self.yes, "Replay with this payload?")?;
            }
        }
        let replayed = self.write(&database, id, edit).await?;
        ring(&database).await;
        done.job_id = Some(replayed.job);
        done.seq = Some(replayed.seq);
        done.changed = true;
        self.answer(session, &database, done, replayed.job).await
    }

    async fn write(&self, database: &Database, id: DeadLetterId, edit: Edit<'_>) -> anyhow::Result<Replayed> {
        let tx = database.begin().await?;
        let now = database.clock().now(&tx).await?;
        let operator = self.operator.operator();
        let replayed = operate::replay(&tx, &catalogue(), id, edit, &operator, now).await.map_err(explain)?;
        tx.commit().await?;
        Ok(replayed)
    }

    async fn answer(
        &self,
        session: &Session,
        database: &Database,
        mut done: Done,
        job: JobId,
    ) -> anyhow::Result<Exit> {
        let text = format!("job {job} has another life");
        if !self.wait {
            session.terminal.answer(&done, || format!("{text}\nackord jobs wait {job}"))?;
            return Ok(Exit::Success);
        }
        session.terminal.say(&text)?;
        let ended = wait_for(database, job, self.timeout, session.terminal).await?;
        let (exit, line) = (exit_of(&ended), sentence(&ended));
        done.job = Some(ended);
        session.terminal.answer(&done, || line)?;
        Ok(exit)
    }
}

/// Shows what an edit changes. Answers it for scripts.
fn show_edit(
    session: &Session,
    letter: &dead_letter::Model,
    prepared: &Prepared,
) -> anyhow::Result<Option<String>> {
    let Some(edited) = &prepared.edited else { return Ok(None) };
    let original = String::from_utf8_lossy(&letter.body);
    session.terminal.say(&diff::of_payloads(&original, edited))?;
    Ok(Some(payload_diff(&original, edited)))
}

/// Pressed twice: nothing is done, and it is said what became of the first time. Another payload is another wish, though.
async fn replayed_before(
    session: &Session,
    database: &Database,
    letter: &dead_letter::Model,
    edited: bool,
) -> anyhow::Result<Exit> {
    let id = letter.id;
    let by = letter.resolved_by.as_deref().unwrap_or("somebody");
    let job = match letter.job_id {
        Some(job) => job::find(database.read(), job).await?,
        None => None,
    };
    if edited {
        let remedy = match letter.job_id {
            Some(job) => {
                format!("`ackord jobs show {job}` tells what became of it, and names a newer dead letter")
            }
            None => "`ackord dead-letters list` shows the open ones".to_owned(),
        };
        let text =
            format!("dead letter {id} was replayed by {by} before: its job no longer takes this payload");
        return Err(Problem::refused(text).remedy(remedy).into());
    }
    let done = Done {
        id,
        job_id: letter.job_id,
        seq: None,
        payload_edited: letter.edited_payload.is_some(),
        changed: false,
        dry_run: false,
        diff: None,
        job: None,
    };
    session.terminal.answer(&done, || {
        let job = job.map_or_else(String::new, |job| format!("; its job {} is {}", job.id, job.state));
        format!("dead letter {id} was replayed by {by} before{job}")
    })?;
    Ok(Exit::Success)
}

//! Many letters, as a run.

use ackord_entities::database::Database;
use ackord_entities::ids::ReplayRunId;
use ackord_entities::jobs::catalogue;
use ackord_entities::queue::dead_letter;
use ackord_producer::operate::{Checked, Patch, RunRequest, Started, check_patch, start_run};
use ackord_producer::story::{Audience, GroupView, RunView};
use serde::Serialize;

use super::ReplayArgs;
use super::check::{changes, counts, insist};
use crate::commands::dead_letters::list::groups_table;
use crate::commands::dead_letters::runs::{RunText, known, wait_for_run};
use crate::commands::dead_letters::select::{Selected, confirm, letters};
use crate::exit::Exit;
use crate::session::{Session, ring};

/// Groups that are shown before it is asked.
const GROUPS: u64 = 10;

/// What the verb did. The JSON is a stable interface.
#[derive(Serialize)]
struct Done {
    /// The run: a new one, or the running one that has these letters; null where there is nothing to replay.
    run: Option<RunView>,
    /// Whether a run was started.
    changed: bool,
}

/// What the verb would do. The JSON is a stable interface.
#[derive(Serialize)]
struct Plan {
    dry_run: bool,
    /// Open letters.
    letters: usize,
    /// Named letters that somebody dealt with before.
    dealt_with_before: usize,
    /// The largest groups of them.
    groups: Vec<GroupView>,
    /// What the patch does.
    patch: Option<Checked>,
}

impl ReplayArgs {
    pub(super) async fn many(&self, session: &Session, patch: Option<&Patch>) -> anyhow::Result<Exit> {
        let database = session.database().await?;
        let selected = self.selection.select(&database).await?;
        let checked = match patch {
            Some(patch) => Some(check_patch(&database, &catalogue(), patch, &selected.ids).await?),
            None => None,
        };
        preview(session, &database, &selected, checked.as_ref()).await?;
        if self.dry_run {
            return answer_plan(session, &database, &selected, checked).await;
        }
        if let Some(checked) = &checked {
            insist(checked)?;
        }
        if !selected.ids.is_empty() && (selected.filter.is_some() || patch.is_some()) {
            confirm(session, self.yes, &format!("Replay {}?", letters(selected.ids.len())))?;
        }
        let started = self.start(&database, &selected, patch).await?;
        self.answer_started(session, &database, &selected, started).await
    }

    async fn start(
        &self,
        database: &Database,
        selected: &Selected,
        patch: Option<&Patch>,
    ) -> anyhow::Result<Started> {
        let request = RunRequest {
            selection: &selected.words,
            shown: &selected.shown,
            letters: &selected.ids,
            patch,
            tolerance: self.tolerate,
        };
        let tx = database.begin().await?;
        let now = database.clock().now(&tx).await?;
        let started = start_run(&tx, request, &self.operator.operator(), now).await?;
        if matches!(started, Started::Run { .. }) {
            tx.commit().await?;
            ring(database).await;
        } else {
            tx.rollback().await?;
        }
        Ok(started)
    }

    async fn answer_started(
        &self,
        session: &Session,
        database: &Database,
        selected: &Selected,
        started: Started,
    ) -> anyhow::Result<Exit> {
        let (run, text) = match started {
            Started::Nothing => {
                let before = match selected.dealt_with_before {
                    0 => String::new(),
                    dealt_with => format!(": {} dealt with before", were(dealt_with)),
                };
                let done = Done { run: None, changed: false };
                session.terminal.answer(&done, || format!("no open dead letters to replay{before}"))?;
                return Ok(Exit::Success);
            }
            Started::Running(run) => (run, format!("replay run {run} has them already: nothing was changed")),
            Started::Run { run, letters: count } => {
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                (run, format!("replay run {run} of {} has begun", letters(count)))
            }
        };
        let changed = matches!(started, Started::Run { .. });
        self.answer_run(session, database, run, changed, text).await
    }

    async fn answer_run(
        &self,
        session: &Session,
        database: &Database,
        run: ReplayRunId,
        changed: bool,
        text: String,
    ) -> anyhow::Result<Exit> {
        if self.wait {
            session.terminal.say(&text)?;
            let view = wait_for_run(database, run, self.timeout, session.terminal).await?;
            let (exit, sentence) = (view.exit(), view.sentence());
            session.terminal.answer(&Done { run: Some(view), changed }, || sentence)?;
            return Ok(exit);
        }
        let view = known(database, run).await?;
        session.terminal.answer(&Done { run: Some(view), changed }, || {
            format!("{text}\nackord dead-letters runs wait {run}")
        })?;
        Ok(Exit::Success)
    }
}

async fn answer_plan(
    session: &Session,
    database: &Database,
    selected: &Selected,
    checked: Option<Checked>,
) -> anyhow::Result<Exit> {
    let fits = checked.as_ref().map_or(Ok(()), insist);
    let plan = Plan {
        dry_run: true,
        letters: selected.ids.len(),
        dealt_with_before: selected.dealt_with_before,
        groups: groups(database, selected).await?,
        patch: checked,
    };
    session.terminal.answer(&plan, || {
        format!("{} would be replayed; nothing was changed", letters(selected.ids.len()))
    })?;
    fits?;
    Ok(Exit::Success)
}

/// What a person should see before he says yes.
async fn preview(
    session: &Session,
    database: &Database,
    selected: &Selected,
    checked: Option<&Checked>,
) -> anyhow::Result<()> {
    if session.terminal.json() || selected.ids.is_empty() {
        return Ok(());
    }
    if selected.filter.is_some() {
        let now = database.clock().now(database.read()).await?;
        session.terminal.say(&groups_table(&groups(database, selected).await?, now))?;
    }
    if let Some(checked) = checked {
        session.terminal.say(&format!("{}{}", changes(checked), counts(checked)))?;
    }
    Ok(())
}

async fn groups(database: &Database, selected: &Selected) -> anyhow::Result<Vec<GroupView>> {
    let Some(filter) = &selected.filter else { return Ok(Vec::new()) };
    let groups = dead_letter::groups(database.read(), filter, GROUPS).await?;
    Ok(groups.into_iter().map(|group| GroupView::new(group, Audience::Operators)).collect())
}

fn were(count: usize) -> String {
    if count == 1 { "1 was".to_owned() } else { format!("{count} were") }
}

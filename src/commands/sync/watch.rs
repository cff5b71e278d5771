//! Waiting for a cycle, and for those that continue it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ackord_entities::database::Database;
use ackord_entities::graph::graphs;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::{Job as _, SyncCycle};
use ackord_entities::queue::job::{self, Filter};
use ackord_entities::queue::state::{JobState, ShownState};
use ackord_entities::sync::{cycle, survey};
use ackord_producer::story::{Audience, CycleView, ErrorView, HeldRows, OutcomeView, TableView};
use sea_orm::DbErr;
use serde::Serialize;

use crate::commands::jobs::wait_for;
use crate::exit::Exit;
use crate::problem::Problem;
use crate::session::Session;
use crate::terminal::length;

/// How long somebody waits, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For ever, if there is none.
    timeout: Option<Duration>,
    begun: Instant,
}

impl Patience {
    /// From now on.
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Self { timeout, begun: Instant::now() }
    }

    fn left(self) -> Option<Duration> {
        self.timeout.map(|timeout| timeout.saturating_sub(self.begun.elapsed()))
    }

    /// The time is over: for all cycles together, not for the one that was being waited for.
    fn explain(self, error: anyhow::Error, graph: &str) -> anyhow::Error {
        let is_over = error.downcast_ref::<Problem>().is_some_and(|problem| problem.exit == Exit::TimedOut);
        match self.timeout.filter(|_| is_over) {
            None => error,
            Some(timeout) => {
                let text = format!("the graph {graph} was not copied within {}", length(timeout));
                let remedy = format!("it goes on; `ackord sync status {graph}` tells what holds it up");
                Problem::new(Exit::TimedOut, text).remedy(remedy).into()
            }
        }
    }
}

/// What cycles did together. The JSON is a stable interface.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Ended {
    /// `idle`, `complete`, `partial` or `failed`.
    pub(super) outcome: OutcomeView,
    /// How the last job ended.
    pub(super) state: ShownState,
    /// The jobs, the first one first.
    pub(super) jobs: Vec<JobId>,
    pub(super) moved: i64,
    pub(super) deleted: i64,
    /// Rows that were refused.
    pub(super) failed: i64,
    /// What was done with each table.
    pub(super) tables: BTreeMap<String, TableView>,
    /// Rows that are not on the read side now.
    pub(super) held: HeldRows,
    /// Why the last job ended badly.
    pub(super) error: Option<ErrorView>,
}

impl Ended {
    fn add(&mut self, cycle: CycleView) {
        self.moved += cycle.moved;
        self.deleted += cycle.deleted;
        self.failed += cycle.failed;
        self.outcome = joined(self.outcome, cycle.outcome);
        for (table, done) in cycle.tables {
            let sum = self.tables.entry(table).or_default();
            sum.moved += done.moved;
            sum.deleted += done.deleted;
            sum.deferred += done.deferred;
            sum.failed += done.failed;
            sum.seconds += done.seconds;
        }
    }

    /// Whether everything that could be copied was.
    pub(super) fn is_good(&self) -> bool {
        matches!(self.outcome, OutcomeView::Idle | OutcomeView::Complete)
    }
}

/// How two cycles one after the other ended. What was refused stays so until a later run of it is told.
fn joined(before: OutcomeView, after: OutcomeView) -> OutcomeView {
    match (before, after) {
        (OutcomeView::Failed, _) | (_, OutcomeView::Failed) => OutcomeView::Failed,
        (OutcomeView::Partial, _) | (_, OutcomeView::Partial) => OutcomeView::Partial,
        (OutcomeView::Idle, OutcomeView::Idle) => OutcomeView::Idle,
        _ => OutcomeView::Complete,
    }
}

/// Waits until the job has ended, and every job that goes on where it left off.
///
/// # Errors
/// The time is over first; whatever the database answers.
pub(super) async fn ended(
    session: &Session,
    database: &Database,
    graph: &graphs::Model,
    first: JobId,
    patience: Patience,
) -> anyhow::Result<Ended> {
    let mut ended = Ended {
        outcome: OutcomeView::Idle,
        state: ShownState::Succeeded,
        jobs: Vec::new(),
        moved: 0,
        deleted: 0,
        failed: 0,
        tables: BTreeMap::new(),
        held: HeldRows::default(),
        error: None,
    };
    let mut next = Some(first);
    while let Some(id) = next {
        let job = wait_for(database, id, patience.left(), session.terminal).await;
        let job = job.map_err(|error| patience.explain(error, &graph.slug))?;
        ended.jobs.push(id);
        (ended.state, ended.error) = (job.state, job.error);
        let cycle = survey::cycle_of(database.read(), id).await?;
        if job.state != ShownState::Succeeded {
            ended.outcome = OutcomeView::Failed;
        }
        next = match &cycle {
            Some(cycle) if job.state == ShownState::Succeeded => follow_up(database, cycle).await?,
            _ => None,
        };
        if let Some(cycle) = cycle {
            ended.add(CycleView::new(cycle, Audience::Operators));
        }
    }
    ended.held = HeldRows::of(database, graph.id).await?;
    Ok(ended)
}

/// The job that goes on where the cycle left off. It published one, unless one was waiting already.
async fn follow_up(database: &Database, ended: &cycle::Model) -> Result<Option<JobId>, DbErr> {
    let of_kind = Filter { kind: Some(SyncCycle::KIND.to_owned()), ..Filter::default() };
    let child = Filter { parent: Some(ended.job_id), ..of_kind.clone() };
    if let Some(child) = job::list(database.read(), &child, 1).await?.first() {
        return Ok(Some(child.id));
    }
    if !matches!(ended.outcome, cycle::Outcome::Continued | cycle::Outcome::Partial) {
        return Ok(None);
    }
    let Some(row) = job::find(database.read(), ended.job_id).await? else { return Ok(None) };
    let waiting =
        Filter { states: vec![JobState::Pending, JobState::Running], subject: row.subject, ..of_kind };
    Ok(job::list(database.read(), &waiting, 1).await?.first().map(|job| job.id))
}

#[cfg(test)]
mod tests {
    use super::OutcomeView::{Complete, Continued, Failed, Idle, Partial};
    use super::*;

    #[test]
    fn the_worst_of_several_cycles_is_told() {
        for (before, after, together) in [
            (Idle, Idle, Idle),
            (Idle, Complete, Complete),
            (Idle, Continued, Complete),
            (Continued, Idle, Complete),
            (Partial, Complete, Partial),
            (Complete, Partial, Partial),
            (Partial, Failed, Failed),
        ] {
            assert_eq!(joined(before, after), together, "{before:?}, {after:?}");
        }
    }
}

//! The rows of a group's jobs: made or locked at the beginning of its transaction, with as few statements as can be.
//!
//! Nearly every message is its job's first one, and nearly every commit half succeeds. So a row is written as what it is
//! about to be, with the statement that locks or makes it: nobody else sees it before the commit, and whatever turns out otherwise
//! is changed by then. That statement also tells the time, so that nobody has to ask for it. Where a message is not that plain, the row
//! is locked and looked at first.

use std::collections::{HashMap, HashSet};

use ackord_entities::ids::JobId;
use ackord_entities::queue::job::{self, Fence, NewJob, Origin};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::fence::{Verdict, judge};
use super::flush::{Flusher, Mode};
use super::item::{Item, Work};

/// The rows of a group's jobs, made or locked by its transaction.
pub(super) struct Rows {
    /// As they were, or would be without what is said of them below.
    pub(super) fences: HashMap<JobId, Fence>,
    /// Written as if their commit halves had succeeded.
    pub(super) ended_ahead: HashSet<JobId>,
    /// The transaction's time.
    pub(super) now: DateTime<Utc>,
}

/// What is done about the rows of a group.
#[derive(Default)]
struct Plan {
    /// Direct publishes that will have succeeded.
    new_and_plain: Vec<NewJob>,
    /// Direct publishes of which that cannot be said.
    new: Vec<NewJob>,
    /// Jobs with a row that will have succeeded.
    plain: Vec<(JobId, i32)>,
}

impl Flusher {
    /// Locks the rows of the items, each sort in the order of the ids, and makes those of direct publishes that have none yet.
    pub(super) async fn lock_rows(
        &self,
        tx: &DatabaseTransaction,
        items: &[Item],
        mode: Mode,
    ) -> Result<Rows, DbErr> {
        let mut plan = self.plan(items, mode);
        let clock = self.shared.database.clock();
        let moment = clock.on_receipt(tx.get_database_backend());
        let mut fences = HashMap::new();
        let mut ended_ahead = HashSet::new();
        let mut told = None;
        if !plan.new_and_plain.is_empty() {
            plan.new_and_plain.sort_unstable_by_key(|new| new.id);
            let made = job::insert_ended(tx, &plan.new_and_plain, moment).await?;
            told = made.at;
            ended_ahead.extend(made.jobs);
            fences
                .extend(made.at.into_iter().flat_map(|now| made_of(&plan.new_and_plain, &ended_ahead, now)));
        }
        if !plan.plain.is_empty() {
            plan.plain.sort_unstable();
            let ended = job::end_ahead(tx, self.handler.spec().kind, &plan.plain, moment).await?;
            told = told.or(ended.at);
            ended_ahead.extend(ended.jobs.iter().map(|row| row.id));
            fences.extend(ended.jobs.into_iter().map(|row| (row.id, row)));
        }
        let now = match told {
            Some(now) => now,
            None => clock.now(tx).await?,
        };
        if !plan.new.is_empty() {
            plan.new.sort_unstable_by_key(|new| new.id);
            let made: HashSet<JobId> = job::insert(tx, &plan.new, now).await?.into_iter().collect();
            fences.extend(made_of(&plan.new, &made, now));
        }
        let others: Vec<JobId> =
            items.iter().filter_map(|item| item.id).filter(|id| !fences.contains_key(id)).collect();
        if !others.is_empty() {
            // Also those that somebody else has made in between: the insert waited for him.
            fences.extend(job::lock(tx, &others).await?.into_iter().map(|row| (row.id, row)));
        }
        Ok(Rows { fences, ended_ahead, now })
    }

    fn plan(&self, items: &[Item], mode: Mode) -> Plan {
        let mut plan = Plan::default();
        for item in items {
            let is_plain = mode == Mode::Group && self.is_plain(item);
            match (self.direct_row(item), item.id, item.message.seq) {
                (Some(new), ..) if is_plain => plan.new_and_plain.push(new),
                (Some(new), ..) => plan.new.push(new),
                (None, Some(id), Some(seq)) if is_plain => plan.plain.push((id, seq)),
                _ => {}
            }
        }
        plan
    }

    /// Whether nothing stands between this job and its success but its commit half, as far as its message says.
    fn is_plain(&self, item: &Item) -> bool {
        !self.handler.spec().performs
            && item.is_delivery()
            && matches!(item.work, Work::Unperformed)
            && item.turn.is_some()
            && item.started.is_none()
    }

    fn direct_row(&self, item: &Item) -> Option<NewJob> {
        let id = item.id?;
        let spec = self.handler.spec();
        // What could be read and is given up all the same ends its job: nobody may perform it any more.
        let usable = (item.turn.is_some() || !matches!(item.work, Work::GiveUp(..))) && item.is_delivery();
        if !usable || judge(item.message.seq, None, spec) != Verdict::MakeRow {
            return None;
        }
        Some(NewJob {
            id,
            kind: spec.kind,
            version: item.message.schema_version.unwrap_or(1),
            origin: Origin::Direct,
            max_attempts: spec.max_attempts,
            payload: String::from_utf8_lossy(&item.message.body).into_owned(),
            subject: item.turn.as_ref().and_then(|turn| self.handler.subject(turn)),
            // A direct publish is recognised by its message id; a dedup key is taken by `enqueue` only.
            dedup_key: None,
            parent_id: None,
            traceparent: item.message.traceparent.clone(),
        })
    }
}

/// The rows of those that were made just now.
fn made_of(
    new: &[NewJob],
    made: &HashSet<JobId>,
    now: DateTime<Utc>,
) -> impl Iterator<Item = (JobId, Fence)> {
    new.iter().filter(|new| made.contains(&new.id)).map(move |new| (new.id, Fence::of_new(new, now)))
}

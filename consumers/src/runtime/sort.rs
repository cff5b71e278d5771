//! Reading a batch: what has work to do waits for a slot, everything else goes to the commit, which decides.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ackord_entities::ids::JobId;
use ackord_entities::queue::{attempt, job};
use ackord_producer::broker::Delivery;
use sea_orm::DbErr;

use super::fence::{Verdict, judge};
use super::flush::Flusher;
use super::item::Item;
use super::receive::{self, Received};
use super::settle::Settlements;
use super::suspects::LOST;
use crate::registry::Decoded;
use crate::trace;

/// A job that waits for a slot.
pub(super) struct Waiting {
    pub(super) item: Item,
    pub(super) decoded: Decoded,
    /// The number of the attempt, as far as the rows said when it arrived.
    pub(super) attempt: u32,
    pub(super) is_suspect: bool,
}

/// Where a delivery goes.
pub(super) enum Sorted {
    /// Nothing is to be performed.
    ToCommit(Item),
    /// It has work to do.
    ToPerform(Waiting),
}

impl Flusher {
    /// Reads and sorts a batch.
    ///
    /// # Errors
    /// The database; nothing has happened to the deliveries.
    pub(super) async fn sort(
        &self,
        settlements: &Arc<Settlements>,
        batch: &[Delivery],
    ) -> Result<Vec<Sorted>, DbErr> {
        let Self { shared, handler } = self;
        let spec = handler.spec();
        let received = receive::read(shared, &**handler, settlements, batch).await?;
        // Kinds without a slow half have nothing to save by looking first, but for suspects: each of those runs alone.
        let looked_at = received.iter().filter(|one| spec.performs || self.may_be_suspect(one));
        let ids: Vec<JobId> = looked_at.filter_map(|one| one.item.id).collect();
        let mut rows: HashMap<JobId, job::Fence> = HashMap::new();
        if !ids.is_empty() {
            let fences = job::fences(shared.database.read(), &ids).await?;
            rows.extend(fences.into_iter().map(|row| (row.id, row)));
        }
        let often_lost = self.often_lost(&rows).await?;
        let sorted = received.into_iter().map(|Received { mut item, decoded, deliveries_before }| {
            let (Some(id), Some(decoded)) = (item.id, decoded) else { return Sorted::ToCommit(item) };
            let row = rows.get(&id);
            let is_suspect = shared.suspects.is_suspect(id, deliveries_before) || often_lost.contains(&id);
            let attempt = row.map_or(1, |row| row.attempt.unsigned_abs() + 1);
            item.span = trace::process(spec.kind, id, attempt, &item);
            if spec.performs || is_suspect {
                let verdict = judge(item.message.seq, row, spec);
                let has_work = verdict == Verdict::MakeRow
                    || row.is_some_and(|row| {
                        let may_run = is_suspect || row.attempt < row.max_attempts;
                        verdict == Verdict::Turn && !row.cancel_requested && may_run
                    });
                if has_work {
                    return Sorted::ToPerform(Waiting { item, decoded, attempt, is_suspect });
                }
            }
            // A start may be recorded of a job that somebody else has ended meanwhile: whoever answers for it clears that.
            item.was_suspect = is_suspect;
            item.turn =
                Some(handler.turn(decoded, id, attempt, item.message.seq.unwrap_or(1), item.traceparent()));
            Sorted::ToCommit(item)
        });
        Ok(sorted.collect())
    }

    fn may_be_suspect(&self, one: &Received) -> bool {
        one.item.id.is_some_and(|id| self.shared.suspects.is_suspect(id, one.deliveries_before))
    }

    /// Handed-over jobs that lost one worker after the other. There is no delivery that would count their deaths.
    async fn often_lost(&self, rows: &HashMap<JobId, job::Fence>) -> Result<HashSet<JobId>, DbErr> {
        if !self.handler.spec().hand_over {
            return Ok(HashSet::new());
        }
        let tried = rows.values().filter(|row| row.attempt.unsigned_abs() >= LOST).map(|row| row.id);
        attempt::often_lost(self.shared.database.read(), &tried.collect::<Vec<_>>(), LOST).await
    }
}

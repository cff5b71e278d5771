//! The end of a part, as its super-syntheses see it.

use ackord_entities::graph::super_synthesis::{self, Model};
use ackord_entities::graph::synthesis::{self, State};
use ackord_entities::graph::synthesis_link::{self, Part};
use ackord_entities::graph::synthesis_part_read::{self, is_stale};
use ackord_entities::ids::SynthesisId;
use ackord_entities::jobs::Recombination;
use sea_orm::{DatabaseTransaction, DbErr};

use crate::enqueue::{EnqueueError, Enqueued, Publish, enqueue};

/// Looks at each super-synthesis that `part` belongs to, after `part` has come to an end, whatever the end, in this transaction.
/// Those whose parts have all ended are to be combined: their job is published with it. Answers these jobs.
///
/// What is decided follows from how the parts stand, never from a count. Their rows cannot change meanwhile: whoever ends one of them
/// waits here for this transaction, and sees what it has written.
///
/// # Errors
/// Whatever the database answers.
pub async fn part_ended(
    tx: &DatabaseTransaction,
    part: SynthesisId,
    publish: &Publish,
) -> Result<Vec<Enqueued>, EnqueueError> {
    let parents = super_synthesis::lock_parents(tx, part).await?;
    combine_those_ready(tx, &parents, Wanted::News, publish).await
}

/// What a super-synthesis whose parts have all ended is combined for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It waits for its first text.
    First,
    /// That, or its parts say something else than its text was made from.
    News,
}

/// The same for super-syntheses that are locked already, in the order of their ids.
pub(super) async fn combine_those_ready(
    tx: &DatabaseTransaction,
    parents: &[Model],
    wanted: Wanted,
    publish: &Publish,
) -> Result<Vec<Enqueued>, EnqueueError> {
    let mut published = Vec::new();
    for parent in parents {
        if is_ready(tx, parent, wanted).await? {
            published.push(combine(tx, parent.id, publish).await?);
        }
    }
    Ok(published)
}

/// Publishes the job that combines `parent`, which is locked. Several requests that come before it begins are one job.
pub(super) async fn combine(
    tx: &DatabaseTransaction,
    parent: SynthesisId,
    publish: &Publish,
) -> Result<Enqueued, EnqueueError> {
    let enqueued = enqueue(tx, &Recombination::of(parent), publish).await?;
    synthesis::await_combining(tx, parent, enqueued.id, publish.now()).await?;
    Ok(enqueued)
}

/// Whether all parts have ended, and there is something to combine them for.
async fn is_ready(tx: &DatabaseTransaction, parent: &Model, wanted: Wanted) -> Result<bool, DbErr> {
    let Some(row) = synthesis::by_id(tx, parent.id).await? else { return Ok(false) };
    let parts = synthesis_link::parts_of(tx, parent.id).await?;
    if parent.planning.is_none() || !parts.iter().all(Part::has_ended) {
        return Ok(false);
    }
    Ok(waits_for_parts(&row, parent) || (wanted == Wanted::News && stale(tx, &row, &parts).await?))
}

/// Whether it was planned and nothing has been combined or asked for since.
pub(super) fn waits_for_parts(row: &synthesis::Model, parent: &Model) -> bool {
    row.state == State::Running && row.job_id.is_some() && row.job_id == parent.job_id
}

/// Whether the parts have other texts than those that the newest version was made from.
pub(super) async fn stale(
    tx: &DatabaseTransaction,
    row: &synthesis::Model,
    parts: &[Part],
) -> Result<bool, DbErr> {
    let read = match row.current_version {
        Some(version) => synthesis_part_read::of(tx, row.id, version).await?,
        None => Vec::new(),
    };
    Ok(is_stale(&read, parts))
}

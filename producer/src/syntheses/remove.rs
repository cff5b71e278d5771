//! A synthesis is removed, with its consequences for those that it is a part of.

use ackord_entities::graph::{super_synthesis, synthesis};
use ackord_entities::ids::SynthesisId;
use sea_orm::DatabaseTransaction;
use serde::Serialize;

use super::fan_in::{Wanted, combine_those_ready};
use crate::enqueue::{EnqueueError, Publish};

/// What was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// The super-syntheses that it was a part of, by id. Their texts stay, and are stale if they were made from it.
    pub parents: Vec<SynthesisId>,
}

/// Removes the synthesis `id` within `tx`: its row, node, versions, attempts and links. A job that works on it writes nothing any
/// more. A super-synthesis that waited for nothing but this part is combined without it; its text, where there is one already,
/// stays and is stale. `None` if there is no such synthesis.
///
/// # Errors
/// Whatever the database answers.
pub async fn remove(
    tx: &DatabaseTransaction,
    id: SynthesisId,
    publish: &Publish,
) -> Result<Option<Removed>, EnqueueError> {
    // Of a super-synthesis the row beside it comes first; a part has none.
    if super_synthesis::lock(tx, id).await?.is_none() && synthesis::lock(tx, id).await?.is_none() {
        return Ok(None);
    }
    let parents = super_synthesis::lock_parents(tx, id).await?;
    if !synthesis::remove(tx, id).await? {
        return Ok(None);
    }
    combine_those_ready(tx, &parents, Wanted::First, publish).await?;
    Ok(Some(Removed { parents: parents.into_iter().map(|parent| parent.id).collect() }))
}

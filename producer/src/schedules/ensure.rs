//! What a schedule must be, and schedules that a program wants to be there.

use ackord_entities::jobs::{Catalogue, CatalogueError, Invalid, PayloadError};
use ackord_entities::queue::schedule::{self, Definition, ScheduleName};
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};

use super::Plan;

/// A schedule that cannot be. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A field is wrong.
    #[error(transparent)]
    Field(#[from] Invalid),
    /// There is no such kind.
    #[error(transparent)]
    Kind(#[from] CatalogueError),
    /// The payload does not fit its kind.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The database failed.
    #[error("the schedule could not be written")]
    Database(#[from] DbErr),
}

/// Checks everything that a schedule is made of. Answers its first tick behind `now`, unless it is disabled.
///
/// # Errors
/// The first field that is wrong, with what would be right; an expression that names no moment to come.
pub fn check(
    catalogue: &Catalogue,
    definition: &Definition,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, CheckError> {
    let plan = Plan::new(&definition.expression, &definition.zone)?;
    let spec = catalogue.require(&definition.kind)?;
    spec.check(definition.payload_version, definition.payload.as_bytes())?;
    if !definition.enabled {
        return Ok(None);
    }
    let next = plan.next_after(now).ok_or_else(|| {
        let reason =
            format!("`{}` names no moment to come: look at its days and years", definition.expression);
        Invalid::new("expression", reason)
    })?;
    Ok(Some(next))
}

/// Makes a schedule unless there is one of its name, which is left as it is: for those that a program brings with it, at its start.
/// Answers whether it was made. One that operators do not want is to be disabled: were it removed, it would be made again.
///
/// # Errors
/// It is not one that can be, or the database failed.
pub async fn ensure(
    tx: &DatabaseTransaction,
    catalogue: &Catalogue,
    name: &ScheduleName,
    definition: &Definition,
    now: DateTime<Utc>,
) -> Result<bool, CheckError> {
    let next_tick = check(catalogue, definition, now)?;
    Ok(schedule::insert(tx, name, definition, next_tick, "ackord", now).await?)
}

//! Schedules that a node brings with it.

use ackord_entities::database::Database;
use ackord_entities::jobs::{Catalogue, Job, SyncDispatch};
use ackord_entities::queue::schedule::{CatchUp, Definition, Overlap, ScheduleName};
use ackord_producer::schedules::{CheckError, ensure};

use crate::problem::Problem;

/// The name of the schedule that copies all graphs.
const SYNC: &str = "sync";

/// Makes the schedule that copies all graphs, unless there is one of its name: operators may have changed or disabled it.
///
/// # Errors
/// The expression is none; whatever the database answers.
pub(super) async fn sync(database: &Database, catalogue: &Catalogue, expression: &str) -> anyhow::Result<()> {
    let name: ScheduleName = SYNC.parse()?;
    let definition = Definition {
        kind: SyncDispatch::KIND.to_owned(),
        payload: "{}".to_owned(),
        payload_version: SyncDispatch::VERSION,
        expression: expression.to_owned(),
        zone: "UTC".to_owned(),
        // What was missed while nobody ran is copied by the next cycle.
        catch_up: CatchUp::None,
        overlap: Overlap::Skip,
        enabled: true,
    };
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    ensure(&tx, catalogue, &name, &definition, now).await.map_err(|error| match error {
        CheckError::Database(error) => anyhow::Error::from(error),
        error => Problem::usage(format!("configuration: `sync.schedule`: {error}"))
            .remedy("give a cron expression such as `* * * * *`, or `off`")
            .into(),
    })?;
    tx.commit().await?;
    Ok(())
}

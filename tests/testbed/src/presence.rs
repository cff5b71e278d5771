//! This process on the list of processes, as `ackord up` is on it: there others see whether it lives.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::queue::process::{self, Model, Role};
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Puts this process on the list, and takes those off that are no more: all of them run on this machine.
///
/// # Errors
/// Whatever the database answers.
pub async fn register(database: &Database, name: &str) -> Result<(), DbErr> {
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    for other in process::all(&tx).await? {
        if other.name == name || !Path::new("/proc").join(other.process.to_string()).exists() {
            process::leave(&tx, &other.name).await?;
        }
    }
    let row = Model {
        name: name.to_owned(),
        roles: process::joined(&BTreeSet::from(Role::ALL)),
        host: "here".to_owned(),
        process: i64::from(std::process::id()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        broker: "a test's".to_owned(),
        started_at: now,
        seen_at: now,
    };
    process::register(&tx, row).await?;
    tx.commit().await
}

/// Gives signs of life until `stop`, then leaves the list.
pub async fn run(database: Database, name: String, beat: Duration, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(beat)).await.is_some() {
        let beaten = async {
            let now = database.clock().now(database.read()).await?;
            process::beat(database.write(), &name, now).await
        };
        if let Err(error) = beaten.await {
            debug!(error = %error, "no sign of life can be given at the moment");
        }
    }
    if let Err(error) = process::leave(database.write(), &name).await {
        debug!(error = %error, "the process stays on the list");
    }
}

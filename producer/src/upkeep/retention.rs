//! Retention: removes what is finished and older than its kind allows, in small steps.

use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::jobs::Catalogue;
use ackord_entities::queue::retention;
use chrono::TimeDelta;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// How retention works.
#[derive(Clone, Debug)]
pub struct RetentionOptions {
    /// The time between two passes.
    pub interval: Duration,
    /// Jobs removed in one transaction: small, so that on SQLite nobody waits long for the writer.
    pub step: u32,
    /// How long audit entries and letters without a job are kept.
    pub loose: Duration,
}

impl Default for RetentionOptions {
    fn default() -> Self {
        Self { interval: Duration::from_secs(600), step: 200, loose: Duration::from_secs(90 * 24 * 3600) }
    }
}

/// Retention. Any number may run.
#[derive(Debug)]
pub struct Retention {
    database: Database,
    catalogue: Catalogue,
    options: RetentionOptions,
}

impl Retention {
    /// A retention that is not running yet.
    #[must_use]
    pub fn new(database: Database, catalogue: Catalogue, options: RetentionOptions) -> Self {
        Self { database, catalogue, options }
    }

    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            match self.pass(&stop).await {
                Ok(0) => {}
                Ok(removed) => info!(removed, "retention removed old rows"),
                Err(error) => error!(
                    error = ackord_entities::error_chain(&error),
                    "retention failed, it tries again later"
                ),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.options.interval) => {}
            }
        }
    }

    /// Removes everything that is due. Answers how many rows of jobs and loose ends went.
    ///
    /// # Errors
    /// Whatever the database answers; what was removed before stays removed.
    pub async fn pass(&self, stop: &CancellationToken) -> Result<u64, DbErr> {
        let now = self.database.clock().now(self.database.read()).await?;
        let age = |duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
        let mut removed = 0;
        for spec in self.catalogue.iter() {
            let Some(before) = now.checked_sub_signed(age(spec.retention)) else { continue };
            let mut last = None;
            while !stop.is_cancelled() {
                let found =
                    retention::finished(self.database.read(), spec.kind, before, last, self.options.step)
                        .await?;
                last = found.last().copied();
                if last.is_none() {
                    break;
                }
                let tx = self.database.begin_unlimited().await?;
                removed += retention::remove(&tx, &found).await? as u64;
                tx.commit().await?;
            }
        }
        if let Some(before) = now.checked_sub_signed(age(self.options.loose)) {
            while !stop.is_cancelled() {
                let tx = self.database.begin_unlimited().await?;
                let step = retention::remove_loose(&tx, now, before, self.options.step).await?;
                tx.commit().await?;
                removed += step;
                if step < u64::from(self.options.step) {
                    break;
                }
            }
        }
        Ok(removed)
    }
}

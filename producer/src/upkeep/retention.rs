//! Retention: removes what is finished and older than its kind allows, in small steps.

use std::collections::HashMap;
use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::{Catalogue, KindSpec};
use ackord_entities::queue::{retention, schedule_tick};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// Jobs of any kind that one look reads: some milliseconds.
const LOOK: u32 = 5_000;
/// Between two passes that begin with the oldest job. Those in between go on where the one before them ended, or a kind that is kept
/// for long would have all its jobs read again and again for the sake of the others.
const FROM_THE_OLDEST: TimeDelta = TimeDelta::hours(24);

/// How retention works.
#[derive(Clone, Debug)]
pub struct RetentionOptions {
    /// The time between two passes.
    pub interval: Duration,
    /// Jobs removed in one transaction: small, so that on SQLite nobody waits long for the writer.
    pub step: u32,
    /// How long such a transaction may take, before a server that fell silent meanwhile is noticed: its statements have no limits of
    /// their own.
    pub step_limit: Duration,
    /// How long audit entries and letters without a job are kept.
    pub loose: Duration,
    /// How long it is known what became of ticks that made no job. There may be one each second.
    pub ticks: Duration,
}

impl Default for RetentionOptions {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(600),
            step: 200,
            step_limit: Duration::from_secs(120),
            loose: Duration::from_secs(90 * 24 * 3600),
            ticks: Duration::from_secs(14 * 24 * 3600),
        }
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
        let mut walked = Walked::default();
        loop {
            match self.walk(&mut walked, &stop).await {
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
        self.walk(&mut Walked::default(), stop).await
    }

    async fn walk(&self, walked: &mut Walked, stop: &CancellationToken) -> Result<u64, DbErr> {
        let now = self.database.clock().now(self.database.read()).await?;
        let mut removed = 0;
        for spec in self.catalogue.iter() {
            removed += self.jobs(spec, walked, now, stop).await?;
        }
        Ok(removed + self.loose(now, stop).await? + self.ticks(now, stop).await?)
    }

    async fn jobs(
        &self,
        spec: &KindSpec,
        walked: &mut Walked,
        now: DateTime<Utc>,
        stop: &CancellationToken,
    ) -> Result<u64, DbErr> {
        let Some(before) = now.checked_sub_signed(age(spec.retention)) else { return Ok(0) };
        let (mut last, began) = walked.begin(spec.kind, now);
        let mut removed = 0;
        while !stop.is_cancelled() {
            let slice = retention::finished(self.database.read(), spec.kind, before, last, LOOK).await?;
            for old in slice.old.chunks(self.options.step.max(1) as usize) {
                removed += self.remove(old).await?;
            }
            if slice.last.is_none() {
                walked.end(spec.kind, last, began);
                break;
            }
            last = slice.last;
        }
        Ok(removed)
    }

    async fn loose(&self, now: DateTime<Utc>, stop: &CancellationToken) -> Result<u64, DbErr> {
        let Some(before) = now.checked_sub_signed(age(self.options.loose)) else { return Ok(0) };
        let mut removed = 0;
        while !stop.is_cancelled() {
            let step = self.remove_loose(now, before).await?;
            removed += step;
            if step < u64::from(self.options.step) {
                break;
            }
        }
        Ok(removed)
    }

    async fn ticks(&self, now: DateTime<Utc>, stop: &CancellationToken) -> Result<u64, DbErr> {
        let Some(before) = now.checked_sub_signed(age(self.options.ticks)) else { return Ok(0) };
        let mut removed = 0;
        while !stop.is_cancelled() {
            let step = self.remove_ticks(before).await?;
            removed += step;
            if step < u64::from(self.options.step) {
                break;
            }
        }
        Ok(removed)
    }

    async fn remove(&self, old: &[JobId]) -> Result<u64, DbErr> {
        let step = async {
            let tx = self.database.begin_unlimited().await?;
            let removed = retention::remove(&tx, old).await?;
            tx.commit().await?;
            Ok(removed as u64)
        };
        self.database.within(self.options.step_limit, step).await
    }

    async fn remove_ticks(&self, before: DateTime<Utc>) -> Result<u64, DbErr> {
        let step = async {
            let tx = self.database.begin_unlimited().await?;
            let removed = schedule_tick::remove_old(&tx, before, self.options.step).await?;
            tx.commit().await?;
            Ok(removed)
        };
        self.database.within(self.options.step_limit, step).await
    }

    async fn remove_loose(&self, now: DateTime<Utc>, before: DateTime<Utc>) -> Result<u64, DbErr> {
        let step = async {
            let tx = self.database.begin_unlimited().await?;
            let removed = retention::remove_loose(&tx, now, before, self.options.step).await?;
            tx.commit().await?;
            Ok(removed)
        };
        self.database.within(self.options.step_limit, step).await
    }
}

fn age(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// How far the passes have come: the last job that was looked at for each kind, and when the pass that began with the oldest one was.
#[derive(Debug, Default)]
struct Walked(HashMap<&'static str, (Option<JobId>, DateTime<Utc>)>);

impl Walked {
    /// Behind which job to begin, and what to hand back at the end.
    fn begin(&self, kind: &'static str, now: DateTime<Utc>) -> (Option<JobId>, DateTime<Utc>) {
        match self.0.get(kind) {
            Some((last, began)) if now - *began < FROM_THE_OLDEST => (*last, *began),
            _ => (None, now),
        }
    }

    fn end(&mut self, kind: &'static str, last: Option<JobId>, began: DateTime<Utc>) {
        self.0.insert(kind, (last, began));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    #[test]
    fn a_pass_goes_on_where_the_last_one_ended_and_begins_anew_after_a_day() {
        let mut walked = Walked::default();
        let job = JobId::new();
        assert_eq!(walked.begin("tea", at(0)), (None, at(0)));
        walked.end("tea", Some(job), at(0));
        assert_eq!(walked.begin("tea", at(23)), (Some(job), at(0)));
        assert_eq!(walked.begin("milk", at(23)), (None, at(23)), "each kind by itself");
        walked.end("tea", Some(job), at(0));
        assert_eq!(walked.begin("tea", at(24)), (None, at(24)));
    }
}

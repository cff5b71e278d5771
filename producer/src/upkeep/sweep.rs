//! The sweeper: puts back the jobs of workers that died or froze, and clears what is recorded of suspects that have ended.

use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::fault;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::OnDuplicate;
use ackord_entities::queue::attempt::{self, Outcome};
use ackord_entities::queue::job::{ErrorText, Transition};
use ackord_entities::queue::outbox::{Cause, NewMessage};
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{dedup, job, lease, outbox, suspect};
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::doorbell::Doorbell;

/// Jobs put back in one transaction.
const BATCH: u32 = 100;

/// How the sweeper works.
#[derive(Clone, Debug)]
pub struct SweeperOptions {
    /// The time between two looks.
    pub interval: Duration,
}

impl Default for SweeperOptions {
    fn default() -> Self {
        Self { interval: Duration::from_secs(5) }
    }
}

/// The sweeper. Any number may run: the rows they work on are locked.
#[derive(Debug)]
pub struct Sweeper {
    database: Database,
    doorbell: Doorbell,
    options: SweeperOptions,
}

impl Sweeper {
    /// A sweeper that is not running yet.
    #[must_use]
    pub fn new(database: Database, doorbell: Doorbell, options: SweeperOptions) -> Self {
        Self { database, doorbell, options }
    }

    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut failing = false;
        loop {
            match self.sweep().await {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    error!(
                        error = ackord_entities::error_chain(&error),
                        "expired leases and ended suspects cannot be swept"
                    );
                }
                Err(_) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.options.interval) => {}
            }
        }
    }

    async fn sweep(&self) -> Result<(), DbErr> {
        put_back_expired(&self.database, &self.doorbell).await?;
        let now = self.database.clock().now(self.database.read()).await?;
        // A start that was recorded while another worker ended the job has nobody who would answer for it.
        suspect::sweep(self.database.read(), self.database.write(), now).await?;
        Ok(())
    }
}

/// Puts back every job whose run lease has expired: `pending` again with the next seq, so that the worker that had it is late
/// whenever it wakes up. The lost attempt counts; whether it was the last one is decided by the worker that gets the message.
/// Answers how many were put back.
///
/// # Errors
/// Whatever the database answers.
pub async fn put_back_expired(database: &Database, doorbell: &Doorbell) -> Result<usize, DbErr> {
    let mut total = 0;
    loop {
        let now = database.clock().now(database.read()).await?;
        let expired = lease::expired_runs(database.read(), now, BATCH).await?;
        if expired.is_empty() {
            return Ok(total);
        }
        let put_back = database.within_limit(put_back(database, &expired)).await?;
        doorbell.ring();
        total += put_back;
        if put_back == 0 {
            // All were renewed meanwhile; the next look finds what is left.
            return Ok(total);
        }
    }
}

async fn put_back(database: &Database, jobs: &[JobId]) -> Result<usize, DbErr> {
    let tx = database.begin().await?;
    let now = database.clock().now(&tx).await?;
    let rows = job::lock(&tx, jobs).await?;
    // Renewed between the look and the lock: alive after all.
    let ids = lease::lock_expired_runs(&tx, jobs, now).await?;
    let lost: Vec<_> = rows.into_iter().filter(|row| ids.contains(&row.id)).collect();
    let error = ErrorText {
        code: "lease_expired".to_owned(),
        operator: "the worker did not renew its lease: it died, froze or lost the database".to_owned(),
        public: "the worker was lost".to_owned(),
    };
    let running: Vec<_> = lost.iter().filter(|row| row.state == JobState::Running).collect();
    let transitions: Vec<Transition> = running
        .iter()
        .map(|row| Transition {
            id: row.id,
            seq: row.seq,
            next_seq: row.seq + 1,
            state: JobState::Pending,
            attempt: row.attempt,
            deferrals: row.deferrals,
            started_at: None,
            error: Some(error.clone()),
            result: None,
        })
        .collect();
    job::transition(&tx, &transitions, now).await?;
    attempt::end_running(&tx, &ids, Outcome::Lost, &error, now).await?;
    let mut messages = Vec::new();
    for row in &running {
        let Some(model) = job::find(&tx, row.id).await? else { continue };
        if let Some(key) = &row.dedup_key {
            // The claim released it. Should somebody else hold it by now, the lease keeps the two apart.
            dedup::take(&tx, &model.kind, key, row.id, OnDuplicate::Drop).await?;
        }
        warn!(job.id = %row.id, job.kind = model.kind, job.attempt = row.attempt, "a lease expired, the job is put back");
        messages.push(NewMessage {
            job_id: row.id,
            kind: model.kind,
            seq: row.seq + 1,
            cause: Cause::LeaseExpired,
            reason: Some(error.operator.clone()),
            waits_for: None,
            due_at: now,
        });
    }
    outbox::put(&tx, &messages, now).await?;
    let freed = lease::free(&tx, &ids).await?;
    outbox::wake_waiters(&tx, &freed, now).await?;
    fault::point("put_back_before_commit");
    tx.commit().await?;
    fault::point("put_back_after_commit");
    Ok(ids.len())
}

//! Hand-over kinds: the claim is committed, then the delivery is acknowledged, and from then on the lease answers for the job.

use ackord_entities::clock::later;
use ackord_entities::fault;
use ackord_entities::queue::attempt::{self, Outcome as AttemptOutcome, Record};
use ackord_entities::queue::job::{self, Fence, Transition};
use ackord_entities::queue::lease::{self, Held, Taken};
use ackord_entities::queue::outbox::{Cause, NewMessage};
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{dedup, outbox};
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};
use tracing::{debug, info};

use super::desk::lock_one;
use super::fence::{Verdict, judge};
use super::flush::{COMMIT_LIMIT, Flusher, Mode, guarded};
use super::item::{Error, Expect, Item, Started, Work};
use super::rows::Rows;
use super::settle::Answer;
use crate::error::JobError;
use crate::handler::Tx;

/// How a claim came out.
pub(crate) enum Claimed {
    /// The job runs now; its delivery is acknowledged.
    Yes(Item),
    /// It does not: the item says why, and the commit deals with it.
    No(Item),
    /// It was put off until a lease is free; its delivery is acknowledged.
    PutOff,
}

enum Step {
    Claimed { seq: i32, held: Vec<Held>, started_at: DateTime<Utc> },
    PutOff,
    NotNow,
}

impl Flusher {
    /// Claims a job: `running`, its leases, the domain's own mark, the next seq (so that a redelivery is stale).
    ///
    /// # Errors
    /// The database; nothing happened.
    pub(crate) async fn claim(
        &self,
        mut item: Item,
        lease_key: Option<&str>,
    ) -> Result<Claimed, (Item, DbErr)> {
        let step = match self
            .shared
            .database
            .within(COMMIT_LIMIT, self.claim_in_transaction(&item, lease_key))
            .await
        {
            Ok(step) => step,
            Err(JobError::Unavailable { operator, .. }) => return Err((item, DbErr::Custom(operator))),
            Err(error) => {
                item.work = Work::Errored(Error::errored(error));
                return Ok(Claimed::No(item));
            }
        };
        let Expect::Delivery(tag, settlements) = &item.expect else { return Ok(Claimed::No(item)) };
        match step {
            Step::NotNow => Ok(Claimed::No(item)),
            Step::PutOff => {
                settlements.settle(&[(*tag, Answer::Ack)]);
                Ok(Claimed::PutOff)
            }
            Step::Claimed { seq, held, started_at } => {
                fault::point_of("after_claim_before_ack", self.handler.spec().kind);
                settlements.settle(&[(*tag, Answer::Ack)]);
                item.expect = Expect::Claim { seq, held };
                item.message.seq = Some(seq);
                item.started = Some(Started::At(started_at));
                Ok(Claimed::Yes(item))
            }
        }
    }

    async fn claim_in_transaction(&self, item: &Item, lease_key: Option<&str>) -> Result<Step, JobError> {
        let (Some(id), Some(turn)) = (item.id, &item.turn) else { return Ok(Step::NotNow) };
        let tx = self.shared.database.begin().await?;
        let Rows { mut fences, now, .. } =
            self.lock_rows(&tx, std::slice::from_ref(item), Mode::Savepoints).await?;
        let row = fences.remove(&id);
        let is_turn = judge(item.message.seq, row.as_ref(), self.handler.spec()) == Verdict::Turn;
        let Some(row) = row.filter(|row| is_turn && !row.cancel_requested && row.attempt < row.max_attempts)
        else {
            // Stale, called off or used up: the commit knows what to do.
            return Ok(Step::NotNow);
        };
        let expires_at = later(now, self.shared.lease);
        let mut held = Vec::new();
        for key in [Some(lease::run_key(id)), lease_key.map(str::to_owned)].into_iter().flatten() {
            match lease::acquire(&tx, &key, id, now, expires_at).await? {
                Ok(lease) => held.push(lease),
                Err(taken) => {
                    tx.rollback().await?;
                    return self.put_off(&row, &key, &taken).await;
                }
            }
        }
        // Whoever asked for another run before this one began is served by this one.
        dedup::release(&tx, &[id]).await?;
        guarded(self.handler.accept(turn, &Tx::new(&tx, now))).await?;
        let running = self.mark_running(&tx, &row, now).await?;
        fault::point_of("claim_before_commit", self.handler.spec().kind);
        tx.commit().await?;
        self.shared.notices.moved(self.handler.spec().kind, &running, None, now);
        debug!(job.kind = self.handler.spec().kind, job.id = %id, "a job was claimed");
        Ok(Step::Claimed { seq: row.seq + 1, held, started_at: now })
    }

    async fn mark_running(
        &self,
        tx: &DatabaseTransaction,
        row: &Fence,
        now: DateTime<Utc>,
    ) -> Result<Transition, DbErr> {
        let transition = Transition {
            next_seq: row.seq + 1,
            state: JobState::Running,
            attempt: row.attempt + 1,
            started_at: Some(now),
            ..unchanged(row)
        };
        if job::transition(tx, std::slice::from_ref(&transition), now).await? != 1 {
            return Err(DbErr::RecordNotUpdated);
        }
        let record = Record {
            job_id: row.id,
            attempt: row.attempt + 1,
            seq: row.seq + 1,
            worker: self.shared.name.clone(),
            outcome: AttemptOutcome::Running,
            error: None,
            started_at: now,
        };
        attempt::record(tx, &[record], now).await?;
        Ok(transition)
    }

    /// Somebody else has the lease: come back when it is free, at the latest when it would expire.
    async fn put_off(&self, row: &Fence, key: &str, taken: &Taken) -> Result<Step, JobError> {
        let deferrals = row.deferrals + 1;
        if deferrals.unsigned_abs() > self.handler.spec().max_deferred {
            return Err(JobError::deferred(
                self.shared.lease,
                format!("the lease {key} is held by job {}", taken.owner),
            ));
        }
        let tx = self.shared.database.begin().await?;
        let now = self.shared.database.clock().now(&tx).await?;
        let Some(row) = lock_one(&tx, row.id)
            .await?
            .filter(|now| now.seq == row.seq && now.state == JobState::Pending && !now.cancel_requested)
        else {
            return Ok(Step::NotNow);
        };
        // Freed in between: its waiters were woken before this one waited. Locked: it cannot be freed before this one waits.
        let is_free = lease::lock(&tx, key).await?.is_none_or(|lease| lease.owner.is_none());
        let due_at = if is_free { now } else { taken.expires_at.max(now) };
        let transition = Transition { next_seq: row.seq + 1, deferrals, ..unchanged(&row) };
        job::transition(&tx, std::slice::from_ref(&transition), now).await?;
        let message = NewMessage {
            job_id: row.id,
            kind: self.handler.spec().kind.to_owned(),
            seq: row.seq + 1,
            cause: Cause::Deferral,
            reason: Some(format!("the lease {key} is held by job {}", taken.owner)),
            waits_for: Some(key.to_owned()),
            due_at,
        };
        outbox::put(&tx, std::slice::from_ref(&message), now).await?;
        tx.commit().await?;
        self.shared.doorbell.ring();
        self.shared.notices.moved(self.handler.spec().kind, &transition, Some(&message), now);
        self.shared.meter(self.handler.spec().kind).deferred();
        info!(job.kind = self.handler.spec().kind, job.id = %row.id, lease = key, holder = %taken.owner, "a job waits for a lease");
        Ok(Step::PutOff)
    }

    /// Renews the leases of a claim until one of them is lost.
    pub(crate) async fn keep_leases(&self, held: &[Held]) {
        let pause = self.shared.lease / 3;
        let mut valid_until = tokio::time::Instant::now() + self.shared.lease;
        loop {
            tokio::time::sleep(pause).await;
            match self.renew(held).await {
                Ok(renewed) if renewed == held.len() => {
                    valid_until = tokio::time::Instant::now() + self.shared.lease;
                }
                // The database is away. Until the lease is over by our own count it is still ours.
                Err(_) if tokio::time::Instant::now() < valid_until => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    async fn renew(&self, held: &[Held]) -> Result<usize, DbErr> {
        let database = &self.shared.database;
        let now = database.clock().now(database.read()).await?;
        let expires_at = later(now, self.shared.lease);
        Ok(lease::renew(database.write(), held, expires_at).await?.len())
    }
}

fn unchanged(row: &Fence) -> Transition {
    Transition {
        id: row.id,
        seq: row.seq,
        next_seq: row.seq,
        state: row.state,
        attempt: row.attempt,
        deferrals: row.deferrals,
        started_at: None,
        error: None,
        result: None,
    }
}

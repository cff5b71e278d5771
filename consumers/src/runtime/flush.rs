//! The transaction: claims every job of a group by the fence, runs the commit halves, writes what became of each.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ackord_entities::error_chain;
use ackord_entities::fault;
use ackord_entities::ids::JobId;
use ackord_entities::queue::job::Fence;
use ackord_entities::queue::lease::Held;
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{dedup, lease, outbox};
use chrono::{DateTime, Utc};
use futures::FutureExt;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, TransactionTrait};
use tracing::info;

use super::desk::{Case, Decided, Desk};
use super::fence::{Verdict, judge};
use super::item::{Error, Expect, Item, Work};
use super::perform::panicked;
use super::rows::Rows;
use super::settle::Answer;
use super::shared::Shared;
use crate::error::JobError;
use crate::handler::{Failure, Outcome, Tx};
use crate::registry::{AnyOutput, AnyTurn, ErasedHandler};

/// A commit half is short. One that takes longer holds up its whole group, and on SQLite everybody.
pub(super) const COMMIT_LIMIT: Duration = Duration::from_secs(30);

/// How a transaction keeps its jobs apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Not at all: the happy path.
    Group,
    /// A savepoint for each job's commit half.
    Savepoints,
}

/// Why a transaction was rolled back.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The database: nobody's fault, unless it happens again and again in the same commit half.
    Database {
        /// What it said.
        error: DbErr,
        /// Whether commit halves were at work, or their writes were being committed.
        in_handler: bool,
    },
    /// A commit half of a group.
    Handler(JobError),
}

impl From<DbErr> for Trouble {
    fn from(error: DbErr) -> Self {
        Self::Database { error, in_handler: false }
    }
}

/// Runs transactions for one kind.
#[derive(Clone)]
pub(crate) struct Flusher {
    pub(crate) shared: Arc<Shared>,
    pub(crate) handler: Arc<dyn ErasedHandler>,
}

/// A job whose commit half runs now.
struct Ready<'i> {
    case: Case<'i>,
    turn: Cow<'i, AnyTurn>,
    output: AnyOutput,
}

impl Flusher {
    /// One transaction over `items`, which are different jobs. The answers stand in the order of the items; a claim has none.
    ///
    /// # Errors
    /// [`Trouble`]: everything was rolled back.
    pub(crate) async fn once(&self, items: &[Item], mode: Mode) -> Result<Vec<Option<Answer>>, Trouble> {
        let halves = match mode {
            Mode::Group => 1,
            Mode::Savepoints => u32::try_from(items.len()).unwrap_or(u32::MAX),
        };
        // Boxed: it is large, and what waits for it would be as large again and again.
        let transaction = Box::pin(self.transaction(items, mode));
        let transaction = self.shared.database.within(COMMIT_LIMIT * halves, transaction);
        let (answers, made_due) = outbox::noticing(transaction).await;
        if made_due && answers.is_ok() {
            self.shared.doorbell.ring();
        }
        answers
    }

    async fn transaction(&self, items: &[Item], mode: Mode) -> Result<Vec<Option<Answer>>, Trouble> {
        let (began, kind) = (Instant::now(), self.handler.spec().kind);
        let tx = self.shared.database.begin().await?;
        let Rows { fences: rows, ended_ahead, now } = self.lock_rows(&tx, items, mode).await?;
        let held = verify_leases(&tx, items).await?;
        fault::point_of("claimed_in_transaction", kind);
        let mut desk = Desk::new(self, &tx, now, items.len(), ended_ahead);
        let mut ready = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let row = item.id.and_then(|id| rows.get(&id));
            desk.clear_if_ended(item, row);
            let (verdict, row) = match &item.expect {
                Expect::Claim { seq, held: wanted } => {
                    let row = row.filter(|row| is_ours(row, *seq, wanted, &held));
                    (if row.is_some() { Verdict::Turn } else { Verdict::Done }, row)
                }
                Expect::Delivery(..) => (judge(item.message.seq, row, self.handler.spec()), row),
            };
            match (verdict, row) {
                (Verdict::Turn, Some(row)) => {
                    self.turn(&mut desk, &mut ready, Case { index, item, row }).await?;
                }
                (verdict, _) if item.is_delivery() => desk.not_its_turn(index, item, verdict),
                _ => {
                    info!(job.kind = kind, job.id = ?item.id, "a late worker's result is dropped");
                }
            }
        }
        self.commit_halves(&mut desk, ready, mode).await?;
        let notices = self.shared.notices.of(kind, desk.ledger(), items, now);
        let Decided { answers, tally } = desk.write().await?;
        fault::point_of("before_commit", kind);
        tx.commit().await.map_err(refused_commit)?;
        fault::point_of("after_commit_before_ack", kind);
        self.shared.notices.tell(notices);
        self.shared.meter(kind).committed(&tally, items.len(), began.elapsed());
        Ok(answers)
    }

    /// It is the job's turn: what is there to do about it?
    async fn turn<'i>(
        &self,
        desk: &mut Desk<'_>,
        ready: &mut Vec<Ready<'i>>,
        case: Case<'i>,
    ) -> Result<(), Trouble> {
        if case.row.cancel_requested {
            return desk.cancelled(case).await;
        }
        let is_delivery = case.item.is_delivery();
        if is_delivery && case.row.attempt >= case.row.max_attempts {
            return desk.used_up(case).await;
        }
        match (&case.item.work, &case.item.turn) {
            (Work::Done(output), Some(turn)) => {
                ready.push(Ready { case, turn: Cow::Borrowed(turn), output: Arc::clone(output) });
            }
            (Work::Unperformed, Some(turn)) if !self.handler.spec().performs && is_delivery => {
                // Nobody looked at its row before, so only now its number is known.
                let turn = match case.row.attempt.unsigned_abs() {
                    0 => Cow::Borrowed(turn),
                    before => Cow::Owned(self.handler.as_attempt(turn, before + 1)),
                };
                ready.push(Ready { case, turn, output: self.handler.no_output() });
            }
            (Work::Errored(error), _) => desk.errored(case, error).await?,
            (Work::GiveUp(reason, failure), _) => desk.given_up(case, *reason, failure).await?,
            (Work::NewerVersion(failure), _) => desk.newer_version(case, failure).await?,
            (Work::Done(_) | Work::Unperformed | Work::HandBack, _) => desk.handed_back(case).await?,
        }
        Ok(())
    }

    async fn commit_halves(
        &self,
        desk: &mut Desk<'_>,
        ready: Vec<Ready<'_>>,
        mode: Mode,
    ) -> Result<(), Trouble> {
        if ready.is_empty() {
            return Ok(());
        }
        match mode {
            Mode::Group => self.commit_group(desk, ready).await,
            Mode::Savepoints => self.commit_apart(desk, ready).await,
        }
    }

    async fn commit_group(&self, desk: &mut Desk<'_>, ready: Vec<Ready<'_>>) -> Result<(), Trouble> {
        let holders: Vec<JobId> =
            ready.iter().filter(|one| one.case.row.dedup_key.is_some()).map(|one| one.case.row.id).collect();
        desk.released(dedup::release(desk.tx, &holders).await?);
        let work: Vec<(&AnyTurn, &AnyOutput)> = ready.iter().map(|one| (&*one.turn, &one.output)).collect();
        let outcomes =
            guarded(self.handler.commit_group(&work, &Tx::new(desk.tx, desk.now))).await.map_err(trouble)?;
        if outcomes.len() != ready.len() {
            return Err(Trouble::Handler(JobError::Permanent(Failure::new(
                "wrong_number_of_outcomes",
                format!("commit_group answered {} outcomes for {} jobs", outcomes.len(), ready.len()),
            ))));
        }
        for (one, outcome) in ready.into_iter().zip(outcomes) {
            desk.outcome(one.case, outcome).await?;
        }
        Ok(())
    }

    async fn commit_apart(&self, desk: &mut Desk<'_>, ready: Vec<Ready<'_>>) -> Result<(), Trouble> {
        for one in ready {
            match self.commit_one(desk.tx, desk.now, &one).await {
                Ok((outcome, released)) => {
                    desk.released(released);
                    desk.outcome(one.case, outcome).await?;
                }
                Err(error @ JobError::Unavailable { .. }) => return Err(trouble(error)),
                Err(error) => desk.errored(one.case, &Error::errored(error)).await?,
            }
        }
        Ok(())
    }

    /// One job's commit half in a savepoint. Its constraints are checked before the savepoint is released, so that a
    /// deferred one cannot fail the others at the end.
    async fn commit_one(
        &self,
        tx: &DatabaseTransaction,
        now: DateTime<Utc>,
        one: &Ready<'_>,
    ) -> Result<(Outcome, Vec<dedup::Released>), JobError> {
        let savepoint = tx.begin().await?;
        let result = async {
            let holder = one.case.row.dedup_key.is_some().then_some(one.case.row.id);
            let released = dedup::release(&savepoint, holder.as_slice()).await?;
            let outcome =
                guarded(self.handler.commit(&one.turn, &one.output, &Tx::new(&savepoint, now))).await?;
            if savepoint.get_database_backend() == DbBackend::Postgres {
                savepoint.execute_unprepared("SET CONSTRAINTS ALL IMMEDIATE").await?;
                savepoint.execute_unprepared("SET CONSTRAINTS ALL DEFERRED").await?;
            }
            Ok((outcome, released))
        }
        .await;
        match result {
            Ok(done) => {
                savepoint.commit().await?;
                Ok(done)
            }
            Err(error) => match savepoint.rollback().await {
                Ok(()) => Err(error),
                // The whole transaction is gone, as SQLite does it when the disk is full: not this job's fault.
                Err(gone) => Err(JobError::Unavailable { operator: error_chain(&gone), conflict: false }),
            },
        }
    }
}

/// A commit fails for a job's sake only where one of its constraints was deferred. Anything else is the database's.
fn refused_commit(error: DbErr) -> Trouble {
    if error.sql_err().is_some() {
        return Trouble::Database { error, in_handler: true };
    }
    Trouble::Database { error: DbErr::Custom(error_chain(&error)), in_handler: false }
}

/// A lost connection may be the half's own doing; a conflict never is.
pub(super) fn trouble(error: JobError) -> Trouble {
    match error {
        JobError::Unavailable { operator, conflict } => {
            Trouble::Database { error: DbErr::Custom(operator), in_handler: !conflict }
        }
        error => Trouble::Handler(error),
    }
}

/// Whether the claim is still ours: the row says so, and so do all its leases.
fn is_ours(row: &Fence, seq: i32, wanted: &[Held], held: &[String]) -> bool {
    row.state == JobState::Running && row.seq == seq && wanted.iter().all(|lease| held.contains(&lease.key))
}

async fn verify_leases(tx: &DatabaseTransaction, items: &[Item]) -> Result<Vec<String>, DbErr> {
    let wanted: Vec<Held> = items
        .iter()
        .filter_map(|item| match &item.expect {
            Expect::Claim { held, .. } => Some(held.clone()),
            Expect::Delivery(..) => None,
        })
        .flatten()
        .collect();
    lease::verify(tx, &wanted).await
}

/// Contains what a handler's short half may do instead of answering: panic, or never come back.
pub(super) async fn guarded<T>(half: impl Future<Output = Result<T, JobError>>) -> Result<T, JobError> {
    match tokio::time::timeout(COMMIT_LIMIT, AssertUnwindSafe(half).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(panicked(&*panic)),
        Err(_elapsed) => Err(JobError::Transient(Failure::new(
            "commit_timed_out",
            format!("the commit half took longer than {} s", COMMIT_LIMIT.as_secs()),
        ))),
    }
}

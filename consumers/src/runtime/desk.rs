//! Where each job of a transaction is dealt with: one function for each thing that can become of it.

use std::collections::HashSet;
use std::time::Duration;

use ackord_entities::clock::later;
use ackord_entities::database::{Fault, classify, timed_out};
use ackord_entities::error_chain;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::{KindSpec, OnDuplicate};
use ackord_entities::queue::attempt::{self, Outcome as AttemptOutcome, Record};
use ackord_entities::queue::dead_letter::{NewLetter, Reason};
use ackord_entities::queue::dedup::{self, Released};
use ackord_entities::queue::job::{self, ErrorText, Fence, Transition};
use ackord_entities::queue::outbox::{Cause, NewMessage};
use ackord_entities::queue::state::JobState;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DatabaseTransaction, DbErr, TransactionTrait};
use tracing::{error, info, warn};

use super::fence::Verdict;
use super::flush::{Flusher, Trouble, guarded, trouble};
use super::item::{Error, Item, Work};
use super::ledger::Ledger;
use super::settle::Answer;
use crate::error::{JobError, LONGEST_WAIT, Until};
use crate::handler::{End, EndKind, Failure, Outcome, Tx};
use crate::metrics::Tally;

/// How long a payload of a newer version waits for a program that can read it, and how often it is looked at.
const NEWER_VERSION_PATIENCE: TimeDelta = TimeDelta::hours(1);
const NEWER_VERSION_LOOK: TimeDelta = TimeDelta::minutes(1);

/// A job whose turn it is.
#[derive(Clone, Copy)]
pub(super) struct Case<'i> {
    pub(super) index: usize,
    pub(super) item: &'i Item,
    pub(super) row: &'i Fence,
}

impl Case<'_> {
    fn is_claim(&self) -> bool {
        !self.item.is_delivery()
    }

    /// The number of this attempt: a claim has counted it already.
    fn attempt(&self) -> i32 {
        if self.is_claim() { self.row.attempt } else { self.row.attempt + 1 }
    }
}

/// The desk of one transaction.
pub(super) struct Desk<'t> {
    flusher: &'t Flusher,
    pub(super) tx: &'t DatabaseTransaction,
    pub(super) now: DateTime<Utc>,
    ledger: Ledger,
    answers: Vec<Option<Answer>>,
    /// For each success, the seconds since its publishing.
    waits: Vec<f64>,
    run_again: Vec<Released>,
}

/// What a transaction has decided.
pub(super) struct Decided {
    /// What the broker is to be told after the commit, in the order of the items.
    pub(super) answers: Vec<Option<Answer>>,
    /// The same in numbers.
    pub(super) tally: Tally,
}

impl<'t> Desk<'t> {
    pub(super) fn new(
        flusher: &'t Flusher,
        tx: &'t DatabaseTransaction,
        now: DateTime<Utc>,
        items: usize,
        ended_ahead: HashSet<JobId>,
    ) -> Self {
        Self {
            flusher,
            tx,
            now,
            ledger: Ledger { ended_ahead, ..Ledger::default() },
            answers: vec![None; items],
            waits: Vec::new(),
            run_again: Vec::new(),
        }
    }

    /// What was decided so far.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Writes all decisions.
    pub(super) async fn write(self) -> Result<Decided, DbErr> {
        let tally = Tally::of(&self.ledger, self.waits);
        self.ledger.write(self.tx, self.now).await?;
        Ok(Decided { answers: self.answers, tally })
    }

    fn spec(&self) -> &'t KindSpec {
        self.flusher.handler.spec()
    }

    /// A delivery that is not the job's current message, or of a job that is not there.
    pub(super) fn not_its_turn(&mut self, index: usize, item: &Item, verdict: Verdict) {
        let answer = match verdict {
            Verdict::Done => Answer::Ack,
            Verdict::RejectAgain => Answer::Reject,
            Verdict::GiveUp(reason) => {
                let failure = match &item.work {
                    Work::GiveUp(_, failure) => failure.clone(),
                    _ => explain(reason, self.spec().kind),
                };
                let reason = if let Work::GiveUp(reason, _) = &item.work { *reason } else { reason };
                warn!(job.kind = self.spec().kind, job.id = ?item.id, reason = %reason, "a message is given up: {}", failure.operator);
                self.letter(item, item.message.seq, reason, &(&failure).into(), 0, None);
                Answer::Reject
            }
            // Its row was made a moment ago in this transaction, or its turn has no row: neither can be.
            Verdict::Turn | Verdict::MakeRow => self.give_up_unreadable(item),
        };
        self.answers[index] = Some(answer);
    }

    /// Clears what is recorded of a suspect that has ended. Of one that has merely moved on the record is still needed.
    pub(super) fn clear_if_ended(&mut self, item: &Item, row: Option<&Fence>) {
        let has_ended = row.is_some_and(|row| row.state.is_end());
        self.ledger.cleared.extend(item.id.filter(|_| item.was_suspect && has_ended));
    }

    /// A message that cannot be used and has no row: kept with its bytes.
    fn give_up_unreadable(&mut self, item: &Item) -> Answer {
        let Work::GiveUp(reason, failure) = &item.work else { return Answer::HandBack };
        warn!(job.kind = self.spec().kind, reason = %reason, "a message is given up: {}", failure.operator);
        self.letter(item, item.message.seq, *reason, &failure.into(), 0, None);
        Answer::Reject
    }

    /// The commit half has answered.
    pub(super) async fn outcome(&mut self, case: Case<'_>, outcome: Outcome) -> Result<(), Trouble> {
        match outcome {
            Outcome::Succeeded { result } => {
                let mut transition = self.transition(case, JobState::Succeeded);
                transition.attempt = case.attempt();
                transition.result = result.map(|result| result.to_string());
                self.waits.push((self.now - case.row.created_at).as_seconds_f64());
                if case.is_claim() {
                    self.attempt(case, AttemptOutcome::Succeeded, None);
                }
                self.end(case, transition);
            }
            // What the half wrote about its failure stays, so there is nothing to abandon.
            Outcome::Failed(failure) => {
                let error: ErrorText = (&failure).into();
                info!(job.kind = self.spec().kind, job.id = %case.row.id, error.code = error.code, "a job failed: {}", error.operator);
                self.attempt(case, AttemptOutcome::Failed, Some(error.clone()));
                let mut transition = self.transition(case, JobState::Failed);
                transition.attempt = case.attempt();
                transition.error = Some(error);
                self.end(case, transition);
            }
        }
        self.publish_again(case).await
    }

    /// One of the halves, or the claim, went wrong; nothing of it is in this transaction.
    pub(super) async fn errored(&mut self, case: Case<'_>, error: &Error) -> Result<(), Trouble> {
        match &error.error {
            JobError::Transient(failure) => self.retry(case, error.outcome, failure, Duration::ZERO).await,
            JobError::TransientAfter { failure, wait } => {
                self.retry(case, error.outcome, failure, *wait.min(&LONGEST_WAIT)).await
            }
            JobError::Deferred { until, reason } => self.deferred(case, *until, reason).await,
            JobError::Permanent(failure) => {
                self.attempt(case, error.outcome, Some(failure.into()));
                self.dead(case, case.attempt(), Reason::Permanent, failure).await
            }
            JobError::Failed(failure) => {
                self.attempt(case, AttemptOutcome::Failed, Some(failure.into()));
                let end = End { kind: EndKind::Failed, error: failure.clone() };
                self.end_badly(case, JobState::Failed, case.attempt(), &end).await?;
                self.answers[case.index] = case.item.is_delivery().then_some(Answer::Ack);
                Ok(())
            }
            unavailable @ JobError::Unavailable { .. } => Err(trouble(unavailable.clone())),
        }
    }

    /// The next attempt, after the kind's backoff and not before `least`; or the end, if this was the last one.
    async fn retry(
        &mut self,
        case: Case<'_>,
        outcome: AttemptOutcome,
        failure: &Failure,
        least: Duration,
    ) -> Result<(), Trouble> {
        let attempt = case.attempt();
        if attempt >= case.row.max_attempts {
            self.attempt(case, outcome, Some(failure.into()));
            return self.dead(case, attempt, Reason::AttemptsExhausted, failure).await;
        }
        let delay = self.spec().backoff.delay_after(attempt.unsigned_abs()).max(least);
        let due_at = later(self.now, delay);
        warn!(
            job.kind = self.spec().kind, job.id = %case.row.id, job.attempt = attempt, error.code = failure.code, due_at = %due_at,
            "an attempt failed, the job is retried: {}", failure.operator
        );
        self.attempt(case, outcome, Some(failure.into()));
        let mut transition = self.transition(case, JobState::Pending);
        transition.attempt = attempt;
        transition.error = Some(failure.into());
        self.again(case, transition, Cause::Retry, failure.public.clone(), due_at).await
    }

    async fn deferred(&mut self, case: Case<'_>, until: Until, reason: &str) -> Result<(), Trouble> {
        let deferrals = case.row.deferrals + 1;
        if deferrals.unsigned_abs() > self.spec().max_deferred {
            let text = format!("deferred {} times, the last time because: {reason}", case.row.deferrals);
            let failure = Failure::new("deferred_too_long", text);
            return self.dead(case, case.row.attempt, Reason::DeferredTooLong, &failure).await;
        }
        let due_at = match until {
            Until::At(time) => time,
            Until::In(wait) => later(self.now, wait),
        };
        self.put_off(case, AttemptOutcome::Deferred, Cause::Deferral, reason, due_at).await
    }

    /// The job comes back later and nothing counts against it.
    async fn put_off(
        &mut self,
        case: Case<'_>,
        outcome: AttemptOutcome,
        cause: Cause,
        reason: &str,
        due_at: DateTime<Utc>,
    ) -> Result<(), Trouble> {
        let mut transition = self.transition(case, JobState::Pending);
        if case.is_claim() {
            // The claim has counted an attempt that was none.
            let text = ErrorText {
                code: "put_off".to_owned(),
                operator: reason.to_owned(),
                public: reason.to_owned(),
            };
            self.attempt(case, outcome, Some(text));
            transition.attempt = case.row.attempt - 1;
        }
        if cause == Cause::Deferral {
            transition.deferrals = case.row.deferrals + 1;
        }
        self.again(case, transition, cause, reason.to_owned(), due_at).await
    }

    /// Writes the job's next message, with the next seq.
    async fn again(
        &mut self,
        case: Case<'_>,
        mut transition: Transition,
        cause: Cause,
        reason: String,
        due_at: DateTime<Utc>,
    ) -> Result<(), Trouble> {
        transition.next_seq = case.row.seq + 1;
        if let (true, Some(key)) = (case.is_claim(), &case.row.dedup_key) {
            // The claim released it. Should somebody else hold it by now, the lease keeps the two apart.
            dedup::take(self.tx, self.spec().kind, key, case.row.id, OnDuplicate::Drop).await?;
        }
        self.ledger.messages.push(NewMessage {
            job_id: case.row.id,
            kind: self.spec().kind.to_owned(),
            seq: transition.next_seq,
            cause,
            reason: Some(reason),
            waits_for: None,
            due_at,
        });
        self.end(case, transition);
        Ok(())
    }

    /// A newer program wrote it. Somebody should know, and a rolling deploy should not lose it.
    pub(super) async fn newer_version(&mut self, case: Case<'_>, failure: &Failure) -> Result<(), Trouble> {
        let looks = attempt::of_job(self.tx, case.row.id).await?;
        let first_look = looks.iter().find(|look| look.error_code.as_deref() == Some(&failure.code));
        if first_look.is_none() {
            self.attempt(case, AttemptOutcome::Deferred, Some(failure.into()));
        }
        if first_look.is_some_and(|look| self.now - look.started_at >= NEWER_VERSION_PATIENCE) {
            return self.dead(case, case.row.attempt, Reason::NewerVersion, failure).await;
        }
        error!(job.kind = self.spec().kind, job.id = %case.row.id, "a job waits for a newer program: {}", failure.operator);
        let due_at = self.now + NEWER_VERSION_LOOK;
        self.put_off(case, AttemptOutcome::Deferred, Cause::Deferral, &failure.operator, due_at).await
    }

    /// The message cannot be used, and it is the current one of its job: the job ends with it.
    pub(super) async fn given_up(
        &mut self,
        case: Case<'_>,
        reason: Reason,
        failure: &Failure,
    ) -> Result<(), Trouble> {
        self.dead(case, case.row.attempt, reason, failure).await
    }

    /// Every allowed attempt was made, the last one by a worker that was lost.
    pub(super) async fn used_up(&mut self, case: Case<'_>) -> Result<(), Trouble> {
        let last = attempt::of_job(self.tx, case.row.id).await?.pop();
        let failure = last.map_or_else(
            || Failure::new("attempts_exhausted", "every allowed attempt was made"),
            |last| Failure {
                code: last.error_code.unwrap_or_else(|| "attempts_exhausted".to_owned()),
                operator: last.error.unwrap_or_else(|| "every allowed attempt was made".to_owned()),
                public: last.public_error.unwrap_or_else(|| "every allowed attempt was made".to_owned()),
            },
        );
        self.dead(case, case.row.attempt, Reason::AttemptsExhausted, &failure).await
    }

    /// Somebody called the job off.
    pub(super) async fn cancelled(&mut self, case: Case<'_>) -> Result<(), Trouble> {
        info!(job.kind = self.spec().kind, job.id = %case.row.id, "a job was cancelled");
        let failure = Failure::new("cancelled", "the job was called off");
        if case.is_claim() {
            self.attempt(case, AttemptOutcome::Cancelled, Some((&failure).into()));
        }
        let end = End { kind: EndKind::Cancelled, error: failure };
        self.end_badly(case, JobState::Cancelled, case.row.attempt, &end).await?;
        self.answers[case.index] = case.item.is_delivery().then_some(Answer::Ack);
        Ok(())
    }

    /// A drain, or a job that was not performed after all: back to where it came from, unharmed.
    pub(super) async fn handed_back(&mut self, case: Case<'_>) -> Result<(), Trouble> {
        if case.is_claim() {
            let reason = "its worker was told to stop";
            return self.put_off(case, AttemptOutcome::HandedBack, Cause::HandedBack, reason, self.now).await;
        }
        if case.item.was_suspect {
            // It stopped in an orderly way, so it killed nobody.
            self.ledger.cleared.push(case.row.id);
        }
        self.answers[case.index] = Some(Answer::HandBack);
        Ok(())
    }

    async fn dead(
        &mut self,
        case: Case<'_>,
        attempts: i32,
        reason: Reason,
        failure: &Failure,
    ) -> Result<(), Trouble> {
        error!(
            job.kind = self.spec().kind, job.id = %case.row.id, job.attempt = attempts, reason = %reason, error.code = failure.code,
            "a job is dead: {}", failure.operator
        );
        let first = attempt::of_job(self.tx, case.row.id).await?.into_iter().find_map(|one| one.ended_at);
        let end = End { kind: EndKind::Dead(reason), error: failure.clone() };
        let text = self.end_badly(case, JobState::Dead, attempts, &end).await?;
        self.letter(case.item, Some(case.row.seq), reason, &text, attempts, first);
        self.answers[case.index] = case.item.is_delivery().then_some(Answer::Reject);
        Ok(())
    }

    /// Any end without success: the domain hears of it first, in a savepoint. Answers the error as it is stored.
    async fn end_badly(
        &mut self,
        case: Case<'_>,
        state: JobState,
        attempts: i32,
        end: &End,
    ) -> Result<ErrorText, Trouble> {
        let holder = case.row.dedup_key.is_some().then_some(case.row.id);
        let released = dedup::release(self.tx, holder.as_slice()).await?;
        self.released(released);
        let mut text: ErrorText = (&end.error).into();
        if let Some(failure) = self.abandon(case, end).await? {
            text.operator = format!("{} (and the domain could not record it: {failure})", text.operator);
        }
        let mut transition = self.transition(case, state);
        transition.attempt = attempts;
        transition.error = Some(text.clone());
        self.end(case, transition);
        self.publish_again(case).await?;
        Ok(text)
    }

    /// Tells the domain. Should that fail, the end is recorded all the same; answers why it failed.
    async fn abandon(&self, case: Case<'_>, end: &End) -> Result<Option<String>, Trouble> {
        let Some(turn) = &case.item.turn else { return Ok(None) };
        if case.item.skip_abandon {
            return Ok(Some("it lost its connection each time".to_owned()));
        }
        let savepoint = self.tx.begin().await?;
        match guarded(self.flusher.handler.abandon(turn, end, &Tx::new(&savepoint, self.now))).await {
            Ok(()) => {
                savepoint.commit().await?;
                Ok(None)
            }
            Err(unavailable @ JobError::Unavailable { .. }) => Err(trouble(unavailable)),
            Err(failure) => {
                savepoint.rollback().await?;
                error!(
                    job.kind = self.spec().kind, job.id = %case.row.id, error = error_chain(&failure),
                    "the domain could not record a job's end; the end stands"
                );
                Ok(Some(error_chain(&failure)))
            }
        }
    }

    /// Notes which of the released keys were asked for again meanwhile.
    pub(super) fn released(&mut self, released: Vec<Released>) {
        self.run_again.extend(released.into_iter().filter(|one| one.run_again));
    }

    /// Publishes one more run of a job that ends, if somebody asked for it since it was published.
    async fn publish_again(&mut self, case: Case<'_>) -> Result<(), Trouble> {
        let wanted = self.run_again.iter().any(|one| one.job_id == case.row.id);
        let (true, Some(turn)) = (wanted, &case.item.turn) else { return Ok(()) };
        let tx = Tx::new(self.tx, self.now);
        match guarded(self.flusher.handler.run_again(turn, &tx)).await {
            Ok(()) => Ok(()),
            Err(unavailable @ JobError::Unavailable { .. }) => Err(trouble(unavailable)),
            // Its payload was good enough once. The end of this run must not wait for the next one.
            Err(failure) => {
                error!(
                    job.kind = self.spec().kind, job.id = %case.row.id, error = error_chain(&failure),
                    "the run that was asked for again cannot be published; publish it by hand"
                );
                Ok(())
            }
        }
    }

    fn transition(&self, case: Case<'_>, state: JobState) -> Transition {
        Transition {
            id: case.row.id,
            seq: case.row.seq,
            next_seq: case.row.seq,
            state,
            attempt: case.row.attempt,
            deferrals: case.row.deferrals,
            started_at: case.item.started.map(|started| started.by(self.now)),
            error: None,
            result: None,
        }
    }

    /// The job's part of the ledger is complete. The answer is an acknowledgement unless somebody says otherwise.
    fn end(&mut self, case: Case<'_>, transition: Transition) {
        self.ledger.transitions.push(transition);
        if case.is_claim() {
            self.ledger.leases_end.push(case.row.id);
        } else {
            self.answers[case.index] = Some(Answer::Ack);
        }
        if case.item.was_suspect {
            self.ledger.cleared.push(case.row.id);
        }
    }

    fn attempt(&mut self, case: Case<'_>, outcome: AttemptOutcome, error: Option<ErrorText>) {
        self.ledger.attempts.push(Record {
            job_id: case.row.id,
            attempt: case.attempt(),
            seq: case.row.seq,
            worker: self.flusher.shared.name.clone(),
            outcome,
            error,
            started_at: case.item.started.map_or(self.now, |started| started.by(self.now)),
        });
    }

    fn letter(
        &mut self,
        item: &Item,
        seq: Option<i32>,
        reason: Reason,
        error: &ErrorText,
        attempts: i32,
        first_failed_at: Option<DateTime<Utc>>,
    ) {
        let mut message = item.message.clone();
        message.seq = seq;
        self.ledger.letters.push(NewLetter {
            job_id: item.id,
            message,
            queue: Some(item.queue.to_string()),
            reason,
            error: error.clone(),
            attempts,
            first_failed_at,
        });
    }
}

/// Why the fence gave a message up.
fn explain(reason: Reason, kind: &str) -> Failure {
    let text = match reason {
        Reason::NotAccepted => {
            format!("`{kind}` takes no messages past enqueue, or the id belongs to a job that was enqueued")
        }
        Reason::Orphaned => {
            "the message passed enqueue, but its job is not there: removed, or the database was restored"
                .to_owned()
        }
        Reason::AheadOfRow => "the message is newer than its job's row: the database was restored".to_owned(),
        other => other.to_string(),
    };
    Failure::new(reason.to_string(), text)
}

/// Whether the database has to be asked again before anything else.
pub(super) fn is_passing(error: &DbErr) -> bool {
    matches!(classify(error), Fault::Unavailable | Fault::Conflict)
        || matches!(error, DbErr::Custom(_))
        // A statement of the engine itself: the server is overloaded, and no job is to blame.
        || timed_out(error)
}

/// The row of a job that a claim reads outside of a group.
pub(super) async fn lock_one(tx: &DatabaseTransaction, id: JobId) -> Result<Option<Fence>, DbErr> {
    Ok(job::lock(tx, &[id]).await?.pop())
}

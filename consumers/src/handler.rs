//! What a kind does: the two halves of a handler.

use std::ops::Deref;

use ackord_entities::database::Database;
use ackord_entities::ids::JobId;
use ackord_entities::jobs::Job;
use ackord_entities::queue::lease::Held;
use ackord_producer::Publish;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sea_orm::DatabaseTransaction;
use tokio_util::sync::CancellationToken;

use crate::error::JobError;

/// The handler of one kind.
///
/// [`perform`](Handler::perform) is the slow half: no transaction is open, it may run more than once, and what it calls outside
/// is only as idempotent as the key it sends along. [`commit`](Handler::commit) is the short half: it writes the effects through
/// the transaction that also records the outcome, so that both happen or neither.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// The contract.
    type Job: Job;
    /// What the slow half hands to the short one. Kept in memory only.
    type Output: Default + Send + Sync + 'static;

    /// The slow half. It is dropped at its next await when the kind's time limit is over, and should stop by itself when
    /// [`Context::cancelled`] resolves. A kind without a slow half leaves it out and says so with [`Job::PERFORMS`].
    ///
    /// # Errors
    /// [`JobError`] decides what becomes of the job.
    async fn perform(&self, turn: &Turn<Self::Job>, context: &Context) -> Result<Self::Output, JobError> {
        let _ = (turn, context);
        Ok(Self::Output::default())
    }

    /// The short half: writes the effects through `tx`, publishes follow-ups with `producer::enqueue`. No network. After a
    /// rollback it runs again with the same output.
    ///
    /// # Errors
    /// [`JobError`]; what it wrote is rolled back.
    async fn commit(
        &self,
        turn: &Turn<Self::Job>,
        output: &Self::Output,
        tx: &Tx<'_>,
    ) -> Result<Outcome, JobError>;

    /// The short halves of a whole group, in one transaction. A hot kind overrides it with set-based SQL; the harness checks
    /// that both do the same. The answers stand in the order of the work.
    ///
    /// On Postgres other groups of the kind are committed at the same time, here and in other workers: lock rows that several jobs
    /// share in one order, or two groups wait for each other until the server ends one of them, which runs again.
    ///
    /// # Errors
    /// One error rolls the group back; then each job is tried by itself with [`commit`](Handler::commit).
    async fn commit_group(
        &self,
        work: &[(&Turn<Self::Job>, &Self::Output)],
        tx: &Tx<'_>,
    ) -> Result<Vec<Outcome>, JobError> {
        let mut outcomes = Vec::with_capacity(work.len());
        for (turn, output) in work {
            outcomes.push(self.commit(turn, output, tx).await?);
        }
        Ok(outcomes)
    }

    /// Hand-over kinds: runs in the transaction that claims the job, so that the domain can show it as running.
    ///
    /// # Errors
    /// [`JobError`]; the claim is rolled back with it, and the error decides what becomes of the job.
    async fn accept(&self, turn: &Turn<Self::Job>, tx: &Tx<'_>) -> Result<(), JobError> {
        let _ = (turn, tx);
        Ok(())
    }

    /// Runs in the transaction that records any end but success (exhausted, permanent, cancelled, a domain failure by
    /// [`JobError::Failed`], ..), so that the domain can show it. Should it fail itself, the end is recorded without it.
    ///
    /// # Errors
    /// [`JobError`]; what it wrote is rolled back, and an alarm says so.
    async fn abandon(&self, turn: &Turn<Self::Job>, end: &End, tx: &Tx<'_>) -> Result<(), JobError> {
        let _ = (turn, end, tx);
        Ok(())
    }
}

/// One job's turn.
#[derive(Clone, Debug)]
pub struct Turn<J> {
    /// The job's id.
    pub id: JobId,
    /// The payload.
    pub job: J,
    /// The attempt this is, from 1, as far as was known when the turn began.
    pub attempt: u32,
    /// The seq of the message that brought it.
    pub seq: i32,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

impl<J> Turn<J> {
    /// How a follow-up is published: as a child of this job, in its trace.
    #[must_use]
    pub fn follow_up(&self, tx: &Tx<'_>) -> Publish {
        Publish::at(tx.now).child_of(self.id).traced(self.traceparent.clone())
    }
}

/// What the slow half may use.
#[derive(Clone, Debug)]
pub struct Context {
    /// The database, for reading. Effects belong into the commit half.
    pub database: Database,
    pub(crate) job: JobId,
    pub(crate) cancelled: CancellationToken,
    pub(crate) kind: &'static str,
    pub(crate) held: Vec<Held>,
}

impl Context {
    /// A context for `job`, to call a handler's slow half from a test or a tool.
    #[must_use]
    pub fn new(database: Database, kind: &'static str, job: JobId, cancelled: CancellationToken) -> Self {
        Self { database, job, cancelled, kind, held: Vec::new() }
    }

    /// The same with the leases that the job holds.
    #[must_use]
    pub fn holding(mut self, held: Vec<Held>) -> Self {
        self.held = held;
        self
    }

    /// The lease `key` that the job holds: its [`Job::lease_key`]. Its term is what another database than the jobs' own is to be asked
    /// whether this worker is late (`ackord_fence`).
    #[must_use]
    pub fn lease(&self, key: &str) -> Option<&Held> {
        self.held.iter().find(|held| held.key == key)
    }

    /// The same for every run of this job, different for every other job: send it along with calls to the outside.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        format!("{}/{}", self.kind, self.job)
    }

    /// Resolves when the work is no longer wanted: the job was called off, its lease was lost, its time is over, or the
    /// worker drains and its grace has passed.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    /// The token behind [`cancelled`](Context::cancelled), to pass on.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.cancelled
    }
}

/// The transaction of a commit half. Use it wherever a `sea_orm` connection is wanted: `&**tx`, or [`Tx::connection`].
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations, reason = "a transaction has nothing to show")]
pub struct Tx<'a> {
    connection: &'a DatabaseTransaction,
    /// The time that decides, read when the transaction began.
    pub now: DateTime<Utc>,
}

impl<'a> Tx<'a> {
    /// A transaction that began at `now`.
    #[must_use]
    pub fn new(connection: &'a DatabaseTransaction, now: DateTime<Utc>) -> Self {
        Self { connection, now }
    }

    /// The transaction.
    #[must_use]
    pub fn connection(&self) -> &'a DatabaseTransaction {
        self.connection
    }
}

impl Deref for Tx<'_> {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        self.connection
    }
}

/// How a commit half ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Succeeded {
        /// What the success refers to, for people and for whoever waits: `{"synthesis_id": ".."}`.
        result: Option<serde_json::Value>,
    },
    /// The domain says no, and what the commit half wrote about it stays. Not a dead letter.
    Failed(Failure),
}

impl Outcome {
    /// Done, with nothing to refer to.
    #[must_use]
    pub fn succeeded() -> Self {
        Self::Succeeded { result: None }
    }

    /// Done, referring to `result`.
    #[must_use]
    pub fn with_result(result: serde_json::Value) -> Self {
        Self::Succeeded { result: Some(result) }
    }
}

/// A domain failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Short and stable: `no_facts`.
    pub code: String,
    /// For operators.
    pub operator: String,
    /// For everybody: no server, path, statement or secret.
    pub public: String,
}

impl Failure {
    /// A failure whose texts for operators and for everybody are the same.
    pub fn new(code: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { code: code.into(), operator: text.clone(), public: text }
    }
}

/// Why a job ends without success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// How.
    pub kind: EndKind,
    /// The error behind it.
    pub error: Failure,
}

/// How a job ends without success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndKind {
    /// A domain failure.
    Failed,
    /// A dead letter, for this reason.
    Dead(ackord_entities::queue::dead_letter::Reason),
    /// Called off.
    Cancelled,
}

//! A handler with something built in that goes wrong around it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ackord_entities::jobs::Job;
use ackord_producer::broker::EmbeddedBroker;
use async_trait::async_trait;
use tokio::sync::Notify;

use crate::error::JobError;
use crate::handler::{Context, End, EndKind, Failure, Handler, Outcome, Turn, Tx};

/// What goes wrong. Always behind the handler's own half, so that its writes are there to be rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// The first commit half that gets there never returns: its process is about to die.
    Hang,
    /// The first time, every channel to the broker breaks: before the acknowledgement, and not before the commit.
    BreakChannels,
    /// The first attempt ends in a transient error.
    Transient,
    /// Every attempt ends in a permanent error.
    Permanent,
}

/// What the test and the handler share.
#[derive(Default)]
pub(super) struct Observed {
    pub(super) hangs: Notify,
    pub(super) broker: OnceLock<Arc<EmbeddedBroker>>,
    happened: AtomicBool,
    abandoned: Mutex<Vec<(EndKind, Result<(), JobError>)>>,
}

impl Observed {
    /// How each call of `abandon` went.
    pub(super) fn abandoned(&self) -> Vec<(EndKind, Result<(), JobError>)> {
        self.abandoned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// `inner` with a fault.
pub(super) struct Faulty<H> {
    pub(super) inner: H,
    pub(super) fault: Fault,
    pub(super) observed: Arc<Observed>,
}

impl<H: Handler> Faulty<H> {
    async fn after_commit(&self, attempt: u32) -> Result<(), JobError> {
        match self.fault {
            Fault::Hang if self.is_first() => {
                self.observed.hangs.notify_one();
                std::future::pending::<()>().await;
            }
            // A hand-over kind was acknowledged long before.
            Fault::BreakChannels if !H::Job::HAND_OVER => self.break_channels(),
            Fault::Transient if attempt == 1 => {
                return Err(JobError::Transient(Failure::new("harness", "not yet")));
            }
            Fault::Permanent => return Err(JobError::Permanent(Failure::new("harness", "never"))),
            _ => {}
        }
        Ok(())
    }

    fn break_channels(&self) {
        if let (true, Some(broker)) = (self.is_first(), self.observed.broker.get()) {
            broker.close_consumers();
        }
    }

    fn is_first(&self) -> bool {
        !self.observed.happened.swap(true, Ordering::SeqCst)
    }
}

#[async_trait]
impl<H: Handler> Handler for Faulty<H> {
    type Job = H::Job;
    type Output = H::Output;

    async fn perform(&self, turn: &Turn<H::Job>, context: &Context) -> Result<H::Output, JobError> {
        self.inner.perform(turn, context).await
    }

    async fn commit(
        &self,
        turn: &Turn<H::Job>,
        output: &H::Output,
        tx: &Tx<'_>,
    ) -> Result<Outcome, JobError> {
        let outcome = self.inner.commit(turn, output, tx).await?;
        self.after_commit(turn.attempt).await?;
        Ok(outcome)
    }

    async fn commit_group(
        &self,
        work: &[(&Turn<H::Job>, &H::Output)],
        tx: &Tx<'_>,
    ) -> Result<Vec<Outcome>, JobError> {
        let outcomes = self.inner.commit_group(work, tx).await?;
        for (turn, _) in work {
            self.after_commit(turn.attempt).await?;
        }
        Ok(outcomes)
    }

    async fn accept(&self, turn: &Turn<H::Job>, tx: &Tx<'_>) -> Result<(), JobError> {
        self.inner.accept(turn, tx).await?;
        if self.fault == Fault::BreakChannels {
            self.break_channels();
        }
        Ok(())
    }

    async fn abandon(&self, turn: &Turn<H::Job>, end: &End, tx: &Tx<'_>) -> Result<(), JobError> {
        let answer = self.inner.abandon(turn, end, tx).await;
        let mut abandoned = self.observed.abandoned.lock().unwrap_or_else(PoisonError::into_inner);
        abandoned.push((end.kind, answer.clone()));
        answer
    }
}

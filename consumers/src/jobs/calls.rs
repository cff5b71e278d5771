//! The book of the calls to a model that one attempt makes.

use std::fmt;
use std::time::Duration;

use ackord_entities::database::{Database, Fault, classify};
use ackord_entities::ids::JobId;
use ackord_entities::jobs::Backoff;
use ackord_entities::queue::model_call::{self, Begun, Ended, Purpose};
use ackord_graph::synthesis::{CallLedger, Run};
use async_trait::async_trait;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::handler::{Context, Turn};

/// The pauses in which a call that could not be written down is written down again.
const AGAIN: Backoff = Backoff {
    initial: Duration::from_millis(50),
    factor: 2.0,
    longest: Duration::from_secs(5),
    ..Backoff::DEFAULT
};

/// Writes each call down in a statement of its own.
pub(super) struct Calls {
    database: Database,
    job: JobId,
    attempt: i32,
    stop: CancellationToken,
}

impl fmt::Debug for Calls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Calls")
            .field("job", &self.job)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl Calls {
    pub(super) fn of<J>(turn: &Turn<J>, context: &Context) -> Self {
        Self {
            database: context.database.clone(),
            job: turn.id,
            attempt: i32::try_from(turn.attempt).unwrap_or(i32::MAX),
            stop: context.token().clone(),
        }
    }

    /// For the writers of this run.
    pub(super) fn run(&self) -> Run<'_> {
        Run { ledger: self, stop: self.stop.clone() }
    }
}

#[async_trait]
impl CallLedger for Calls {
    async fn spent(&self) -> Result<u64, DbErr> {
        let tokens = model_call::tokens_of(self.database.read(), self.job, self.attempt).await?;
        Ok(tokens.unsigned_abs())
    }

    async fn begin(&self, purpose: Purpose, model: &str, prompt_tokens: u64) -> Result<i32, DbErr> {
        let now = self.database.clock().now(self.database.read()).await?;
        let call = Begun {
            job_id: self.job,
            attempt: self.attempt,
            purpose,
            model,
            prompt_tokens: i64::try_from(prompt_tokens).unwrap_or(i64::MAX),
        };
        model_call::begin(self.database.write(), &call, now).await
    }

    /// What was paid for is paid for: an end that cannot be written is not given up while the work is wanted.
    async fn end(&self, number: i32, ended: &Ended) -> Result<(), DbErr> {
        let mut times = 0;
        loop {
            let error =
                match model_call::end(self.database.write(), self.job, self.attempt, number, ended).await {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                };
            let may_pass = matches!(classify(&error), Fault::Unavailable | Fault::Conflict);
            if !may_pass || self.stop.is_cancelled() {
                return Err(error);
            }
            times += 1;
            warn!(job.id = %self.job, error = %error, "a call to the model waits for the database to be written down");
            tokio::select! {
                () = tokio::time::sleep(AGAIN.delay_after(times)) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }
}

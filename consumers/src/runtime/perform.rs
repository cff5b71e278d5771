//! Running the slow half: its time limit, its panics, its cancellation, and a database that is away meanwhile.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use ackord_entities::jobs::Backoff;
use ackord_entities::queue::attempt::Outcome as AttemptOutcome;
use futures::FutureExt;
use tracing::warn;

use super::item::Error;
use crate::error::JobError;
use crate::handler::{Context, Failure};
use crate::registry::{AnyOutput, AnyTurn, ErasedHandler};

/// How long a handler may take to notice that its work is not wanted any more, before it is dropped.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// How the slow half came out.
pub(crate) enum Performed {
    /// It finished.
    Done(AnyOutput),
    /// It went wrong.
    Errored(Error),
    /// It was told to stop, and did or was dropped.
    Stopped,
}

/// Runs the slow half once; while our own database is away it waits and runs it again, which is nobody's attempt.
pub(crate) async fn perform(handler: &dyn ErasedHandler, turn: &AnyTurn, context: &Context) -> Performed {
    let mut outages = 0;
    loop {
        let result = tokio::select! {
            result = limited(handler, turn, context) => result,
            () = stopped(context) => return Performed::Stopped,
        };
        match result {
            Ok(output) => return Performed::Done(output),
            Err(Error { error: JobError::Unavailable { operator, .. }, .. }) => {
                outages += 1;
                warn!(job.id = %turn.id, error = operator, "the work waits: something of ours is away");
                let wait =
                    Backoff { longest: Duration::from_secs(10), ..Backoff::DEFAULT }.delay_after(outages);
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = context.cancelled() => return Performed::Stopped,
                }
            }
            // It noticed that it is not wanted, and said so with an error: that error is not the job's.
            Err(_) if context.token().is_cancelled() => return Performed::Stopped,
            Err(error) => return Performed::Errored(error),
        }
    }
}

async fn stopped(context: &Context) {
    context.cancelled().await;
    tokio::time::sleep(STOP_GRACE).await;
}

async fn limited(handler: &dyn ErasedHandler, turn: &AnyTurn, context: &Context) -> Result<AnyOutput, Error> {
    let limit = handler.spec().timeout;
    let guarded = AssertUnwindSafe(handler.perform(turn, context)).catch_unwind();
    match tokio::time::timeout(limit, guarded).await {
        Ok(Ok(result)) => result.map_err(Error::errored),
        Ok(Err(panic)) => Err(Error { error: panicked(&*panic), outcome: AttemptOutcome::Panicked }),
        Err(_elapsed) => Err(Error {
            error: JobError::Transient(Failure::new(
                "timed_out",
                format!("the attempt took longer than its limit of {} s", limit.as_secs_f64()),
            )),
            outcome: AttemptOutcome::TimedOut,
        }),
    }
}

/// A panic as an error: retried, then dead. Its text may hold anything, so it is for operators only.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> JobError {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned());
    JobError::Transient(Failure {
        code: "panicked".to_owned(),
        operator: format!("the handler panicked: {text}"),
        public: "the work failed for an internal reason".to_owned(),
    })
}

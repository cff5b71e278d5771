//! Handlers without their types: what the runtime works with, so that it is compiled once and not once per kind.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use ackord_entities::ids::JobId;
use ackord_entities::jobs::{Catalogue, Invalid, Job, KindSpec, PayloadError, decode};
use async_trait::async_trait;

use crate::error::JobError;
use crate::handler::{Context, End, Handler, Outcome, Turn, Tx};

/// A turn whose payload type is known to its handler only.
#[derive(Clone)]
pub(crate) struct AnyTurn {
    pub(crate) id: JobId,
    typed: Arc<dyn Any + Send + Sync>,
}

/// An output whose type is known to its handler only.
pub(crate) type AnyOutput = Arc<dyn Any + Send + Sync>;

/// What a payload says about itself, read once.
pub(crate) struct Decoded {
    pub(crate) lease_key: Option<String>,
    payload: Box<dyn Any + Send + Sync>,
}

/// [`Handler`] without its types.
#[async_trait]
pub(crate) trait ErasedHandler: Send + Sync + 'static {
    fn spec(&self) -> &KindSpec;
    fn decode(&self, version: u16, body: &[u8]) -> Result<Decoded, PayloadError>;
    fn turn(
        &self,
        decoded: Decoded,
        id: JobId,
        attempt: u32,
        seq: i32,
        traceparent: Option<String>,
    ) -> AnyTurn;
    /// The same turn as another attempt.
    fn as_attempt(&self, turn: &AnyTurn, attempt: u32) -> AnyTurn;
    /// What the job is about.
    fn subject(&self, turn: &AnyTurn) -> Option<String>;
    /// The job to publish when `turn` has to run again.
    async fn run_again(&self, turn: &AnyTurn, tx: &Tx<'_>) -> Result<(), JobError>;
    async fn perform(&self, turn: &AnyTurn, context: &Context) -> Result<AnyOutput, JobError>;
    fn no_output(&self) -> AnyOutput;
    async fn commit(&self, turn: &AnyTurn, output: &AnyOutput, tx: &Tx<'_>) -> Result<Outcome, JobError>;
    async fn commit_group(
        &self,
        work: &[(&AnyTurn, &AnyOutput)],
        tx: &Tx<'_>,
    ) -> Result<Vec<Outcome>, JobError>;
    async fn accept(&self, turn: &AnyTurn, tx: &Tx<'_>) -> Result<(), JobError>;
    async fn abandon(&self, turn: &AnyTurn, end: &End, tx: &Tx<'_>) -> Result<(), JobError>;
}

struct Typed<H: Handler> {
    handler: H,
    spec: KindSpec,
}

/// The types are put in and taken out by the same `Typed<H>`, so a turn or an output of another kind is a mistake of the
/// runtime, not of a message.
fn mixed_up() -> JobError {
    JobError::Permanent(crate::handler::Failure::new(
        "mixed_up",
        "the runtime gave a handler another kind's job",
    ))
}

impl<H: Handler> Typed<H> {
    fn turn_of(turn: &AnyTurn) -> Result<&Turn<H::Job>, JobError> {
        turn.typed.downcast_ref().ok_or_else(mixed_up)
    }

    fn output_of(output: &AnyOutput) -> Result<&H::Output, JobError> {
        output.downcast_ref().ok_or_else(mixed_up)
    }
}

#[async_trait]
impl<H: Handler> ErasedHandler for Typed<H> {
    fn spec(&self) -> &KindSpec {
        &self.spec
    }

    fn decode(&self, version: u16, body: &[u8]) -> Result<Decoded, PayloadError> {
        // A contract's own code, run on a stranger's bytes: a panic there is the payload's end, not the worker's.
        std::panic::catch_unwind(|| -> Result<Decoded, PayloadError> {
            let job: H::Job = decode(version, body)?;
            Ok(Decoded { lease_key: job.lease_key(), payload: Box::new(job) })
        })
        .unwrap_or_else(|_panic| Err(Invalid::new("", "the contract's own check panicked on it").into()))
    }

    fn turn(
        &self,
        decoded: Decoded,
        id: JobId,
        attempt: u32,
        seq: i32,
        traceparent: Option<String>,
    ) -> AnyTurn {
        let typed: Arc<dyn Any + Send + Sync> = match decoded.payload.downcast::<H::Job>() {
            Ok(job) => Arc::new(Turn { id, job: *job, attempt, seq, traceparent }),
            // Reported as mixed up by whichever half is called with it.
            Err(_) => Arc::new(()),
        };
        AnyTurn { id, typed }
    }

    fn as_attempt(&self, turn: &AnyTurn, attempt: u32) -> AnyTurn {
        match Self::turn_of(turn) {
            Ok(typed) => AnyTurn { id: turn.id, typed: Arc::new(Turn { attempt, ..typed.clone() }) },
            Err(_) => turn.clone(),
        }
    }

    fn subject(&self, turn: &AnyTurn) -> Option<String> {
        Self::turn_of(turn).ok()?.job.key()
    }

    async fn run_again(&self, turn: &AnyTurn, tx: &Tx<'_>) -> Result<(), JobError> {
        let turn = Self::turn_of(turn)?;
        ackord_producer::enqueue(tx.connection(), &turn.job, &turn.follow_up(tx)).await?;
        Ok(())
    }

    async fn perform(&self, turn: &AnyTurn, context: &Context) -> Result<AnyOutput, JobError> {
        Ok(Arc::new(self.handler.perform(Self::turn_of(turn)?, context).await?))
    }

    fn no_output(&self) -> AnyOutput {
        Arc::new(H::Output::default())
    }

    async fn commit(&self, turn: &AnyTurn, output: &AnyOutput, tx: &Tx<'_>) -> Result<Outcome, JobError> {
        self.handler.commit(Self::turn_of(turn)?, Self::output_of(output)?, tx).await
    }

    async fn commit_group(
        &self,
        work: &[(&AnyTurn, &AnyOutput)],
        tx: &Tx<'_>,
    ) -> Result<Vec<Outcome>, JobError> {
        let work: Vec<(&Turn<H::Job>, &H::Output)> = work
            .iter()
            .map(|(turn, output)| Ok((Self::turn_of(turn)?, Self::output_of(output)?)))
            .collect::<Result<_, JobError>>()?;
        self.handler.commit_group(&work, tx).await
    }

    async fn accept(&self, turn: &AnyTurn, tx: &Tx<'_>) -> Result<(), JobError> {
        self.handler.accept(Self::turn_of(turn)?, tx).await
    }

    async fn abandon(&self, turn: &AnyTurn, end: &End, tx: &Tx<'_>) -> Result<(), JobError> {
        self.handler.abandon(Self::turn_of(turn)?, end, tx).await
    }
}

/// The handlers of a worker, one per kind.
#[derive(Clone, Default)]
#[allow(missing_debug_implementations, reason = "handlers have nothing to show")]
pub struct Registry {
    handlers: BTreeMap<&'static str, Arc<dyn ErasedHandler>>,
}

impl Registry {
    /// No handlers yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the handler of a kind; a second one for the same kind takes its place.
    #[must_use]
    pub fn with<H: Handler>(mut self, handler: H) -> Self {
        let typed = Typed { handler, spec: KindSpec::of::<H::Job>() };
        self.handlers.insert(H::Job::KIND, Arc::new(typed));
        self
    }

    /// The kinds that have a handler here.
    #[must_use]
    pub fn catalogue(&self) -> Catalogue {
        Catalogue::new(self.handlers.values().map(|handler| *handler.spec()))
    }

    pub(crate) fn get(&self, kind: &str) -> Option<&Arc<dyn ErasedHandler>> {
        self.handlers.get(kind)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<dyn ErasedHandler>> {
        self.handlers.values()
    }
}

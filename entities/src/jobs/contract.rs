//! The contract of a kind of job.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Backoff;

/// A kind of job: the struct is the payload, the constants are the rules.
///
/// Only [`KIND`](Job::KIND) has no default. See `docs/adding-a-job-kind.md` for a worked example.
pub trait Job: Serialize + DeserializeOwned + JsonSchema + Clone + Send + Sync + 'static {
    /// The kind's name in kebab-case: the name of its queue, of its rows, of its folder. It is durable: never rename it,
    /// never use it again for something else.
    const KIND: &'static str;

    /// Version of the payload's shape. Raise it when an old payload no longer fits, and teach [`upgrade`](Job::upgrade).
    const VERSION: u16 = 1;

    /// One kept payload for each older version, oldest first. A test upgrades each of them.
    const OLD_SAMPLES: &'static [(u16, &'static str)] = &[];

    /// Attempts before the job is dead.
    const MAX_ATTEMPTS: u32 = 5;

    /// Time limit of one attempt's perform half.
    const TIMEOUT: Duration = Duration::from_secs(60);

    /// The wait between attempts.
    const BACKOFF: Backoff = Backoff::DEFAULT;

    /// Long jobs: the delivery is acknowledged once the claim is committed, and a lease answers for the job.
    const HAND_OVER: bool = false;

    /// Jobs that may share one transaction at most.
    const MAX_GROUP: usize = 100;

    /// How many perform halves one worker runs at once.
    const CONCURRENCY: usize = 8;

    /// Whether the handler has a perform half. Kinds without one skip everything that belongs to it.
    const PERFORMS: bool = true;

    /// Whether messages may arrive that did not pass `enqueue`: straight over AMQP, without `x-ackord-seq`.
    const ACCEPTS_DIRECT: bool = false;

    /// How often a job may be deferred before it dies.
    const MAX_DEFERRED: u32 = 1_000;

    /// What becomes of a job whose [`dedup_key`](Job::dedup_key) is held by an unfinished one.
    const ON_DUPLICATE: OnDuplicate = OnDuplicate::Drop;

    /// Whether listeners are told of each state that a job of this kind comes into.
    const NOTICES: Notices = Notices::Off;

    /// How long a finished job of this kind is kept. Effects are once per job id within this time.
    const RETENTION: Duration = Duration::from_secs(14 * 24 * 3600);

    /// What the job is about, for filters and lists: `graph:default`, `order:4711`.
    fn key(&self) -> Option<String> {
        None
    }

    /// At most one waiting job of the kind has this key. A job lets go of it when its work is claimed, so a job that is published
    /// while one runs is a new one.
    fn dedup_key(&self) -> Option<String> {
        None
    }

    /// The lease that the job holds while it runs: at most one job at a time has it. Needs [`HAND_OVER`](Job::HAND_OVER).
    fn lease_key(&self) -> Option<String> {
        None
    }

    /// Checks what the type alone cannot say.
    ///
    /// # Errors
    /// The first field that is wrong, with the reason.
    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }

    /// Turns a payload of version `from` into one of version `from + 1`. Called once per step.
    ///
    /// # Errors
    /// The field that cannot be carried over.
    fn upgrade(from: u16, payload: Value) -> Result<Value, Invalid> {
        let _ = payload;
        Err(Invalid::new("", format!("version {from} can no longer be read")))
    }
}

/// What happens to a newcomer whose dedup key is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDuplicate {
    /// The newcomer is dropped; its publisher gets the id of the job that holds the key.
    Drop,
    /// As above, and the holder is run once more when it ends, so that it sees what the newcomer was about.
    RunAgain,
}

/// Whether a worker tells, after each commit, what became of the jobs in it: on the exchange `ackord.events`, as
/// `job.<kind>.<state>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Notices {
    /// It does not, unless its operator switches them on.
    Off,
    /// It does, and a notice that cannot be sent at once is dropped: no commit ever waits for one.
    BestEffort,
}

/// A field of a payload that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}`: {reason}")]
pub struct Invalid {
    /// Path of the field, as in `scopes[2].topic`.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub reason: String,
}

impl Invalid {
    /// An error for `field`.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

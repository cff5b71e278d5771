//! The seam: what a provider gets, and what it answers.

use std::collections::BTreeMap;
use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::ids::GraphId;
use ackord_entities::sync::failure::{Cause, Record};
use async_trait::async_trait;
use sea_orm::DbErr;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::engine::Claim;

/// Copies graphs.
#[async_trait]
pub trait SyncProvider: Send + Sync + std::fmt::Debug + 'static {
    /// Its name in compositions, records and figures. It is durable.
    fn id(&self) -> &'static str;

    /// Makes ready what all cycles share: called once per process, and again only if it went wrong.
    ///
    /// # Errors
    /// What cannot be made ready.
    async fn initialise(&self) -> Result<(), SyncError> {
        Ok(())
    }

    /// Copies what has changed since `progress`, until nothing is left or the time is over. It may be stopped anywhere and called again
    /// with the same progress: then it does what it did once more, to the same end.
    ///
    /// # Errors
    /// [`SyncError`]; nothing of the cycle counts then.
    async fn cycle(&self, context: &SyncContext, progress: &Progress) -> Result<Cycle, SyncError>;
}

/// What a cycle works on.
#[derive(Clone, Debug)]
pub struct SyncContext {
    /// The graph.
    pub graph: GraphId,
    /// Its name.
    pub slug: String,
    /// The name for people.
    pub name: String,
    /// Where it is written.
    pub write: Database,
    /// Where it is read.
    pub read: Database,
    /// Where the jobs are: what is known of rows that wait. For reading only.
    pub jobs: Database,
    /// The claim that this cycle has on the graph.
    pub claim: Claim,
    /// Resolves when the cycle is no longer wanted.
    pub stop: CancellationToken,
    /// The time after which the cycle leaves the rest to another one.
    pub budget: Duration,
    /// Whether everything is copied again.
    pub afresh: bool,
}

/// What the cycle before has left.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The provider's own words, [`Cycle::state`] of the last cycle that counted.
    pub state: Option<String>,
}

/// What a cycle did. It counts when it is committed.
#[derive(Clone, Debug, Default)]
pub struct Cycle {
    /// For the next cycle; `None` if nothing has changed.
    pub state: Option<String>,
    /// How it ended.
    pub end: CycleEnd,
    /// Rows that were not copied.
    pub held: Vec<(Record, Cause)>,
    /// Rows that were not copied before, and are now, or are gone.
    pub cleared: Vec<Record>,
    /// What was done, by table.
    pub tables: BTreeMap<&'static str, TableCount>,
    /// What could not be read past, see [`ackord_entities::graph::changes::Holder`]: for how long it is open, and whose it is.
    pub held_by: Option<(i64, String)>,
}

/// How a cycle ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CycleEnd {
    /// There was nothing to do.
    #[default]
    Idle,
    /// Nothing is left.
    Complete,
    /// Something is left: go on at once.
    Continues,
    /// Something is left that another transaction holds back: go on later.
    Waits,
}

/// What was done with a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableCount {
    /// Rows written.
    pub moved: u64,
    /// Rows removed.
    pub deleted: u64,
    /// Records that wait for another row.
    pub deferred: u64,
    /// Records that were refused.
    pub failed: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Why a cycle did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// One of the databases.
    #[error(transparent)]
    Database(#[from] DbErr),
    /// Another worker has a newer claim on the graph.
    #[error("the claim {key} with the term {term} is not the newest: another worker copies the graph")]
    Fenced {
        /// What is claimed.
        key: String,
        /// The claim's number.
        term: i64,
    },
    /// It was told to stop.
    #[error("the cycle was stopped")]
    Stopped,
    /// What the cycle before has left cannot be read.
    #[error(
        "the state of the provider {provider} cannot be read: {error}; copy the graph afresh with `ackord sync run GRAPH --afresh`"
    )]
    State {
        /// The provider.
        provider: &'static str,
        /// What is wrong with it.
        error: String,
    },
    /// Something else of the provider's own.
    #[error("{0}")]
    Other(String),
}

//! Telling a broker again what it has lost.
//!
//! The database and the broker hold the same incarnation. Every step is made so that a crash after it leads to the same step
//! again, never past it:
//!
//! - the new incarnation is imprinted before the commit that stores it. A crash in between leaves the database with one that
//!   the broker does not know: the jobs are told again;
//! - the jobs of a queue that is gone are told again before the queue is made. A crash in between leaves it missing.
//!
//! A message that was not lost after all comes twice; the fence finds the second one stale or done.

use std::time::Duration;

use ackord_entities::database::Database;
use ackord_entities::fault;
use ackord_entities::ids::Incarnation;
use ackord_entities::queue::{incarnation, outbox};
use sea_orm::{DatabaseTransaction, DbErr};

use crate::broker::topology::{KindQueue, Topology};
use crate::broker::{Broker, BrokerError};

/// Why the broker could not be compared with the database.
#[derive(Debug, thiserror::Error)]
pub enum RecallError {
    /// The database does not answer.
    #[error("the database cannot say what the broker has to know")]
    Database(#[from] DbErr),
    /// The broker does not answer.
    #[error("the broker cannot be compared with what it has to know")]
    Broker(#[from] BrokerError),
}

/// What the broker knew of the database's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Recall {
    /// It remembers all of them, but for the messages of these kinds, whose queues are gone.
    Remembers { incarnation: Incarnation, lost: Vec<String>, written: u64 },
    /// It knew nothing, and this process has told it everything again. `was_told`: some broker was told before.
    Told { incarnation: Incarnation, was_told: bool, written: u64 },
    /// The database was told to another broker while this one went on: two brokers serve one database.
    Stranger,
}

impl Recall {
    /// Whether messages wait in the outbox that did not before.
    pub(super) fn wrote(&self) -> bool {
        match self {
            Self::Remembers { written, .. } | Self::Told { written, .. } => *written > 0,
            Self::Stranger => false,
        }
    }
}

/// Writing the messages of millions of jobs again takes minutes. A server that fell silent meanwhile is noticed after as long.
pub(super) const TELLING: Duration = Duration::from_secs(600);

/// Compares the two and writes what was lost into the outbox again. `known`: the incarnation that this broker held at the last
/// look, if it has not been away since.
pub(super) async fn recall(
    database: &Database,
    broker: &dyn Broker,
    topology: &Topology,
    known: Option<Incarnation>,
) -> Result<Recall, RecallError> {
    let stored = incarnation::find(database.read()).await?;
    if let Some(incarnation) = stored
        && broker.remembers(incarnation).await?
    {
        return database.within(TELLING, refill(database, broker, topology, incarnation)).await;
    }
    if known.is_some() && known != stored {
        return Ok(Recall::Stranger);
    }
    database.within(TELLING, tell_all(database, broker, topology, stored)).await
}

/// Everything again, under a new incarnation. Of any number of processes that come here at once one does it.
async fn tell_all(
    database: &Database,
    broker: &dyn Broker,
    topology: &Topology,
    looked: Option<Incarnation>,
) -> Result<Recall, RecallError> {
    let tx = database.begin_unlimited().await?;
    let now = database.clock().now(&tx).await?;
    let stored = incarnation::lock(&tx, now).await?;
    if let Some(incarnation) = stored.filter(|_| stored != looked)
        && broker.remembers(incarnation).await?
    {
        // Another process was first.
        tx.rollback().await?;
        return refill(database, broker, topology, incarnation).await;
    }
    let written = outbox::reconcile(&tx, None, now).await?;
    let incarnation = Incarnation::new();
    incarnation::replace(&tx, incarnation, now).await?;
    broker.imprint(incarnation).await?;
    commit(tx).await?;
    Ok(Recall::Told { incarnation, was_told: stored.is_some(), written })
}

/// The messages of the kinds whose queues are gone.
async fn refill(
    database: &Database,
    broker: &dyn Broker,
    topology: &Topology,
    incarnation: Incarnation,
) -> Result<Recall, RecallError> {
    if gone(broker, topology).await?.is_empty() {
        return Ok(Recall::Remembers { incarnation, lost: Vec::new(), written: 0 });
    }
    let tx = database.begin_unlimited().await?;
    let now = database.clock().now(&tx).await?;
    incarnation::lock(&tx, now).await?;
    // Again: another process may have told them meanwhile and made the queue.
    let mut lost = Vec::new();
    let mut written = 0;
    for queue in gone(broker, topology).await? {
        written += outbox::reconcile(&tx, Some(&queue.kind), now).await?;
        lost.push(queue.kind.clone());
    }
    commit(tx).await?;
    Ok(Recall::Remembers { incarnation, lost, written })
}

async fn commit(tx: DatabaseTransaction) -> Result<(), DbErr> {
    fault::point("reconcile_before_commit");
    tx.commit().await?;
    fault::point("reconcile_after_commit");
    Ok(())
}

async fn gone<'a>(broker: &dyn Broker, topology: &'a Topology) -> Result<Vec<&'a KindQueue>, BrokerError> {
    let mut gone = Vec::new();
    for kind in &topology.kinds {
        match broker.depth(&kind.queue).await {
            Ok(_) => {}
            Err(BrokerError::NoSuchQueue { .. }) => gone.push(kind),
            Err(error) => return Err(error),
        }
    }
    Ok(gone)
}

//! Telling a broker again what it has lost.
//!
//! The database and the broker hold the same incarnation. Every step is made so that a crash after it leads to the same step
//! again, never past it:
//!
//! - the new incarnation is imprinted before the commit that stores it. A crash in between leaves the database with one that
//!   the broker does not know: the jobs are told again;
//! - the jobs of a queue that is gone are told again before the queue is made. A crash in between leaves it missing. A queue that goes
//!   only after that is not made: the next look tells its jobs.
//!
//! A message that was not lost after all comes twice; the fence finds the second one stale or done.

use std::collections::BTreeSet;
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
    /// It knew nothing, and this process has told it everything again. `was_told`: some broker was told before. `lost`: the kinds
    /// without a queue.
    Told { incarnation: Incarnation, was_told: bool, lost: Vec<String>, written: u64 },
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

    /// The queues that were there when the jobs were read: what is in them was told to nobody else.
    pub(super) fn there(&self, topology: &Topology) -> BTreeSet<String> {
        let (Self::Remembers { lost, .. } | Self::Told { lost, .. }) = self else { return BTreeSet::new() };
        let there = topology.kinds.iter().filter(|one| !lost.contains(&one.kind));
        there.map(|one| one.queue.clone()).collect()
    }
}

/// Writing the messages of millions of jobs again takes minutes. A server that fell silent meanwhile is noticed after as long.
pub(super) const TELLING: Duration = Duration::from_secs(600);

/// Compares the two and writes what was lost into the outbox again. `known`: the incarnation that this broker held at the last
/// look, if it has not been away since. `vanished`: queues that were there and gone a moment later, whatever there is now.
pub(super) async fn recall(
    database: &Database,
    broker: &dyn Broker,
    topology: &Topology,
    known: Option<Incarnation>,
    vanished: &BTreeSet<String>,
) -> Result<Recall, RecallError> {
    let stored = incarnation::find(database.read()).await?;
    let look = Look { database, broker, topology, vanished };
    if let Some(incarnation) = stored
        && broker.remembers(incarnation).await?
    {
        return database.within(TELLING, look.refill(incarnation)).await;
    }
    if known.is_some() && known != stored {
        return Ok(Recall::Stranger);
    }
    database.within(TELLING, look.tell_all(stored)).await
}

/// What is compared.
struct Look<'l> {
    database: &'l Database,
    broker: &'l dyn Broker,
    topology: &'l Topology,
    vanished: &'l BTreeSet<String>,
}

impl Look<'_> {
    /// Everything again, under a new incarnation. Of any number of processes that come here at once one does it.
    async fn tell_all(&self, looked: Option<Incarnation>) -> Result<Recall, RecallError> {
        let tx = self.database.begin_unlimited().await?;
        let now = self.database.clock().now(&tx).await?;
        let stored = incarnation::lock(&tx, now).await?;
        if let Some(incarnation) = stored.filter(|_| stored != looked)
            && self.broker.remembers(incarnation).await?
        {
            // Another process was first.
            tx.rollback().await?;
            return self.refill(incarnation).await;
        }
        let lost = self.gone().await?;
        let written = outbox::reconcile(&tx, None, now).await?;
        let incarnation = Incarnation::new();
        incarnation::replace(&tx, incarnation, now).await?;
        self.broker.imprint(incarnation).await?;
        commit(tx).await?;
        Ok(Recall::Told { incarnation, was_told: stored.is_some(), lost, written })
    }

    /// The messages of the kinds whose queues are gone.
    async fn refill(&self, incarnation: Incarnation) -> Result<Recall, RecallError> {
        if self.gone().await?.is_empty() {
            return Ok(Recall::Remembers { incarnation, lost: Vec::new(), written: 0 });
        }
        let tx = self.database.begin_unlimited().await?;
        let now = self.database.clock().now(&tx).await?;
        incarnation::lock(&tx, now).await?;
        // Again: another process may have told them meanwhile and made the queue.
        let lost = self.gone().await?;
        let mut written = 0;
        for kind in &lost {
            written += outbox::reconcile(&tx, Some(kind), now).await?;
        }
        commit(tx).await?;
        Ok(Recall::Remembers { incarnation, lost, written })
    }

    /// The kinds without a queue.
    async fn gone(&self) -> Result<Vec<String>, BrokerError> {
        let mut gone = Vec::new();
        for KindQueue { kind, queue, .. } in &self.topology.kinds {
            match self.broker.depth(queue).await {
                Ok(_) if !self.vanished.contains(queue) => {}
                Ok(_) | Err(BrokerError::NoSuchQueue { .. }) => gone.push(kind.clone()),
                Err(error) => return Err(error),
            }
        }
        Ok(gone)
    }
}

async fn commit(tx: DatabaseTransaction) -> Result<(), DbErr> {
    fault::point("reconcile_before_commit");
    tx.commit().await?;
    fault::point("reconcile_after_commit");
    Ok(())
}

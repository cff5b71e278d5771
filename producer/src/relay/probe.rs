//! Finding out whether the broker answers again for a kind that is set aside.
//!
//! A probe is the kind's longest due message, sent by itself while no transaction is open: it may take as long as a broker can
//! take, and on SQLite a transaction would hold up every writer. So nothing is claimed and nothing removed. A message whose probe
//! was confirmed is sent a second time with its kind's next window, and the fence finds that one a duplicate.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use sea_orm::DbErr;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{Relay, message};
use crate::broker::topology::JOBS_EXCHANGE;
use crate::broker::{BrokerState, Confirm};
use ackord_entities::error_chain;
use ackord_entities::queue::outbox;

impl Relay {
    /// Probes what is set aside, each kind by itself, until `stop`. A probe that is under way then is let go: it was nobody's
    /// claim.
    pub(super) async fn probes(&self, stop: &CancellationToken) {
        let mut state = self.broker.state();
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
                kinds = self.to_probe(&mut state) => {
                    under_way.extend(kinds.into_iter().map(|kind| self.probe(kind)));
                }
            }
        }
    }

    /// The kinds to probe, once there are any and the broker is there to be asked.
    async fn to_probe(&self, state: &mut watch::Receiver<BrokerState>) -> Vec<String> {
        if state.wait_for(|state| *state == BrokerState::Open).await.is_err() {
            return std::future::pending().await;
        }
        self.aside.to_probe().await
    }

    /// Probes one kind.
    pub(super) async fn probe(&self, kind: String) {
        match self.ask(&kind).await {
            Ok(Some(Confirm::Unanswered)) => self.aside.unanswered(&kind, Instant::now()),
            // A refusal is an answer as well: the window that follows deals with it. Of a kind of which nothing waits there is
            // nothing to find out; another relay has sent it.
            Ok(Some(Confirm::Confirmed | Confirm::Refused(_)) | None) => {
                if self.aside.back(&kind) {
                    self.doorbell.ring();
                }
            }
            Err(error) => {
                debug!(
                    job.kind = kind,
                    error = error_chain(&error),
                    "a kind that is set aside cannot be probed now"
                );
                self.aside.later(&kind, Instant::now());
            }
        }
    }

    /// Sends the longest due message of a kind by itself, if one is due.
    async fn ask(&self, kind: &str) -> Result<Option<Confirm>, super::RoundError> {
        let read = self.database.read();
        let due = self.database.within_limit(async {
            let now = self.database.clock().now(read).await?;
            outbox::longest_due(read, kind, now).await
        });
        let due: Option<outbox::Due> = due.await.map_err(|error: DbErr| error)?;
        let Some(due) = due else { return Ok(None) };
        let confirms = self.broker.publish(JOBS_EXCHANGE, &[message(due)]).await;
        let confirm = confirms?.pop();
        self.meter.probed(confirm.as_ref());
        Ok(confirm)
    }
}

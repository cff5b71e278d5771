//! The state of both connections as one.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::connection::{Link, LinkState};
use crate::broker::BrokerState;

/// What a broker with two connections is: closed when one of them is, blocked when the publishing one is.
pub(super) struct Status {
    shown: watch::Receiver<BrokerState>,
    task: JoinHandle<()>,
}

impl Status {
    /// Follows both links.
    pub(super) fn of(publishing: &Arc<Link>, consuming: &Arc<Link>) -> Self {
        let (mut publishing, mut consuming) = (publishing.watch(), consuming.watch());
        let (now, _) = combined(&publishing.borrow_and_update(), &consuming.borrow_and_update());
        let (sender, shown) = watch::channel(now);
        let task = tokio::spawn(async move {
            loop {
                let changed = tokio::select! {
                    changed = publishing.changed() => changed,
                    changed = consuming.changed() => changed,
                };
                if changed.is_err() {
                    break;
                }
                let (now, reason) = combined(&publishing.borrow_and_update(), &consuming.borrow_and_update());
                let changed = sender.send_if_modified(|state| std::mem::replace(state, now) != now);
                if changed {
                    report(now, &reason);
                }
            }
        });
        Self { shown, task }
    }

    pub(super) fn watch(&self) -> watch::Receiver<BrokerState> {
        self.shown.clone()
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn combined(publishing: &LinkState, consuming: &LinkState) -> (BrokerState, String) {
    match (publishing, consuming) {
        (LinkState::Open { blocked: Some(reason), .. }, LinkState::Open { .. }) => {
            (BrokerState::Blocked, reason.clone())
        }
        (LinkState::Open { .. }, LinkState::Open { .. }) => (BrokerState::Open, String::new()),
        (LinkState::Closed, _) | (_, LinkState::Closed) => (BrokerState::Closed, String::new()),
    }
}

fn report(state: BrokerState, reason: &str) {
    match state {
        BrokerState::Open => info!("the broker takes and gives messages"),
        BrokerState::Blocked => warn!(
            reason,
            "the broker takes no messages: free memory or disk space on its nodes (`rabbitmq-diagnostics alarms`); consumers go on"
        ),
        // The connections say it, and why.
        BrokerState::Closed => {}
    }
}

//! The lock, and who takes it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};

use tokio::sync::mpsc;

use super::EmbeddedOptions;
use super::consumer::Outlet;
use super::settle::EmbeddedSettler;
use super::state::State;
use crate::broker::{BrokerError, Consumer, Settler};

/// Numbers the consumers of every embedded broker of this process, so that no tag of one fits another.
static LAST_CONSUMER: AtomicU64 = AtomicU64::new(0);

/// The broker's state behind its lock.
pub(super) struct Shared {
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(options: EmbeddedOptions) -> Self {
        Self { state: Mutex::new(State::new(options)) }
    }

    /// The state, locked. Held for one operation, never over an await.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // No operation leaves the state half done where it could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a consumer.
pub(super) fn consume(shared: &Arc<Shared>, queue: &str, prefetch: usize) -> Result<Consumer, BrokerError> {
    #[expect(clippy::disallowed_methods, reason = "the prefetch bounds what is in it")]
    let (sender, deliveries) = mpsc::unbounded_channel();
    let consumer = LAST_CONSUMER.fetch_add(1, Ordering::Relaxed) + 1;
    let hang_up = Waker::from(Arc::new(HangUp { shared: Arc::downgrade(shared), consumer }));
    shared.state().consume(queue, consumer, prefetch, Outlet::new(sender, &hang_up))?;
    let settler = Settler::new(Arc::new(EmbeddedSettler { shared: Arc::clone(shared), consumer }));
    Ok(Consumer { deliveries, settler })
}

/// Cancels a consumer when its receiver goes.
struct HangUp {
    shared: Weak<Shared>,
    consumer: u64,
}

impl Wake for HangUp {
    fn wake(self: Arc<Self>) {
        if let Some(shared) = self.shared.upgrade() {
            shared.state().cancel(self.consumer);
        }
    }
}

//! Bytes that do not arrive.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

type Seen = dyn Fn(&[u8]) -> bool + Send + Sync;

/// Closes one connection when certain bytes pass, once.
#[derive(Clone)]
pub struct Trap {
    direction: Direction,
    seen: Arc<Seen>,
    sprung: Arc<watch::Sender<bool>>,
}

impl Trap {
    pub(super) fn new(direction: Direction, seen: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self { direction, seen: Arc::new(seen), sprung: Arc::new(watch::Sender::new(false)) }
    }

    /// Waits until it has closed a connection.
    pub async fn sprung(&self) {
        // This value is a sender, so it cannot be closed.
        let _ = self.sprung.subscribe().wait_for(|sprung| *sprung).await;
    }

    /// Whether it has.
    pub fn has_sprung(&self) -> bool {
        *self.sprung.borrow()
    }

    /// Whether the connection must go because of what passed last. Of several that ask at once one hears yes.
    pub(super) fn springs(&self, direction: Direction, recent: &[u8]) -> bool {
        direction == self.direction
            && !self.has_sprung()
            && (self.seen)(recent)
            && self.sprung.send_if_modified(|sprung| !std::mem::replace(sprung, true))
    }
}

impl fmt::Debug for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trap")
            .field("direction", &self.direction)
            .field("sprung", &self.has_sprung())
            .finish_non_exhaustive()
    }
}

//! A job on the terminal.

use ackord_entities::queue::state::ShownState;

use crate::terminal::{bad, dim, good, waiting};

/// A state in its colour.
pub(crate) fn coloured(state: ShownState) -> String {
    match state {
        ShownState::Succeeded => good(state),
        ShownState::Failed | ShownState::Dead => bad(state),
        ShownState::Cancelled => dim(state),
        ShownState::Scheduled | ShownState::Retrying | ShownState::Deferred => waiting(state),
        ShownState::Queued | ShownState::Running => state.to_string(),
    }
}

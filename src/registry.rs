//! The handlers that this program runs.

use ackord_consumers::registry::Registry;

/// The handler of every kind in the catalogue.
pub(crate) fn registry() -> Registry {
    ackord_consumers::jobs::registry()
}

//! Copying a graph from its write side to its read side.
//!
//! A [`SyncProvider`] does one cycle at a time; the registry finds the one that a graph's composition names. The default provider is
//! [`engine`], which keeps the read side's tables like those of the write side; [`mirror`] writes files.

pub mod engine;
pub mod mirror;
mod nobody;
mod places;
mod provider;
mod registry;

pub use engine::Claim;
pub use nobody::{NONE, Nobody};
pub use places::Places;
pub use provider::{Cycle, CycleEnd, Progress, SyncContext, SyncError, SyncProvider, TableCount};
pub use registry::{Composition, Providers, ResolveError, Resolved};

//! The contracts: what each kind's message says and which rules it lives by.
//!
//! A new kind adds one file here and one line in the catalogue below.

#[cfg(feature = "testing")]
pub mod agreement;
mod backoff;
pub mod check;
mod contract;
mod misfit;
mod payload;
mod recombination;
mod regeneration;
mod replay;
mod schema;
mod spec;
mod strict;
mod super_synthesis;
mod sync_cycle;
mod sync_dispatch;
mod synthesis;

pub use backoff::Backoff;
pub use contract::{Invalid, Job, Notices, OnDuplicate};
pub use payload::{MAX_PAYLOAD_BYTES, PayloadError, decode, encode};
pub use recombination::Recombination;
pub use regeneration::Regeneration;
pub use replay::Replay;
pub use spec::{Catalogue, CatalogueError, Keys, KindSpec};
pub use super_synthesis::{SubConfig, SuperSynthesis};
pub use sync_cycle::SyncCycle;
pub use sync_dispatch::SyncDispatch;
pub use synthesis::{Synthesis, Visibility};

/// Every kind that ackord itself knows: one line per kind.
#[must_use]
pub fn catalogue() -> Catalogue {
    Catalogue::new([
        KindSpec::of::<Recombination>(),
        KindSpec::of::<Regeneration>(),
        KindSpec::of::<Replay>(),
        KindSpec::of::<SuperSynthesis>(),
        KindSpec::of::<SyncCycle>(),
        KindSpec::of::<SyncDispatch>(),
        KindSpec::of::<Synthesis>(),
    ])
}

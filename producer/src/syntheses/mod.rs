//! What changes a synthesis and publishes a job for it, in one transaction: neither is ever there without the other.
//!
//! Everything here takes the caller's transaction and locks in one order, so that no two of them wait for each other: a
//! synthesis's own row, then the rows of its super-syntheses in `write_super_syntheses` by id, then dedup keys, then the rows of
//! the super-syntheses in `write_syntheses`. Why, and who else locks them, stands in `docs/adr/0014-fan-in.md`.

mod catch_up;
mod fan_in;
mod regenerate;
mod remove;

pub use catch_up::{CatchUp, catch_up};
pub use fan_in::part_ended;
pub use regenerate::{RegenerateError, Regenerated, regenerate};
pub use remove::{Removed, remove};

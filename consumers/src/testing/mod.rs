//! For tests of handlers, of ackord's own and of everybody else's: a stage with a real database, the embedded broker, a relay
//! and a worker, and a harness that puts one handler through everything that can happen to a delivery.

mod faulty;
mod fence;
mod harness;
mod stage;

pub use fence::{Meaning, meaning};
pub use harness::{Candidate, Harness};
pub use stage::{Stage, StageOptions, eventually};

//! The worker: takes deliveries, performs the jobs, commits their effects in groups, and settles after the commit.
//!
//! [`handler`] is what a kind implements, [`registry`] where it is listed, [`worker`] what runs it. The kinds that ackord itself
//! runs are in [`jobs`].

pub mod error;
pub mod handler;
pub mod health;
pub mod jobs;
pub mod metrics;
pub mod registry;
mod runtime;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;
pub mod worker;

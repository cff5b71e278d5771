//! The worker: takes deliveries, performs the jobs, commits their effects in groups, and settles after the commit.
//!
//! [`handler`] is what a kind implements, [`registry`] where it is listed, `runtime` what runs it.

pub mod error;
pub mod handler;
pub mod registry;

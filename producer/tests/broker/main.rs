//! Brokers from outside: the conformance suite on each of them, what is the own of each, a model, and many threads.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod conformance;
mod model;
mod own;
mod rabbit;
mod threads;

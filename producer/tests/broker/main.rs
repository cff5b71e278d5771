//! The embedded broker from outside: the conformance suite, what is its own, a model, and many threads.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod conformance;
mod model;
mod own;
mod threads;

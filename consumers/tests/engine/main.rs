//! The engine, run for real: a database, the embedded broker, a relay and a worker.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod happy_path;
mod kinds;

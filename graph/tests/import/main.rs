//! Importing into a graph, on SQLite and on Postgres.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod jsonl;
mod refusals;
mod reimport;
mod search;
mod world;

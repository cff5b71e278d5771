//! The API over HTTP: a real server on a free port, a real client, SQLite and Postgres. Every answer is held against the OpenAPI
//! document.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod client;
mod world;

mod document;
mod graphs;
mod jobs;
mod letters;
mod open;
mod progress;
mod requests;
mod schedules;
mod states;
mod sync;
mod syntheses;
mod tokens;
mod wholes;

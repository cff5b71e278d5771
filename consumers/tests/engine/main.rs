//! The engine, run for real: a database, the embedded broker, a relay and a worker. One module per behaviour; each runs on
//! SQLite and on Postgres, on a database that holds what an earlier run has left.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod ahead;
mod archive;
mod cancel;
mod clock;
mod contained;
mod contracts;
mod dedup;
mod dedup_handed_over;
mod deliveries;
mod drain;
mod effects;
mod failures;
mod fence;
mod forged;
mod happy_path;
mod harness;
mod health;
mod kinds;
mod late;
mod leases;
mod letters;
mod notices;
mod observed;
mod outage;
mod pause;
mod postgres_conflict;
mod postgres_outage;
mod postgres_tls;
mod replays;
mod steps;
mod suspects;
mod unreadable;
mod upkeep;

#![allow(clippy::unwrap_used, reason = "tests")]

mod safe;
mod telling;
mod world;

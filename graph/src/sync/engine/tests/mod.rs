#![allow(clippy::unwrap_used, reason = "tests")]

mod columns;
mod copying;
mod held;
mod large;
mod late;
mod safe;
mod world;

//! The limit that the engine is measured against: lapin and tokio-postgres without it.

fn main() {}

//! Everything durable in ackord: tables with their states, typed ids, job contracts, the envelope of a message.
//!
//! No broker and no runtime: whoever reads or writes ackord's data stands on this crate alone.

pub mod clock;
pub mod database;
pub mod envelope;
pub mod graph;
pub mod ids;
pub mod jobs;
pub mod queue;
#[cfg(feature = "testing")]
pub mod testing;

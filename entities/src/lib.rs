//! Everything durable in ackord: tables with their states, typed ids, job contracts, the envelope of a message.
//!
//! No broker and no runtime: whoever reads or writes ackord's data stands on this crate alone.

pub mod clock;
pub mod database;
pub mod envelope;
pub mod fault;
pub mod graph;
pub mod ids;
pub mod jobs;
pub mod queue;
pub mod sync;
#[cfg(feature = "testing")]
pub mod testing;

/// An error with its causes, joined by colons: what operators read. May name servers, paths and statements.
#[must_use]
pub fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries print their cause themselves.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

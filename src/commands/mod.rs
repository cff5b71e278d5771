//! The verbs, one file or folder each. A verb reads its arguments, calls the crates, prints the answer; it decides nothing.

pub(crate) mod config;
pub(crate) mod schema;

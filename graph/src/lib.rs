//! The knowledge-graph domain without queues: import, search, writing. Job handlers are thin over it.

pub mod import;
pub mod search;
pub mod sync;
pub mod synthesis;
pub mod text;

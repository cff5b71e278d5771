//! What an import tells while it runs.

use std::path::Path;

use super::report::{Outcome, RefusedLine};

/// Something that happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A file was found that will be looked at, with its size in bytes.
    Found {
        /// Its size.
        bytes: u64,
    },
    /// All files are found.
    AllFound,
    /// So many bytes of found files are dealt with.
    Done {
        /// How many more.
        bytes: u64,
    },
    /// A file is dealt with.
    File {
        /// The file.
        path: &'a Path,
        /// What became of it.
        outcome: &'a Outcome,
    },
    /// A line of a JSONL file was refused, in whole or in part.
    Line(&'a RefusedLine),
}

/// Somebody who wants to see an import at work. Called from several threads; it should return at once.
pub trait Progress: Send + Sync {
    /// Something happened.
    fn on(&self, event: Event<'_>);
}

/// Nobody looks on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn on(&self, _: Event<'_>) {}
}

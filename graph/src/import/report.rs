//! What an import did.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::refusal::{LineRefusal, Refusal};

/// Refused files and lines that a report lists by name; the rest is only counted.
const MOST_LISTED: usize = 10_000;

/// What a file gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Sentences or stated facts.
    pub facts: u64,
    /// Nodes that they mention.
    pub nodes: u64,
    /// Records (lines) of a JSONL file that were written; 0 for a document.
    pub records: u64,
    /// Records of a JSONL file that had not changed.
    pub unchanged_records: u64,
    /// Records that are no longer in the file and were removed.
    pub removed_records: u64,
    /// Lines of a JSONL file that were refused, in whole or in part.
    pub refused_lines: u64,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is new.
    Taken(Taken),
    /// It had changed, or its last import was cut off; what it gave before is replaced.
    Updated(Taken),
    /// It is what it was.
    Unchanged,
    /// It was not taken.
    Refused(Refusal),
    /// It is gone and its source was removed.
    Removed,
}

/// A file that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedFile {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[serde(flatten)]
    pub refusal: Refusal,
}

/// A line that was refused, in whole or in part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedLine {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// Why.
    #[serde(flatten)]
    pub refusal: LineRefusal,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// New files.
    pub taken: u64,
    /// Files that had changed.
    pub updated: u64,
    /// Files that had not changed.
    pub unchanged: u64,
    /// Files that were not taken.
    pub refused: u64,
    /// Files in the folders that nothing here reads, by their ending: they are passed over without a word.
    pub passed_over: u64,
    /// Sources under the folders whose files are gone, and which are still in the graph.
    pub gone: u64,
    /// Sources whose files are gone and which were removed.
    pub removed: u64,
    /// Facts of the new and changed files.
    pub facts: u64,
    /// Bytes of the new and changed files.
    pub bytes: u64,
    /// Lines that were refused, in whole or in part.
    pub refused_lines: u64,
    /// The refused files, the first 10,000.
    pub refused_files: Vec<RefusedFile>,
    /// The refused lines, the first 10,000.
    pub lines: Vec<RefusedLine>,
    /// How long it took, in seconds.
    #[serde(serialize_with = "seconds", rename = "seconds")]
    pub duration: Duration,
}

impl Report {
    pub(super) fn add(&mut self, path: &Path, outcome: &Outcome, bytes: u64) {
        match outcome {
            Outcome::Taken(taken) => {
                self.taken += 1;
                self.facts += taken.facts;
                self.bytes += bytes;
            }
            Outcome::Updated(taken) => {
                self.updated += 1;
                self.facts += taken.facts;
                self.bytes += bytes;
            }
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Removed => self.removed += 1,
            Outcome::Refused(refusal) => {
                self.refused += 1;
                if self.refused_files.len() < MOST_LISTED {
                    self.refused_files.push(RefusedFile { path: path.to_owned(), refusal: refusal.clone() });
                }
            }
        }
    }

    pub(super) fn add_line(&mut self, line: RefusedLine) {
        self.refused_lines += 1;
        if self.lines.len() < MOST_LISTED {
            self.lines.push(line);
        }
    }
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

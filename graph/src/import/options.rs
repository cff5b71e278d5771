//! What an import is told.

/// How to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportOptions {
    /// The slug of the graph; it is made when it is not there. Or the id of one that is there.
    pub graph: String,
    /// The largest file that is taken, in bytes; of a JSONL file, the longest line. 16 MiB unless told otherwise.
    pub most_bytes: u64,
    /// Patterns of files and folders to leave out, written as in a `.gitignore`, seen from the folder that is imported.
    pub excludes: Vec<String>,
    /// Whether sources under an imported folder whose files are gone are removed. Off unless told otherwise, because a folder
    /// that is not mounted looks like one whose files are gone: the report counts them in both cases.
    pub prune: bool,
    /// How many threads read files; 0 means one less than the machine has cores, and at least one.
    pub readers: usize,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            graph: ackord_entities::graph::graphs::DEFAULT.to_owned(),
            most_bytes: 16 * 1024 * 1024,
            excludes: Vec::new(),
            prune: false,
            readers: 0,
        }
    }
}

impl ImportOptions {
    pub(super) fn reader_threads(&self) -> usize {
        if self.readers > 0 {
            return self.readers;
        }
        std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).clamp(1, 8))
    }
}

//! Files and folders into the write side of a graph.
//!
//! [`Import`] walks its paths, reads and takes apart what changed on threads of its own, and writes in transactions of
//! bounded size, so that other writers get their turn. It keeps in memory a few files at a time, whatever the corpus.
//!
//! What a source gives depends on its own bytes only, and a graph is the union of what its sources give: facts shared by several
//! sources are stored once, a node or an edge is there as long as one source speaks of it, and an edge weighs as many facts as mention both
//! its nodes. So the order of imports does not matter, and a graph after any number of re-imports is the graph that
//! a fresh import of the same files makes. Nodes of type `synthesis` are nobody's to remove here.
//!
//! What a crash leaves: a source that fits one transaction is there with all it gives or not at all. A larger one is
//! written in several, its content hash last; the next import sees that the hash is missing and writes it anew.

mod apply;
mod change;
mod content;
mod contribution;
mod error;
mod files;
mod options;
mod progress;
mod prune;
mod reading;
mod record;
mod records;
mod refusal;
mod report;
mod run;
mod streams;
mod upload;
mod uri;
mod writer;

pub use error::ImportError;
pub use options::ImportOptions;
pub use progress::{Event, Progress, Silent};
pub use refusal::{LineRefusal, Refusal};
pub use report::{Outcome, RefusedFile, RefusedLine, Report, Taken};
pub use run::Import;
pub use upload::{Upload, UploadFormat};
pub use uri::file_uri;

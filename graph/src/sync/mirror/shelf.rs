//! The files of a mirror, and which changes each of them speaks of.

use std::path::Path;

use super::files::Part;
use super::lines::{Lines, Page};
use super::{lines, stopped, syntheses};
use crate::sync::provider::{SyncContext, SyncError, TableCount};

/// Lines in memory at once.
const PAGE: u64 = 1_000;
/// The folder of texts.
pub(super) const SYNTHESES: &str = "syntheses";
/// It says that all of them are there: without it they are written again.
const WHOLE: &str = "syntheses/.whole";
/// The one that is least to write.
pub(super) const SMALLEST: &str = SYNTHESES;

/// A file, or the folder of texts.
#[derive(Debug)]
pub(super) struct Shelf {
    /// Its name in what a cycle did.
    pub(super) name: &'static str,
    /// The file in the graph's folder that is there once it was written.
    pub(super) path: &'static str,
    /// The streams that it speaks of.
    pub(super) streams: &'static [&'static str],
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Sources,
    Facts,
    Nodes,
    Edges,
    Syntheses,
}

/// All of them, in the order in which they are written.
pub(super) static SHELVES: [Shelf; 5] = [
    Shelf { name: "sources", path: "sources.jsonl", streams: &["sources"], kind: Kind::Sources },
    Shelf {
        name: "facts",
        path: "facts.jsonl",
        // Where a fact is said is noted with the source; a node that becomes private leaves the lines of its facts.
        streams: &["facts", "sources", "nodes"],
        kind: Kind::Facts,
    },
    Shelf { name: "nodes", path: "nodes.jsonl", streams: &["nodes"], kind: Kind::Nodes },
    Shelf { name: "edges", path: "edges.jsonl", streams: &["edges", "nodes"], kind: Kind::Edges },
    Shelf { name: SYNTHESES, path: WHOLE, streams: &["syntheses"], kind: Kind::Syntheses },
];

impl Shelf {
    /// Writes it as the graph is now.
    pub(super) async fn write(&self, context: &SyncContext, home: &Path) -> Result<TableCount, SyncError> {
        let place = home.join(self.path);
        match self.kind {
            Kind::Sources => write(context, &place, lines::Sources::default()).await,
            Kind::Facts => write(context, &place, lines::Facts::default()).await,
            Kind::Nodes => write(context, &place, lines::Nodes::default()).await,
            Kind::Edges => write(context, &place, lines::Edges::default()).await,
            Kind::Syntheses => syntheses::write(context, &place).await,
        }
    }
}

/// Writes a file page by page.
async fn write(context: &SyncContext, place: &Path, mut lines: impl Lines) -> Result<TableCount, SyncError> {
    let mut part = Part::begin(place).await?;
    let mut count = TableCount::default();
    loop {
        let Page { bytes, lines: written, is_last } = lines.next(context, PAGE).await?;
        part.write(&bytes).await?;
        count.moved += written;
        if is_last {
            break;
        }
        stopped(context)?;
    }
    part.finish().await?;
    Ok(count)
}

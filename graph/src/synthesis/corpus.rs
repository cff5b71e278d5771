//! Graphs for tests: documents written into a folder and imported.

#![allow(clippy::unwrap_used, reason = "tests")]

use ackord_entities::database::Database;
use ackord_entities::graph::graphs;
use ackord_entities::ids::GraphId;

use crate::import::{Import, ImportOptions};

/// A document about leases and one about the outbox, each with its own way to say it.
pub(crate) const DOCUMENTS: [(&str, &str); 3] = [
    ("leases.md", include_str!("testdata/leases.md")),
    ("outbox.md", include_str!("testdata/outbox.md")),
    ("notes.md", include_str!("testdata/notes.md")),
];

/// Imports the documents (name, text) into the graph `slug` and returns its id.
pub(crate) async fn import(database: &Database, slug: &str, documents: &[(&str, &str)]) -> GraphId {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in documents {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let options = ImportOptions { graph: slug.to_owned(), ..ImportOptions::default() };
    let report = Import::new(database.clone(), options).run(&[folder.path().to_owned()]).await.unwrap();
    assert_eq!(report.refused, 0);
    graphs::id_of(slug)
}

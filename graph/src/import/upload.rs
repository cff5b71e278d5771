//! A document that comes without a file: the bytes of it, and the address under which they are kept.

use std::path::{Path, PathBuf};

use ackord_entities::graph::source;
use ackord_entities::ids::GraphId;

use super::contribution::FileFacts;
use super::files::FileType;
use super::reading::{Content, Task};

/// A document that comes without a file.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Its address: what comes again under the same one replaces it.
    pub uri: String,
    /// How it is written.
    pub format: UploadFormat,
    /// The document.
    pub content: Vec<u8>,
}

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadFormat {
    /// Markdown.
    Markdown,
    /// Plain text.
    Plain,
    /// A record in each line.
    Jsonl,
}

impl From<UploadFormat> for FileType {
    fn from(format: UploadFormat) -> Self {
        match format {
            UploadFormat::Markdown => Self::Markdown,
            UploadFormat::Plain => Self::Plain,
            UploadFormat::Jsonl => Self::Jsonl,
        }
    }
}

impl Upload {
    /// What a reader is told of it.
    pub(super) fn task(self, graph: GraphId) -> Task {
        let file_type = FileType::from(self.format);
        let id = source::id_of(graph, &self.uri);
        let path = PathBuf::from(last_part(&self.uri));
        let file = FileFacts { graph, id, uri: self.uri, content_type: file_type.media_type() };
        let bytes = self.content.len() as u64;
        Task { path, file_type, bytes, content: Content::Bytes(self.content.into()), file, known: None }
    }
}

/// What stands for the name of a file: a title where the document has none.
fn last_part(uri: &str) -> String {
    let address = uri.split(['?', '#']).next().unwrap_or(uri).trim_end_matches('/');
    let name = Path::new(address).file_name().map(|name| name.to_string_lossy().into_owned());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| uri.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_without_a_title_is_called_by_the_end_of_its_address() {
        assert_eq!(last_part("https://example.org/notes/leases.md?x=1#y"), "leases.md");
        assert_eq!(last_part("upload:notes"), "upload:notes");
        assert_eq!(last_part("https://example.org/"), "example.org");
    }
}

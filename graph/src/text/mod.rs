//! Text without a database: documents become sentences that know their place, and the nodes that these mention.
//!
//! What a document gives depends on its own bytes only, never on what was read before it. That is what makes an import
//! repeatable: a graph is the union of what its sources give, in whatever order they came.

mod abbreviations;
mod analyse;
mod block;
mod candidates;
mod document;
mod front_matter;
mod lexicon;
mod mapped;
mod markdown;
mod mentions;
mod plain;
mod sentence;
mod slug;
mod stop_words;
mod terms;
mod words;

pub use document::{Document, DocumentNode, DocumentSentence, Format, NodeKind, Reader, SentenceKind};
pub use sentence::split_sentences;
pub use slug::{MOST_CHARACTERS, slug};
pub use terms::terms_of;

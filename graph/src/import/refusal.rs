//! Why a file or a line was not taken.

use serde::Serialize;

/// Why a file was not taken. What the graph held of it before stays, unless the refusal says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// It cannot be opened or read.
    #[error("cannot be read: {message}")]
    Unreadable {
        /// What the system said.
        message: String,
    },
    /// It is neither a file nor a folder.
    #[error("is no regular file")]
    NotAFile,
    /// It was named, but nothing here reads its kind.
    #[error(
        "is of an unknown kind: files ending in .md, .markdown, .txt, .text, .jsonl and .ndjson are read"
    )]
    UnknownType,
    /// It is too large.
    #[error("has {size} bytes, the limit is {limit}")]
    OverLimit {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Nothing but white space is in it. What the graph held of it before is removed.
    #[error("is empty")]
    Empty,
    /// It is text but for a NUL byte.
    #[error("holds a NUL byte at byte {offset}")]
    NulByte {
        /// Where, in bytes from 0.
        offset: usize,
    },
    /// It is text in another encoding, or damaged.
    #[error("is not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// Where the first byte stands that does not fit, from 0.
        offset: usize,
    },
    /// It is no text.
    #[error("is binary (first at byte {offset})")]
    Binary {
        /// Where the first byte stands that no text holds, from 0.
        offset: usize,
    },
    /// Its title is no title.
    #[error("has a title of {characters} characters, the limit is {limit}")]
    TitleTooLong {
        /// Its length in characters.
        characters: usize,
        /// The limit in characters.
        limit: usize,
    },
    /// Every line of it was refused.
    #[error("none of its {lines} lines could be taken")]
    NoLine {
        /// How many lines it has, blank ones not counted.
        lines: u64,
    },
}

/// Why a line of a JSONL file was not taken, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum LineRefusal {
    /// It is no JSON, or not of the documented shape.
    #[error("field `{field}`: {message}")]
    Shape {
        /// The path of the field: `facts[2].content`; `.` for the record itself.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// It is not UTF-8.
    #[error("is not UTF-8 at byte {offset} of the line")]
    NotUtf8 {
        /// Where, from 0.
        offset: usize,
    },
    /// It is too long.
    #[error("is longer than the limit of {limit} bytes")]
    OverLimit {
        /// The limit in bytes.
        limit: u64,
    },
    /// Another line has the same source.
    #[error("field `source.uri`: `{uri}` is the source of an earlier line too")]
    DuplicateSource {
        /// The URI.
        uri: String,
    },
    /// An edge leads to a node that neither this file nor the graph holds. The rest of the line was taken.
    #[error("field `edges[{edge}].{end}`: there is no node `{node}`")]
    MissingNode {
        /// Which of the record's edges, from 0.
        edge: usize,
        /// `source` or `target`.
        end: &'static str,
        /// The node as the line names it.
        node: String,
    },
}

//! A JSONL file as a stream of lines: it may be larger than memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use ackord_entities::ids::{GraphId, SourceId};

use super::reading::Content;
use super::record::{self, Place, Read};
use super::refusal::{LineRefusal, Refusal};
use super::uri::Addresses;
use crate::text::Reader;

/// A line, read or refused.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) read: Result<Box<Read>, LineRefusal>,
}

/// The hash of a file of any size: BLAKE3 in hexadecimal.
pub(super) fn hash(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// What the lines are read from.
pub(super) fn source(path: &Path, content: Content) -> Result<Box<dyn BufRead>, Refusal> {
    match content {
        Content::File => {
            let file =
                File::open(path).map_err(|error| Refusal::Unreadable { message: error.to_string() })?;
            Ok(Box::new(BufReader::with_capacity(256 * 1024, file)))
        }
        Content::Bytes(content) => Ok(Box::new(io::Cursor::new(content))),
    }
}

/// Reads the file line by line. Blank lines are nothing.
pub(super) struct Lines<'a> {
    file: Box<dyn BufRead>,
    reader: &'a mut Reader,
    graph: GraphId,
    container: SourceId,
    limit: u64,
    addresses: Addresses,
    number: u64,
    at: u64,
    bytes: Vec<u8>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(
        file: Box<dyn BufRead>,
        reader: &'a mut Reader,
        graph: GraphId,
        container: SourceId,
        limit: u64,
        addresses: Addresses,
    ) -> Self {
        Self { file, reader, graph, container, limit, addresses, number: 0, at: 0, bytes: Vec::new() }
    }

    /// The next line that is not blank, and how many bytes of the file were read for it; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<(Line, u64)>> {
        let mut consumed = 0;
        loop {
            let start = self.at;
            let (length, fits) = self.read_line()?;
            if length == 0 {
                return Ok(None);
            }
            self.at += length;
            consumed += length;
            self.number += 1;
            if fits && self.bytes.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let read =
                if fits { self.take(start) } else { Err(LineRefusal::OverLimit { limit: self.limit }) };
            return Ok(Some((Line { number: self.number, read: read.map(Box::new) }, consumed)));
        }
    }

    fn take(&mut self, start: u64) -> Result<Read, LineRefusal> {
        let text = std::str::from_utf8(&self.bytes)
            .map_err(|error| LineRefusal::NotUtf8 { offset: error.valid_up_to() })?
            .trim_start_matches('\u{feff}')
            .trim();
        let place = Place { line: self.number, start, end: start + self.bytes.len() as u64 };
        record::read(self.reader, self.graph, self.container, self.addresses, text, place)
    }

    /// Reads up to the next line break. Returns the line's length, and whether it fits the limit; what does not is skipped, not kept.
    fn read_line(&mut self) -> io::Result<(u64, bool)> {
        self.bytes.clear();
        let mut length = 0;
        let mut fits = true;
        loop {
            let buffer = self.file.fill_buf()?;
            if buffer.is_empty() {
                return Ok((length, fits));
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(buffer.len(), |end| end + 1);
            let content = end.unwrap_or(buffer.len());
            fits = fits && (self.bytes.len() + content) as u64 <= self.limit;
            if fits {
                self.bytes.extend_from_slice(&buffer[..content]);
            } else {
                self.bytes.clear();
            }
            self.file.consume(taken);
            length += taken as u64;
            if end.is_some() {
                return Ok((length, fits));
            }
        }
    }
}

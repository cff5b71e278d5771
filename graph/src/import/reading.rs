//! What the reading threads do: a file's bytes become what the writer writes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ackord_entities::graph::source::{self, Known};
use ackord_entities::ids::SourceId;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::content;
use super::contribution::{self, Contribution, FileFacts, name_of};
use super::files::FileType;
use super::records::{self, Line, Lines};
use super::refusal::Refusal;
use super::uri::Addresses;
use crate::text::{Format, Reader};

/// How much may be read ahead of the writer, in KiB of files.
pub(super) const READ_AHEAD: u32 = 48 * 1024;
/// How much of a JSONL file goes to the writer at once, in bytes.
const RECORDS_AT_ONCE: u64 = 256 * 1024;

/// A file with what the graph knows of it.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) path: PathBuf,
    pub(super) file_type: FileType,
    pub(super) bytes: u64,
    pub(super) content: Content,
    pub(super) file: FileFacts,
    pub(super) known: Option<Known>,
}

/// Where the content of a task is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// In the file of its path.
    File,
    /// Here: somebody sent it.
    Bytes(Arc<[u8]>),
}

impl Content {
    /// Which addresses it may name.
    fn addresses(&self) -> Addresses {
        match self {
            Self::File => Addresses::All,
            Self::Bytes(_) => Addresses::NoFiles,
        }
    }
}

/// What the readers hand to the writer. A permit is freed when its item is written: so much more may be read ahead then.
#[derive(Debug)]
pub(super) enum Item {
    /// A file of no kind that is read.
    PassedOver,
    /// `emptied` is the source that goes with it.
    Refused {
        path: PathBuf,
        refusal: Refusal,
        bytes: u64,
        emptied: Option<SourceId>,
    },
    Unchanged {
        path: PathBuf,
        bytes: u64,
    },
    Document {
        path: PathBuf,
        bytes: u64,
        known: bool,
        contribution: Box<Contribution>,
        permit: OwnedSemaphorePermit,
    },
    RecordsBegin {
        path: PathBuf,
        source: Box<source::Model>,
        known: Option<Known>,
    },
    Records {
        file: SourceId,
        lines: Vec<Line>,
        bytes: u64,
        permit: OwnedSemaphorePermit,
    },
    /// The end of a JSONL file, or where it could not be read any further.
    RecordsEnd {
        file: SourceId,
        failed: Option<Refusal>,
    },
}

/// The writer is gone: there is nobody to read for.
#[derive(Debug)]
pub(super) struct Closed;

/// One reading thread.
pub(super) struct FileReader {
    tasks: Arc<Mutex<mpsc::Receiver<Task>>>,
    items: mpsc::Sender<Item>,
    ahead: Arc<Semaphore>,
    runtime: Handle,
    most_bytes: u64,
    reader: Reader,
}

impl FileReader {
    pub(super) fn new(
        tasks: Arc<Mutex<mpsc::Receiver<Task>>>,
        items: mpsc::Sender<Item>,
        ahead: Arc<Semaphore>,
        runtime: Handle,
        most_bytes: u64,
    ) -> Self {
        Self { tasks, items, ahead, runtime, most_bytes, reader: Reader::new() }
    }

    /// Reads until no task is left or the writer is gone.
    pub(super) fn run(mut self) {
        loop {
            let task = self.tasks.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            let Some(task) = task else { return };
            let done = match task.file_type {
                FileType::Markdown => self.document(task, Format::Markdown),
                FileType::Plain => self.document(task, Format::Plain),
                FileType::Jsonl => self.records(task),
            };
            if done.is_err() {
                return;
            }
        }
    }

    fn send(&self, item: Item) -> Result<(), Closed> {
        self.items.blocking_send(item).map_err(|_| Closed)
    }

    fn permit(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Closed> {
        let permits = u32::try_from(bytes / 1024 + 1).unwrap_or(READ_AHEAD).min(READ_AHEAD);
        self.runtime.block_on(Arc::clone(&self.ahead).acquire_many_owned(permits)).map_err(|_| Closed)
    }

    fn document(&mut self, task: Task, format: Format) -> Result<(), Closed> {
        let permit = self.permit(task.bytes)?;
        let Task { path, file, known, bytes, content, .. } = task;
        let read = match content {
            Content::File => content::read(&path, self.most_bytes).map(Arc::from),
            Content::Bytes(content) => content::within(content, self.most_bytes),
        };
        let item = match read
            .and_then(|content| self.contribution(&path, &file, known.as_ref(), &content, format))
        {
            Ok(Some(contribution)) => Item::Document {
                path,
                bytes,
                known: known.is_some(),
                contribution: Box::new(contribution),
                permit,
            },
            Ok(None) => Item::Unchanged { path, bytes },
            Err(refusal) => {
                let emptied = (refusal == Refusal::Empty && known.is_some()).then_some(file.id);
                Item::Refused { path, refusal, bytes, emptied }
            }
        };
        self.send(item)
    }

    /// What the content gives; `None` when the graph has it.
    fn contribution(
        &mut self,
        path: &Path,
        file: &FileFacts,
        known: Option<&Known>,
        content: &[u8],
        format: Format,
    ) -> Result<Option<Contribution>, Refusal> {
        let hash = content::hash(content);
        if is_known(known, &hash) {
            return Ok(None);
        }
        let document = self.reader.read(format, content::text(content)?);
        contribution::of_document(file, path, document, hash, content.len() as u64).map(Some)
    }

    fn records(&mut self, task: Task) -> Result<(), Closed> {
        let Task { path, file, known, bytes, content, .. } = task;
        // Two passes over the file: the hash decides whether the second one is needed.
        let hash = match &content {
            Content::File => records::hash(&path),
            Content::Bytes(content) => Ok(content::hash(content)),
        };
        let hash = hash.map_err(|error| Refusal::Unreadable { message: error.to_string() });
        let addresses = content.addresses();
        let opened = hash.and_then(|hash| {
            let source = records::source(&path, content)?;
            let (reader, most) = (&mut self.reader, self.most_bytes);
            Ok((hash, Lines::new(source, reader, file.graph, file.id, most, addresses)))
        });
        let (hash, mut lines) = match opened {
            Ok(opened) => opened,
            Err(refusal) => return self.send(Item::Refused { path, refusal, bytes, emptied: None }),
        };
        if is_known(known.as_ref(), &hash) {
            return self.send(Item::Unchanged { path, bytes });
        }
        let source = Box::new(file.source(name_of(&path), Some(hash), bytes));
        let items = self.items.clone();
        let send = |item| items.blocking_send(item).map_err(|_| Closed);
        send(Item::RecordsBegin { path, source, known })?;
        let mut batch = Batch::default();
        let failed = loop {
            match lines.next() {
                Ok(Some((line, consumed))) => batch.add(line, consumed),
                Ok(None) => break None,
                Err(error) => break Some(Refusal::Unreadable { message: error.to_string() }),
            }
            if batch.bytes >= RECORDS_AT_ONCE {
                let permits = u32::try_from(batch.bytes / 1024 + 1).unwrap_or(READ_AHEAD).min(READ_AHEAD);
                let permit = self.runtime.block_on(Arc::clone(&self.ahead).acquire_many_owned(permits));
                send(std::mem::take(&mut batch).item(file.id, permit.map_err(|_| Closed)?))?;
            }
        };
        let permit = self.permit(batch.bytes)?;
        send(batch.item(file.id, permit))?;
        send(Item::RecordsEnd { file: file.id, failed })
    }
}

fn is_known(known: Option<&Known>, hash: &str) -> bool {
    known.is_some_and(|known| known.content_hash.as_deref() == Some(hash))
}

#[derive(Default)]
struct Batch {
    lines: Vec<Line>,
    bytes: u64,
}

impl Batch {
    fn add(&mut self, line: Line, bytes: u64) {
        self.lines.push(line);
        self.bytes += bytes;
    }

    fn item(self, file: SourceId, permit: OwnedSemaphorePermit) -> Item {
        Item::Records { file, lines: self.lines, bytes: self.bytes, permit }
    }
}

//! The one part of an import that writes: many small sources in one transaction, a large one in several.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ackord_entities::database::{Database, Fault, classify};
use ackord_entities::graph::{fact_source, source};
use ackord_entities::ids::{GraphId, SourceId};
use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::apply::{Cleared, Part, Write};
use super::contribution::Contribution;
use super::error::ImportError;
use super::progress::{Event, Progress};
use super::reading::Item;
use super::report::{Outcome, RefusedLine, Report, Taken};
use super::streams::Streams;

/// How long a transaction should take: other writers of a SQLite file wait that long.
const AIM: Duration = Duration::from_millis(60);
/// Sentences in a transaction, at least and at most; in between the last transaction's time decides.
///
/// A transaction has some fifty statements however few its sentences are. On a busy machine these alone take longer than
/// the aim, and fewer sentences would only mean more of them.
const FEWEST: usize = 500;
const MOST: usize = 4_000;
/// Bytes of sources in a transaction: what is held back from being read ahead.
const MOST_BYTES: u64 = 8 * 1024 * 1024;
/// A transaction is begun with what there is when nothing came for so long.
const PATIENCE: Duration = Duration::from_millis(20);
/// How often a transaction that met another one is run again.
const MOST_TRIES: u32 = 10;

/// A source that waits for its transaction.
struct Waiting {
    contribution: Box<Contribution>,
    /// Whether it replaces what is there.
    known: bool,
    /// The file to report on, with its size; `None` for a record.
    file: Option<(PathBuf, u64)>,
    _permit: Option<Arc<OwnedSemaphorePermit>>,
}

pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) graph: GraphId,
    progress: Arc<dyn Progress>,
    pub(super) report: Report,
    waiting: Vec<Waiting>,
    sentences: usize,
    bytes: u64,
    pub(super) budget: usize,
    pub(super) streams: Streams,
}

impl Writer {
    pub(super) fn new(database: Database, graph: GraphId, progress: Arc<dyn Progress>) -> Self {
        Self {
            database,
            graph,
            progress,
            report: Report::default(),
            waiting: Vec::new(),
            sentences: 0,
            bytes: 0,
            budget: FEWEST,
            streams: Streams::default(),
        }
    }

    pub(super) fn into_report(self) -> Report {
        self.report
    }

    /// Writes what comes until nothing more comes.
    pub(super) async fn write_all(&mut self, mut items: mpsc::Receiver<Item>) -> Result<(), ImportError> {
        loop {
            let item = match tokio::time::timeout(PATIENCE, items.recv()).await {
                Ok(Some(item)) => item,
                Ok(None) => return self.flush().await,
                Err(_) => {
                    // What waits holds back the readers: it must not wait for more.
                    self.flush().await?;
                    match items.recv().await {
                        Some(item) => item,
                        None => return Ok(()),
                    }
                }
            };
            self.take(item).await?;
        }
    }

    async fn take(&mut self, item: Item) -> Result<(), ImportError> {
        match item {
            Item::PassedOver => self.report.passed_over += 1,
            Item::Refused { path, refusal, bytes, emptied } => {
                if let Some(source) = emptied {
                    self.flush().await?;
                    self.remove(source).await?;
                }
                self.finish(&path, &Outcome::Refused(refusal), bytes);
            }
            Item::Unchanged { path, bytes } => self.finish(&path, &Outcome::Unchanged, bytes),
            Item::Document { path, bytes, known, contribution, permit } => {
                self.bytes += bytes;
                let file = Some((path, bytes));
                self.wait(Waiting { contribution, known, file, _permit: Some(Arc::new(permit)) }).await?;
            }
            Item::RecordsBegin { path, source, known } => self.streams.begin(path, *source, known),
            Item::Records { file, lines, bytes, permit } => {
                self.bytes += bytes;
                self.take_lines(file, lines, Arc::new(permit)).await?;
                self.progress.on(Event::Done { bytes });
            }
            Item::RecordsEnd { file, failed } => self.end_stream(file, failed).await?,
        }
        Ok(())
    }

    pub(super) async fn wait_record(
        &mut self,
        contribution: Contribution,
        known: bool,
        permit: &Arc<OwnedSemaphorePermit>,
    ) -> Result<(), ImportError> {
        let permit = Some(Arc::clone(permit));
        self.wait(Waiting { contribution: Box::new(contribution), known, file: None, _permit: permit }).await
    }

    async fn wait(&mut self, waiting: Waiting) -> Result<(), ImportError> {
        let sentences = waiting.contribution.sentences.len();
        if sentences > self.budget.max(FEWEST) * 2 {
            self.flush().await?;
            return self.write_large(waiting).await;
        }
        if self.sentences + sentences > self.budget {
            self.flush().await?;
        }
        self.sentences += sentences;
        self.waiting.push(waiting);
        if self.sentences >= self.budget || self.bytes >= MOST_BYTES || self.waiting.len() >= MOST {
            self.flush().await?;
        }
        Ok(())
    }

    /// Writes everything that waits in one transaction.
    pub(super) async fn flush(&mut self) -> Result<(), ImportError> {
        let waiting = std::mem::take(&mut self.waiting);
        let sentences = std::mem::take(&mut self.sentences);
        self.bytes = 0;
        if waiting.is_empty() {
            return Ok(());
        }
        let old =
            waiting.iter().filter(|waiting| waiting.known).map(|waiting| waiting.contribution.source.id);
        let old: Vec<SourceId> = old.collect();
        let took = self
            .transaction(|now| Write {
                cleared: old.iter().copied().map(Cleared::all).collect(),
                forgotten: old.clone(),
                parts: waiting.iter().map(|waiting| Part::all(&waiting.contribution)).collect(),
                sources: waiting.iter().map(|waiting| at(&waiting.contribution.source, now)).collect(),
                ..Write::new(self.graph, now)
            })
            .await?;
        self.adapt(sentences, took);
        for waiting in &waiting {
            self.report_on(waiting);
        }
        Ok(())
    }

    /// Writes a source in as many transactions as it takes. Its hash is written last: until then its import counts as cut off.
    async fn write_large(&mut self, waiting: Waiting) -> Result<(), ImportError> {
        let contribution = &*waiting.contribution;
        let source = &contribution.source;
        let unfinished = source::Model { content_hash: None, fact_count: 0, ..source.clone() };
        self.transaction(|now| Write { sources: vec![at(&unfinished, now)], ..Write::new(self.graph, now) })
            .await?;
        if waiting.known {
            self.clear(source.id).await?;
        }
        let mut first = 0;
        while first < contribution.sentences.len() {
            let end = (first + self.budget).min(contribution.sentences.len());
            let part = Part { contribution, sentences: first..end, stated: false };
            let took = self
                .transaction(|now| Write { parts: vec![part.clone()], ..Write::new(self.graph, now) })
                .await?;
            self.adapt(end - first, took);
            first = end;
        }
        let rest = Part { contribution, sentences: 0..0, stated: true };
        self.transaction(|now| Write {
            parts: vec![rest.clone()],
            sources: vec![at(source, now)],
            ..Write::new(self.graph, now)
        })
        .await?;
        self.report_on(&waiting);
        Ok(())
    }

    /// Removes what a source gives, in as many transactions as it takes.
    async fn clear(&mut self, source: SourceId) -> Result<(), ImportError> {
        let mut from = 0;
        let count = fact_source::count_of_source(self.database.write(), source).await?;
        while from < count {
            let to = from + i32::try_from(self.budget).unwrap_or(i32::MAX);
            let cleared = Cleared { source, from, to };
            let took = self
                .transaction(|now| Write { cleared: vec![cleared], ..Write::new(self.graph, now) })
                .await?;
            self.adapt(self.budget, took);
            from = to;
        }
        self.transaction(|now| Write {
            cleared: vec![Cleared::all(source)],
            forgotten: vec![source],
            ..Write::new(self.graph, now)
        })
        .await?;
        Ok(())
    }

    /// Removes a source that is not a container, with all it gives.
    pub(super) async fn remove(&mut self, source: SourceId) -> Result<(), ImportError> {
        self.clear(source).await?;
        self.transaction(|now| Write { removed: vec![source], ..Write::new(self.graph, now) }).await?;
        Ok(())
    }

    /// Runs a transaction until it meets no other one; tells how long it took.
    pub(super) async fn transaction<'a>(
        &self,
        write: impl Fn(DateTime<Utc>) -> Write<'a>,
    ) -> Result<Duration, ImportError> {
        let mut tries = 1;
        loop {
            let begun = Instant::now();
            match self.try_transaction(&write).await {
                Ok(()) => return Ok(begun.elapsed()),
                Err(error) if classify(&error) == Fault::Conflict && tries < MOST_TRIES => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn try_transaction<'a>(&self, write: &impl Fn(DateTime<Utc>) -> Write<'a>) -> Result<(), DbErr> {
        let transaction: DatabaseTransaction = self.database.begin().await?;
        let now = self.database.clock().now(&transaction).await?;
        write(now).apply(&transaction).await?;
        transaction.commit().await
    }

    /// Takes the next transaction larger or smaller by how long one of `sentences` took.
    fn adapt(&mut self, sentences: usize, took: Duration) {
        if sentences < FEWEST {
            return;
        }
        let fitting = sentences as u128 * AIM.as_micros() / took.as_micros().max(1);
        let fitting = usize::try_from(fitting).unwrap_or(MOST);
        // Half way, so that one slow commit does not make ten small transactions.
        self.budget = usize::midpoint(self.budget, fitting).clamp(FEWEST, MOST);
    }

    fn report_on(&mut self, waiting: &Waiting) {
        let Some((path, bytes)) = &waiting.file else { return };
        let taken = Taken {
            facts: waiting.contribution.sentences.len() as u64,
            nodes: waiting.contribution.nodes.len() as u64,
            ..Taken::default()
        };
        let outcome = if waiting.known { Outcome::Updated(taken) } else { Outcome::Taken(taken) };
        self.finish(path, &outcome, *bytes);
    }

    fn finish(&mut self, path: &Path, outcome: &Outcome, bytes: u64) {
        self.progress.on(Event::Done { bytes });
        self.tell(path, outcome, bytes);
    }

    pub(super) fn tell(&mut self, path: &Path, outcome: &Outcome, bytes: u64) {
        self.report.add(path, outcome, bytes);
        self.progress.on(Event::File { path, outcome });
    }

    pub(super) fn tell_line(&mut self, line: RefusedLine) {
        self.progress.on(Event::Line(&line));
        self.report.add_line(line);
    }
}

pub(super) fn at(source: &source::Model, now: DateTime<Utc>) -> source::Model {
    source::Model { created_at: now, updated_at: now, ..source.clone() }
}

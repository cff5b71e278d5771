//! Reads ahead on the write side: while one portion is written, the next one is read.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use ackord_entities::graph::changes::{self, Change, Horizon, Position};
use sea_orm::DbBackend;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::super::provider::{SyncContext, SyncError};
use super::rows::{self, Row, Wanted};
use super::streams::Stream;

/// Changes read at once.
const CHANGES: u64 = 4_000;
/// Rows of one portion, which is one transaction of the read side.
pub(super) const ROWS: usize = 4_000;
/// Groups of several rows that are read at first, before it is known how many rows they have.
const GROUPS: usize = 64;
/// By how much more the next portion may have.
const MORE: usize = 8;

/// Records that are remembered, twice at most: so many transactions may follow each other that change the same ones.
const REMEMBERED: usize = 100_000;

/// Rows that are written at once.
pub(super) struct Portion {
    /// The records that are being copied.
    pub(super) wanted: Arc<[Wanted]>,
    pub(super) rows: Vec<Row>,
    /// Which of the records have all their rows in this portion or in those before it.
    pub(super) finished: Range<usize>,
    pub(super) end: End,
}

/// What ends with a portion.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// The records have more rows.
    Nothing,
    /// These are the last rows of the records.
    Records,
    /// So they are, and the records are all that has changed up to here.
    Changes(Position),
}

/// Reads one stream.
pub(super) struct Reader<'a> {
    context: &'a SyncContext,
    stream: &'static Stream,
    groups: usize,
    recent: Recent,
    portions: mpsc::Sender<Result<Portion, SyncError>>,
}

impl<'a> Reader<'a> {
    /// A reader, and where its portions come out.
    pub(super) fn new(
        context: &'a SyncContext,
        stream: &'static Stream,
    ) -> (Self, mpsc::Receiver<Result<Portion, SyncError>>) {
        let (portions, receiver) = mpsc::channel(1);
        (Self { context, stream, groups: GROUPS, recent: Recent::default(), portions }, receiver)
    }

    /// Reads what has changed behind `after`, up to the horizon, or until nobody wants more.
    pub(super) async fn changes(mut self, mut after: Position, horizon: Horizon) {
        let SyncContext { write, graph, .. } = self.context;
        loop {
            let page =
                changes::page(write.read(), *graph, self.stream.changes, after, horizon.number, CHANGES)
                    .await;
            let page = match page {
                Ok(page) => page,
                Err(error) => return self.fails(error.into()).await,
            };
            let Some(last) = page.last() else { return };
            after = last.position;
            let wanted = self.wanted(&page, &horizon);
            if !self.portions_of(wanted, End::Changes(after)).await {
                return;
            }
        }
    }

    /// Reads these records, which are in the order of their ids.
    pub(super) async fn records(mut self, wanted: Vec<Wanted>) {
        self.portions_of(wanted, End::Records).await;
    }

    /// Each record of a page once, with its newest number, in the order of the ids. One that was read before in this cycle is left out: it
    /// was read after everything up to the horizon was there.
    fn wanted(&mut self, page: &[Change], horizon: &Horizon) -> Vec<Wanted> {
        let backend = if horizon.cluster.is_some() { DbBackend::Postgres } else { DbBackend::Sqlite };
        let mut found: BTreeMap<Uuid, Wanted> = BTreeMap::new();
        for change in page {
            let number = change.position.number(backend);
            let Some(wanted) = Wanted::read(self.stream, self.context.graph, &change.record_key, number)
            else {
                tracing::error!(
                    table = self.stream.table,
                    key = change.record_key,
                    "a change names no record: it was not noted by our triggers"
                );
                continue;
            };
            if !self.recent.has(wanted.id) {
                found.insert(wanted.id, wanted);
            }
        }
        for id in found.keys() {
            self.recent.add(*id);
        }
        found.into_values().collect()
    }

    /// Returns whether somebody wants more.
    async fn portions_of(&mut self, wanted: Vec<Wanted>, end: End) -> bool {
        let wanted: Arc<[Wanted]> = wanted.into();
        let (mut first, mut after) = (0, None);
        loop {
            let last = match self.stream.within {
                Some(_) => wanted.len().min(first + self.groups),
                None => wanted.len(),
            };
            let SyncContext { write, graph, .. } = self.context;
            let part = &wanted[first..last];
            let rows = match rows::load(write.read(), self.stream, *graph, part, after.as_ref(), ROWS).await {
                Ok(rows) => rows,
                Err(error) => {
                    self.fails(error.into()).await;
                    return false;
                }
            };
            let is_cut = self.stream.within.is_some() && rows.len() >= ROWS;
            let cut = rows.last().filter(|_| is_cut).map(|row| row.group);
            let finished = cut.map_or(last, |cut| first + part.partition_point(|record| record.id < cut));
            if !part.is_empty() {
                self.learn(finished - first, rows.len());
            }
            after = rows.last().filter(|_| is_cut).and_then(|row| rows::place(self.stream, row));
            let is_end = finished == wanted.len();
            let portion = Portion {
                wanted: Arc::clone(&wanted),
                rows,
                finished: first..finished,
                end: if is_end { end } else { End::Nothing },
            };
            if self.portions.send(Ok(portion)).await.is_err() {
                return false;
            }
            if is_end {
                return true;
            }
            first = finished;
        }
    }

    /// So many groups had so many rows: the next portion is to be nearly full.
    fn learn(&mut self, groups: usize, rows: usize) {
        let fitting = groups * ROWS * 9 / 10 / rows.max(1);
        self.groups = fitting.clamp(1, self.groups.saturating_mul(MORE));
    }

    async fn fails(&self, error: SyncError) {
        // Whoever does not listen any more has an error of its own.
        let _ = self.portions.send(Err(error)).await;
    }
}

/// Ids that came lately: the newest hundred thousand at least, however many there are.
#[derive(Default)]
struct Recent {
    new: HashSet<Uuid>,
    old: HashSet<Uuid>,
}

impl Recent {
    fn has(&self, id: Uuid) -> bool {
        self.new.contains(&id) || self.old.contains(&id)
    }

    fn add(&mut self, id: Uuid) {
        if self.new.len() == REMEMBERED {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(id);
    }
}

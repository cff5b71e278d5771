//! One pass over all streams, from where the last cycle ended to the horizon.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use ackord_entities::fault;
use ackord_entities::graph::changes::{self, Horizon};
use ackord_entities::sync::failure::{self, Cause, Record};
use tokio::sync::mpsc;

use super::super::provider::{Cycle, CycleEnd, SyncContext, SyncError, TableCount};
use super::reader::{End, Portion, ROWS, Reader};
use super::rows::Wanted;
use super::streams::{STREAMS, Stream, stream_of};
use super::writer::{Writer, Written, count_nodes};
use super::{Phase, State, apply};

/// Rows removed, and nodes counted, in one transaction.
const FEW: usize = 500;
/// Changes forgotten in one transaction.
const FORGOTTEN: u64 = 10_000;
/// Rows that wait or were refused in one cycle: with more it ends, so that they are recorded.
const MOST_HELD: usize = 10_000;

pub(super) struct Pass<'a> {
    context: &'a SyncContext,
    state: State,
    horizon: Horizon,
    begun: Instant,
    held: HashMap<Record, Cause>,
    cleared: HashSet<Record>,
    gone: BTreeMap<&'static str, Vec<Wanted>>,
    tables: BTreeMap<&'static str, TableCount>,
    /// Records that waited for what has come.
    woken: Vec<(&'static Stream, Wanted)>,
    has_failures: bool,
    /// Tables of which a row referred to something that is not there.
    careful: HashSet<&'static str>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(context: &'a SyncContext, state: State, horizon: Horizon) -> Self {
        Self {
            context,
            state,
            horizon,
            begun: Instant::now(),
            held: HashMap::new(),
            cleared: HashSet::new(),
            gone: BTreeMap::new(),
            tables: BTreeMap::new(),
            woken: Vec::new(),
            has_failures: false,
            careful: HashSet::new(),
        }
    }

    /// Copies everything up to the horizon, or what the time allows.
    pub(super) async fn run(mut self, due: Vec<failure::Model>) -> Result<Cycle, SyncError> {
        self.has_failures = failure::any(self.context.jobs.read(), self.context.graph).await?;
        self.greet().await?;
        self.forget().await?;
        let mut is_complete = true;
        for stream in &STREAMS {
            if !self.drain(stream).await? {
                is_complete = false;
                break;
            }
        }
        self.remove_gone().await?;
        self.try_again(due).await?;
        if is_complete && matches!(self.state.phase, Phase::Copying { .. }) {
            self.remove_left_over().await?;
            self.state.phase = Phase::Following;
        }
        while count_nodes(self.context, FEW).await? > 0 {
            fault::point("sync_counted");
            self.check_stop()?;
        }
        self.into_cycle(if is_complete { CycleEnd::Complete } else { CycleEnd::Continues })
    }

    fn writer(&self, stream: &'static Stream) -> Writer<'a> {
        let is_careful = self.careful.contains(stream.table);
        Writer { context: self.context, epoch: self.state.epoch, is_careful }
    }

    /// The graph's own row: everything else refers to it.
    async fn greet(&self) -> Result<(), SyncError> {
        let SyncContext { read, graph, slug, name, .. } = self.context;
        let tx = read.begin().await?;
        if !apply::fence(&tx, &self.context.claim).await? {
            let claim = &self.context.claim;
            return Err(SyncError::Fenced { key: claim.key.clone(), term: claim.term });
        }
        let now = read.clock().now(&tx).await?;
        ackord_entities::graph::graphs::copy(&tx, *graph, slug, name, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Forgets the changes that are behind all who read them, for good: the positions that this cycle began with are committed.
    async fn forget(&self) -> Result<(), SyncError> {
        for (changes, upto) in self.state.behind() {
            while changes::forget(self.context.write.write(), self.context.graph, changes, upto, FORGOTTEN)
                .await?
                == FORGOTTEN
            {
                self.check_stop()?;
            }
        }
        Ok(())
    }

    /// Copies a stream up to the horizon. Returns false when the time was over before.
    async fn drain(&mut self, stream: &'static Stream) -> Result<bool, SyncError> {
        let (reader, portions) = Reader::new(self.context, stream);
        let (after, horizon) = (self.state.position(stream), self.horizon.clone());
        let ((), drained) = tokio::join!(reader.changes(after, horizon), self.write(stream, portions));
        drained
    }

    /// Makes the records on the read side what they are on the write side.
    async fn copy(&mut self, stream: &'static Stream, wanted: Vec<Wanted>) -> Result<(), SyncError> {
        let (reader, portions) = Reader::new(self.context, stream);
        let ((), written) = tokio::join!(reader.records(wanted), self.write(stream, portions));
        written.map(drop)
    }

    /// Writes portions until there are no more, or the time is over: then it returns false.
    async fn write(
        &mut self,
        stream: &'static Stream,
        mut portions: mpsc::Receiver<Result<Portion, SyncError>>,
    ) -> Result<bool, SyncError> {
        let (mut written, mut there) = (Written::default(), HashSet::new());
        let mut begun = Instant::now();
        while let Some(portion) = portions.recv().await {
            let Portion { wanted, rows, finished, end } = portion?;
            there.extend(rows.iter().map(|row| row.group));
            let swept = if stream.within.is_some() { &wanted[finished] } else { &[] };
            if !rows.is_empty() || !swept.is_empty() {
                let done = self.writer(stream).page(stream, &rows, &wanted, swept).await?;
                if done.was_careful {
                    self.careful.insert(stream.table);
                }
                written.add(done);
            }
            if !matches!(end, End::Nothing) {
                let (written, there) = (std::mem::take(&mut written), std::mem::take(&mut there));
                self.take(stream, &wanted, &there, written).await?;
                let took = std::mem::replace(&mut begun, Instant::now()).elapsed();
                self.tables.entry(stream.table).or_default().seconds += took.as_secs_f64();
                if let End::Changes(position) = end {
                    self.state.positions.insert(stream.table.to_owned(), position);
                    if self.begun.elapsed() >= self.context.budget || self.held.len() >= MOST_HELD {
                        return Ok(false);
                    }
                }
            }
            self.check_stop()?;
        }
        Ok(true)
    }

    /// Notes what became of the records.
    async fn take(
        &mut self,
        stream: &'static Stream,
        wanted: &[Wanted],
        there: &HashSet<uuid::Uuid>,
        written: Written,
    ) -> Result<(), SyncError> {
        let count = self.tables.entry(stream.table).or_default();
        count.moved += written.moved;
        count.deleted += written.deleted;
        let held: HashMap<Record, Cause> = written.held.into_iter().collect();
        let record = |wanted: &Wanted| Record { table: stream.table, key: wanted.key.clone() };
        let copied: Vec<Record> =
            wanted.iter().map(record).filter(|record| !held.contains_key(record)).collect();
        for record in &copied {
            self.held.remove(record);
        }
        self.held.extend(held);
        if stream.within.is_none() {
            let gone = wanted.iter().filter(|record| !there.contains(&record.id)).cloned();
            self.gone.entry(stream.table).or_default().extend(gone);
        }
        if self.has_failures {
            let jobs = self.context.jobs.read();
            self.cleared.extend(failure::among(jobs, self.context.graph, &copied).await?);
            if stream.within.is_none() {
                let arrived = wanted.iter().filter(|record| there.contains(&record.id));
                let arrived = arrived.map(|record| format!("{}:{}", stream.table, record.id)).collect();
                let waiting = failure::waiting_for(jobs, self.context.graph, arrived).await?;
                self.wake(waiting);
            }
        }
        Ok(())
    }

    fn wake(&mut self, waiting: Vec<failure::Model>) {
        for row in waiting {
            let Some(stream) = stream_of(&row.table_name) else { continue };
            // What the write side says now is at least as new as the horizon.
            let number = self.horizon.number;
            if let Some(wanted) = Wanted::read(stream, self.context.graph, &row.record_key, number) {
                self.woken.push((stream, wanted));
            }
        }
    }

    /// Removes what is gone, in the opposite order: what refers to it is removed before.
    async fn remove_gone(&mut self) -> Result<(), SyncError> {
        for stream in STREAMS.iter().rev() {
            let gone = self.gone.remove(stream.table).unwrap_or_default();
            for part in gone.chunks(FEW) {
                self.remove(stream, part).await?;
            }
        }
        Ok(())
    }

    async fn remove(&mut self, stream: &'static Stream, gone: &[Wanted]) -> Result<(), SyncError> {
        self.check_stop()?;
        let removed = self.writer(stream).remove(stream, gone).await?;
        self.tables.entry(stream.table).or_default().deleted += removed.deleted;
        self.held.extend(removed.held);
        Ok(())
    }

    async fn remove_left_over(&mut self) -> Result<(), SyncError> {
        for stream in STREAMS.iter().rev().filter(|stream| stream.within.is_none()) {
            loop {
                let read = self.context.read.read();
                let epoch = self.state.epoch;
                let old = apply::left_over(read, stream, self.context.graph, epoch, FEW).await?;
                if old.is_empty() {
                    break;
                }
                self.remove(stream, &old).await?;
            }
        }
        // What referred to them may be there: it is looked at again.
        self.try_again(Vec::new()).await
    }

    /// Copies again what is due, what waited for something that has come, and what this cycle could not resolve at first. As long as
    /// that resolves something, more may follow from it.
    async fn try_again(&mut self, due: Vec<failure::Model>) -> Result<(), SyncError> {
        self.wake(due);
        let mut before = usize::MAX;
        loop {
            let mut again: BTreeMap<usize, BTreeMap<uuid::Uuid, Wanted>> = BTreeMap::new();
            let missing: Vec<Record> = self
                .held
                .iter()
                .filter(|(_, cause)| matches!(cause, Cause::Missing(_)))
                .map(|(record, _)| record.clone())
                .collect();
            if self.woken.is_empty() && (missing.is_empty() || missing.len() >= before) {
                return Ok(());
            }
            before = missing.len();
            let woken = std::mem::take(&mut self.woken);
            let missing = missing.into_iter().filter_map(|record| {
                let stream = stream_of(record.table)?;
                Some((stream, Wanted::read(stream, self.context.graph, &record.key, self.horizon.number)?))
            });
            for (stream, wanted) in woken.into_iter().chain(missing) {
                let place = STREAMS.iter().position(|one| one.table == stream.table).unwrap_or_default();
                again.entry(place).or_default().insert(wanted.id, wanted);
            }
            for (place, wanted) in again {
                let wanted: Vec<Wanted> = wanted.into_values().collect();
                for part in wanted.chunks(ROWS) {
                    self.copy(&STREAMS[place], part.to_vec()).await?;
                }
            }
            self.remove_gone().await?;
        }
    }

    fn check_stop(&self) -> Result<(), SyncError> {
        if self.context.stop.is_cancelled() { Err(SyncError::Stopped) } else { Ok(()) }
    }

    fn into_cycle(mut self, end: CycleEnd) -> Result<Cycle, SyncError> {
        for (record, cause) in &self.held {
            let count = self.tables.entry(record.table).or_default();
            match cause {
                Cause::Missing(_) => count.deferred += 1,
                Cause::Refused { .. } => count.failed += 1,
            }
        }
        let cleared = self.cleared.into_iter().filter(|record| !self.held.contains_key(record)).collect();
        Ok(Cycle {
            state: Some(self.state.text()?),
            end,
            held: self.held.into_iter().collect(),
            cleared,
            tables: self.tables,
            held_by: None,
        })
    }
}

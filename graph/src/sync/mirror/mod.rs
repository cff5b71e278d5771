//! The provider `mirror`: a folder with everything of a graph that everybody may see.
//!
//! ```text
//! FOLDER/GRAPH/sources.jsonl       a document in each line
//!              facts.jsonl         a fact in each line, with its nodes and where it is said
//!              nodes.jsonl         a node in each line
//!              edges.jsonl         an edge in each line
//!              syntheses/KEY.md    the newest good text of a synthesis, its citations as footnotes
//! ```
//!
//! A file is written beside its place, made durable, and moved there: readers see the file before or the one after, never half of one. It
//! is written anew when something has changed that it speaks of; a graph in which nothing has changed costs one look at its changes.
//! What is private is in none of them, and leaves when it becomes so.
//!
//! The files are written one after the other while others write the graph, so two of them may speak of different moments; the cycle
//! after the last change makes them agree. A folder cannot tell an old claim from a new one: of two workers that write the same graph,
//! because one of them was frozen, the one that moves its file last is seen. Both read the graph as it was when they wrote, and what
//! is too old is written anew with the next change, or with `--afresh`.

mod files;
mod lines;
mod shelf;
mod state;
mod syntheses;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ackord_entities::graph::changes::{self, Horizon, Look};
use async_trait::async_trait;
use uuid::Uuid;

use super::provider::{Cycle, CycleEnd, Progress, SyncContext, SyncError, SyncProvider, TableCount};
use crate::text::slug;
use shelf::{SHELVES, Shelf};
use state::State;

/// The provider's name.
pub const MIRROR: &str = "mirror";

/// Mirrors graphs into a folder.
#[derive(Clone, Debug)]
pub struct Mirror {
    folder: PathBuf,
}

impl Mirror {
    /// Each graph gets a folder in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The graph's own folder. A name that is no slug was made by nobody of ours, and is no name for a folder either.
    fn home(&self, context: &SyncContext) -> PathBuf {
        let is_slug = !context.slug.is_empty() && slug(&context.slug) == context.slug;
        self.folder.join(if is_slug { context.slug.clone() } else { context.graph.to_string() })
    }
}

#[async_trait]
impl SyncProvider for Mirror {
    fn id(&self) -> &'static str {
        MIRROR
    }

    async fn initialise(&self) -> Result<(), SyncError> {
        files::make_folder(&self.folder).await
    }

    async fn cycle(&self, context: &SyncContext, progress: &Progress) -> Result<Cycle, SyncError> {
        let known = if context.afresh { None } else { State::read(progress)? };
        let positions = known.as_ref().map(|state| state.positions(context.write.backend()));
        let look = changes::look(context.write.read(), context.graph, &positions.unwrap_or_default()).await?;
        let Some(state) = known.filter(|state| state.fits(&look)) else {
            return begin(context, look.horizon.cluster).await;
        };
        if is_early(&look) {
            return waits(context, None).await;
        }
        let home = self.home(context);
        let due = due(context, &state, &look, &home).await?;
        if due.is_empty() {
            let held_by = if look.is_held_back { holder(context).await? } else { None };
            return Ok(Cycle { held_by, ..Cycle::default() });
        }
        Pass { context, home, state, horizon: look.horizon, tables: BTreeMap::new() }.run(due).await
    }
}

/// Whether somebody is writing since before the graph was followed: nothing was noted of that.
fn is_early(look: &Look) -> bool {
    look.follower.as_ref().is_some_and(|follower| look.horizon.number < follower.since)
}

/// Begins to follow the graph: from now on its changes are noted, and everything is written.
async fn begin(context: &SyncContext, cluster: Option<String>) -> Result<Cycle, SyncError> {
    let tx = context.write.begin().await?;
    let now = context.write.clock().now(&tx).await?;
    let follower = changes::follow(&tx, context.graph, Uuid::now_v7(), now).await?;
    tx.commit().await?;
    tracing::info!(graph = context.slug, "everything of the graph is mirrored");
    let state = State { cluster, token: follower.token, written: BTreeMap::new() }.text()?;
    if is_early(&changes::look(context.write.read(), context.graph, &[]).await?) {
        return waits(context, Some(state)).await;
    }
    Ok(Cycle { state: Some(state), end: CycleEnd::Continues, ..Cycle::default() })
}

/// The cycle that cannot go on yet: somebody is writing since before the graph was followed.
async fn waits(context: &SyncContext, state: Option<String>) -> Result<Cycle, SyncError> {
    Ok(Cycle { state, end: CycleEnd::Waits, held_by: holder(context).await?, ..Cycle::default() })
}

/// Who holds the horizon back.
async fn holder(context: &SyncContext) -> Result<Option<(i64, String)>, SyncError> {
    let holder = changes::holder(context.write.read()).await?;
    let who = |pid: Option<i32>, about: String| match pid {
        Some(pid) => format!("process {pid} ({about})"),
        None => about,
    };
    Ok(holder.map(|holder| (holder.open_ms, who(holder.pid, holder.about))))
}

/// The shelves that something has changed on, or that are not there.
async fn due(
    context: &SyncContext,
    state: &State,
    look: &Look,
    home: &Path,
) -> Result<Vec<&'static Shelf>, SyncError> {
    let (read, backend, upto) = (context.write.read(), context.write.backend(), look.horizon.number);
    let mut due = Vec::new();
    for shelf in &SHELVES {
        let is_due = !state.written.contains_key(shelf.name)
            || !files::is_there(&home.join(shelf.path)).await?
            || look.is_changed
                && changes::any(read, context.graph, &state.positions_of(shelf, backend), upto).await?;
        if is_due {
            due.push(shelf);
        }
    }
    // Changes of what is in no file are forgotten by a cycle that writes nothing else.
    if due.is_empty() && look.is_changed {
        due.extend(SHELVES.iter().filter(|shelf| shelf.name == shelf::SMALLEST));
    }
    Ok(due)
}

/// What a cycle does that has something to do.
struct Pass<'a> {
    context: &'a SyncContext,
    home: PathBuf,
    state: State,
    horizon: Horizon,
    tables: BTreeMap<&'static str, TableCount>,
}

impl Pass<'_> {
    async fn run(mut self, due: Vec<&'static Shelf>) -> Result<Cycle, SyncError> {
        let begun = Instant::now();
        self.shake_hands().await?;
        self.forget().await?;
        files::sweep(&self.home).await?;
        let unchanged = SHELVES.iter().filter(|shelf| !due.iter().any(|one| one.name == shelf.name));
        for shelf in unchanged {
            self.state.written.insert(shelf.name.to_owned(), self.horizon.number);
        }
        let mut left = due.len();
        for shelf in due {
            self.check_stop()?;
            let started = Instant::now();
            let mut count = shelf.write(self.context, &self.home).await?;
            count.seconds = started.elapsed().as_secs_f64();
            self.tables.insert(shelf.name, count);
            self.state.written.insert(shelf.name.to_owned(), self.horizon.number);
            left -= 1;
            if begun.elapsed() >= self.context.budget {
                break;
            }
        }
        let end = if left == 0 { CycleEnd::Complete } else { CycleEnd::Continues };
        Ok(Cycle { state: Some(self.state.text()?), end, tables: self.tables, ..Cycle::default() })
    }

    /// Leaves a token that shows, should the write side be set back, that it was.
    async fn shake_hands(&mut self) -> Result<(), SyncError> {
        let token = Uuid::now_v7();
        let write = self.context.write.write();
        changes::shake_hands(write, self.context.graph, self.state.token, token).await?;
        self.state.token = token;
        Ok(())
    }

    /// Forgets the changes that are behind us for good: the state that this cycle began with is committed.
    async fn forget(&self) -> Result<(), SyncError> {
        /// Changes forgotten in one transaction.
        const FORGOTTEN: u64 = 10_000;
        let write = self.context.write.write();
        for (stream, upto) in self.state.positions(self.context.write.backend()) {
            while changes::forget(write, self.context.graph, stream, upto, FORGOTTEN).await? == FORGOTTEN {
                self.check_stop()?;
            }
        }
        Ok(())
    }

    fn check_stop(&self) -> Result<(), SyncError> {
        stopped(self.context)
    }
}

/// Ends a cycle that is no longer wanted.
fn stopped(context: &SyncContext) -> Result<(), SyncError> {
    if context.stop.is_cancelled() { Err(SyncError::Stopped) } else { Ok(()) }
}

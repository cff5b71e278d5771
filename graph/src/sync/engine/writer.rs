//! Writes pages of rows so that a row which is refused does not take the others with it.

use ackord_entities::database::{Fault, classify};
use ackord_entities::error_chain;
use ackord_entities::fault;
use ackord_entities::sync::failure::{Cause, Record};
use sea_orm::{DbErr, SqlErr};

use super::super::provider::{SyncContext, SyncError};
use super::apply::{self, Missing};
use super::rows::{Row, Wanted};
use super::streams::Stream;

/// How often a transaction that met another one is run again.
const MOST_TRIES: u32 = 10;

/// What became of a page.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) moved: u64,
    pub(super) deleted: u64,
    pub(super) held: Vec<(Record, Cause)>,
    /// A row referred to something that is not there: it was written with a look at each reference.
    pub(super) was_careful: bool,
}

impl Written {
    pub(super) fn add(&mut self, more: Self) {
        self.moved += more.moved;
        self.deleted += more.deleted;
        self.held.extend(more.held);
        self.was_careful |= more.was_careful;
    }
}

/// Writes rows, and then removes what the finished groups had before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer<'a> {
    pub(super) context: &'a SyncContext,
    pub(super) epoch: i32,
    /// Looks for everything that a row refers to before it writes it. Otherwise it leaves that to the constraints, and looks only
    /// when one of them is violated: nearly always everything is there.
    pub(super) is_careful: bool,
}

impl Writer<'_> {
    /// Writes `rows`, which belong to `wanted`, and sweeps the groups that are `finished` with them.
    pub(super) async fn page(
        self,
        stream: &'static Stream,
        rows: &[Row],
        wanted: &[Wanted],
        finished: &[Wanted],
    ) -> Result<Written, SyncError> {
        let mut written = Written::default();
        match self.at_once(stream, rows, wanted, finished).await {
            Ok(done) => return Ok(done),
            Err(Refused::By(error)) => {
                tracing::debug!(table = stream.table, error = error_chain(&error), "a page was refused");
            }
            Err(Refused::Not(error)) => return Err(error),
        }
        self.apart(stream, rows, wanted, &mut written).await?;
        match self.at_once(stream, &[], wanted, finished).await {
            Ok(swept) => written.add(swept),
            Err(Refused::By(error)) => return Err(error.into()),
            Err(Refused::Not(error)) => return Err(error),
        }
        Ok(written)
    }

    /// Halves a page that was refused until only the rows are left that are to blame.
    async fn apart(
        self,
        stream: &'static Stream,
        rows: &[Row],
        wanted: &[Wanted],
        written: &mut Written,
    ) -> Result<(), SyncError> {
        let mut left = vec![rows];
        while let Some(part) = left.pop() {
            if part.is_empty() {
                continue;
            }
            match self.at_once(stream, part, wanted, &[]).await {
                Ok(done) => written.add(done),
                Err(Refused::Not(error)) => return Err(error),
                Err(Refused::By(error)) => match part {
                    [row] => {
                        if let Some(record) = record(stream, wanted, row.group) {
                            let cause = Cause::Refused { code: code(&error), error: error_chain(&error) };
                            written.held.push((record, cause));
                        }
                    }
                    more => {
                        let (first, second) = more.split_at(more.len() / 2);
                        left.push(second);
                        left.push(first);
                    }
                },
            }
        }
        Ok(())
    }

    /// One transaction, run again when it met another one.
    async fn at_once(
        self,
        stream: &'static Stream,
        rows: &[Row],
        wanted: &[Wanted],
        finished: &[Wanted],
    ) -> Result<Written, Refused> {
        let mut tries = 1;
        let mut is_careful = self.is_careful;
        loop {
            match self.transaction(stream, rows, wanted, finished, is_careful).await {
                Err(SyncError::Database(error)) if !is_careful && is_dangling(&error) => is_careful = true,
                Err(SyncError::Database(error)) => match classify(&error) {
                    Fault::Conflict if tries < MOST_TRIES => tries += 1,
                    Fault::Conflict | Fault::Unavailable => return Err(Refused::Not(error.into())),
                    Fault::Transient | Fault::Permanent => return Err(Refused::By(error)),
                },
                Err(error) => return Err(Refused::Not(error)),
                Ok(written) => return Ok(written),
            }
        }
    }

    async fn transaction(
        self,
        stream: &'static Stream,
        rows: &[Row],
        wanted: &[Wanted],
        finished: &[Wanted],
        is_careful: bool,
    ) -> Result<Written, SyncError> {
        let Self { context, epoch, .. } = self;
        let mut written = Written { was_careful: is_careful, ..Written::default() };
        let tx = context.read.begin().await?;
        if !apply::fence(&tx, &context.claim).await? {
            return Err(fenced(context));
        }
        if !rows.is_empty() {
            written.moved = apply::write(&tx, stream, epoch, rows, is_careful).await?;
            if is_careful && written.moved < rows.len() as u64 && !stream.references.is_empty() {
                let missing = apply::missing(&tx, stream, rows).await?;
                let held =
                    |Missing { group, what }| Some((record(stream, wanted, group)?, Cause::Missing(what)));
                written.held = missing.into_iter().filter_map(held).collect();
            }
            apply::uncount(&tx, stream, context.graph, rows).await?;
        }
        if !finished.is_empty() {
            written.deleted = apply::sweep(&tx, stream, context.graph, epoch, finished).await?;
        }
        fault::point("sync_before_page");
        tx.commit().await?;
        fault::point("sync_after_page");
        Ok(written)
    }

    /// Removes rows that are gone. What refers to them goes with them, and is looked at again.
    pub(super) async fn remove(self, stream: &'static Stream, gone: &[Wanted]) -> Result<Written, SyncError> {
        let mut tries = 1;
        loop {
            match self.try_to_remove(stream, gone).await {
                Err(SyncError::Database(error))
                    if classify(&error) == Fault::Conflict && tries < MOST_TRIES =>
                {
                    tries += 1;
                }
                other => return other,
            }
        }
    }

    async fn try_to_remove(self, stream: &'static Stream, gone: &[Wanted]) -> Result<Written, SyncError> {
        let Self { context, epoch, .. } = self;
        let tx = context.read.begin().await?;
        if !apply::fence(&tx, &context.claim).await? {
            return Err(fenced(context));
        }
        let dependents = apply::dependents(&tx, context.graph, stream.table, gone).await?;
        let deleted = apply::sweep(&tx, stream, context.graph, epoch, gone).await?;
        tx.commit().await?;
        fault::point("sync_removed");
        let held = dependents.into_iter().map(|(record, what)| (record, Cause::Missing(what))).collect();
        Ok(Written { deleted, held, ..Written::default() })
    }
}

/// Counts again nodes that were noted: at most `limit`. Returns how many.
pub(super) async fn count_nodes(context: &SyncContext, limit: usize) -> Result<usize, SyncError> {
    let tx = context.read.begin().await?;
    if !apply::fence(&tx, &context.claim).await? {
        return Err(fenced(context));
    }
    let counted = apply::count_nodes(&tx, context.graph, limit).await?;
    tx.commit().await?;
    Ok(counted)
}

/// Why a transaction did not come to its end.
enum Refused {
    /// The database refused a row.
    By(DbErr),
    /// Something else.
    Not(SyncError),
}

/// Whether a row refers to something that is not there.
fn is_dangling(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_)))
}

fn fenced(context: &SyncContext) -> SyncError {
    SyncError::Fenced { key: context.claim.key.clone(), term: context.claim.term }
}

fn record(stream: &'static Stream, wanted: &[Wanted], group: uuid::Uuid) -> Option<Record> {
    let record = wanted.iter().find(|record| record.id == group)?;
    Some(Record { table: stream.table, key: record.key.clone() })
}

fn code(error: &DbErr) -> &'static str {
    if classify(error) == Fault::Transient { "conflict" } else { "refused" }
}

//! What became of the process that started a suspect last.
//!
//! A message comes again when its worker dies, and also when only the worker's connection is lost. The first is what a suspect is
//! given up for, the second is nobody's fault. The list of processes tells the two apart: a process that gives a sign of life
//! after its message went to somebody else has outlived the start, whatever the clocks say; one that has left the list, or gives
//! no sign of life for long enough, counts as dead. Until one of them is known the suspect waits. On a SQLite file there is one
//! process, and every other one is off the list.

use ackord_entities::ids::JobId;
use ackord_entities::queue::process::{self, SILENCE};
use ackord_entities::queue::suspect;
use chrono::{DateTime, Utc};
use sea_orm::DbErr;
use tokio::time::Instant;
use tracing::info;

use super::shared::Shared;

/// The newest start of a suspect, and what became of its process.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    newest: Option<Start>,
    /// It outlived the start, which counts nothing then.
    pub(crate) survived: bool,
}

/// A recorded start.
#[derive(Debug, PartialEq, Eq)]
struct Start {
    by: String,
    at: DateTime<Utc>,
}

/// A start whose process may be alive: its next sign of life is waited for.
pub(crate) struct Vigil {
    start: Start,
    /// The sign of life that it had given when the wait began.
    seen_at: DateTime<Utc>,
    since: Instant,
}

impl Judged {
    /// Whether no start was recorded.
    pub(crate) fn is_first(&self) -> bool {
        self.newest.is_none()
    }

    /// Whether this speaks of the newest start of `row`.
    pub(crate) fn is_about(&self, row: Option<&suspect::Model>) -> bool {
        self.newest == row.and_then(newest)
    }
}

fn newest(row: &suspect::Model) -> Option<Start> {
    Some(Start { by: row.started_by.clone()?, at: row.last_started_at })
}

impl Shared {
    /// One look at the process that started `job` last. `None`: it is not known yet; look again with the same `vigil`.
    ///
    /// # Errors
    /// The database; nothing is known.
    pub(crate) async fn judge_newest_start(
        &self,
        job: JobId,
        vigil: &mut Option<Vigil>,
    ) -> Result<Option<Judged>, DbErr> {
        let row = suspect::find(self.database.read(), job).await?;
        let Some(start) = row.as_ref().and_then(newest) else { return Ok(Some(Judged::default())) };
        let judged = |start, survived| Ok(Some(Judged { newest: Some(start), survived }));
        // Only this worker knows its own starts: an earlier process may have had its name.
        if start.by == self.name && self.suspects.has_started(job) {
            return judged(start, true);
        }
        let Some(process) = process::find(self.database.read(), &start.by).await? else {
            return judged(start, false);
        };
        let now = self.database.clock().now(self.database.read()).await?;
        // One that came later under the same name says nothing of the one that made the start.
        if process.started_at > start.at || process::is_silent(&process, now) {
            return judged(start, false);
        }
        match vigil {
            Some(vigil) if vigil.start == start => {
                if process.seen_at != vigil.seen_at {
                    return judged(start, true);
                }
                if vigil.since.elapsed() >= SILENCE {
                    return judged(start, false);
                }
            }
            _ => {
                info!(job.id = %job, process = start.by, "the process that started a suspect last may be alive: its next sign of life is waited for");
                *vigil = Some(Vigil { start, seen_at: process.seen_at, since: Instant::now() });
            }
        }
        Ok(None)
    }
}

//! What happens to one delivery, step by step.
//!
//! ```text
//! broker ──► receive ──► precheck ──► perform ──► commit (group) ──► settle
//!              │            │            │            │
//!              │            │            │            └─ ends, attempts, letters, follow-ups: one transaction
//!              │            │            └─ hand-over kinds are claimed (and acknowledged) first
//!              │            └─ what is stale skips the work
//!              └─ what cannot be read is given up
//! ```
//!
//! | file | step |
//! |---|---|
//! | `receive` | reads a delivery: who is it, which kind, which payload |
//! | `fence` | compares a delivery with its job's row and says what it means |
//! | `sort` | what has work to do, and what goes to the commit as it is |
//! | `kind` | one kind: its committer, and one consumer after the other |
//! | `intake` | one consumer's life: deliveries in, jobs started, held while the database is away |
//! | `prefetch` | how many deliveries a kind may hold |
//! | `run` | one job: claimed, performed, alone if it is a suspect |
//! | `claim` | takes a hand-over job: running, leased, acknowledged |
//! | `perform` | runs the slow half: time limit, panics, cancellation |
//! | `commit` | groups what is finished and runs the transaction until it is through |
//! | `flush` | that transaction |
//! | `rows` | the rows of its jobs, made or locked |
//! | `desk` | decides for each job of it |
//! | `ledger` | what a transaction has decided, written set by set |
//! | `settle` | answers the broker after the commit |
//! | `starter` | finds out whether the process that started a suspect last has outlived it |
//! | `suspects` | knows what was in flight when the process died |
//! | `outage` | whether the database takes what is written, and the probe that finds out |
//! | `progress` | compares what waits in a queue with what arrives |
//! | `watch` | looks for pauses and cancellations once a second |
//! | `archive` | keeps what the broker gave up |

pub(crate) mod archive;
mod claim;
mod commit;
mod desk;
pub(crate) mod fence;
mod flush;
mod intake;
mod item;
pub(crate) mod kind;
mod ledger;
pub(crate) mod notices;
pub(crate) mod outage;
mod perform;
pub(crate) mod prefetch;
pub(crate) mod progress;
mod receive;
mod rows;
mod run;
mod settle;
pub(crate) mod shared;
mod sort;
mod starter;
pub(crate) mod suspects;
pub(crate) mod watch;

use std::sync::Arc;

pub(crate) use item::Item;
pub(crate) use ledger::Ledger;

/// Runs the transactions of one kind.
pub(crate) fn flusher(
    shared: Arc<shared::Shared>,
    handler: Arc<dyn crate::registry::ErasedHandler>,
) -> flush::Flusher {
    flush::Flusher { shared, handler }
}

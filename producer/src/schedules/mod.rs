//! Schedules: jobs that are published by the clock.
//!
//! A [`Plan`] says which moments a cron expression names in a time zone. The [`Scheduler`] finds the schedules that are due and deals with
//! each of them in a transaction of its own, in which the next tick moves on, what became of each tick is written down once for ever,
//! and the jobs are published. Any number of schedulers run at once; nothing leads them but the rows. Why it is like this stands in
//! `docs/adr/0018-schedules.md`, what operators see of it in `docs/schedules.md`.

mod ensure;
mod fire;
mod plan;
mod scheduler;
#[cfg(test)]
mod tests;

pub(crate) use fire::publish;
pub(crate) use plan::count;

pub use ensure::{CheckError, check, ensure};
pub use fire::GRACE;
pub use plan::{Due, LONGEST_EXPRESSION, Missed, Plan};
pub use scheduler::{Scheduler, SchedulerOptions};

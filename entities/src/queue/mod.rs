//! The queue's tables, each with the queries that belong to it.
//!
//! The path of a job through them: [`job`] and [`outbox`] are written together by the publisher; the relay empties
//! [`outbox`]; the worker's transaction moves [`job`] to its end and writes [`attempt`], [`dead_letter`] or the next
//! [`outbox`] row beside it; [`model_call`] keeps what its attempts paid for. [`lease`], [`dedup`] and [`suspect`] guard who may run; [`message_id`] and [`idempotency`]
//! recognise what was asked before; [`schedule`] publishes by the clock, and [`schedule_tick`] remembers which of its ticks were dealt with; [`incarnation`] recognises the broker; [`audit`] and [`pause`] belong to operators, [`api_token`] says who may do
//! what over HTTP;
//! [`probe`] finds out whether anything can be written at all, [`figures`] how much waits and for how long.

pub mod api_token;
pub mod attempt;
pub mod audit;
pub mod dead_letter;
pub mod dedup;
pub mod figures;
pub mod idempotency;
pub mod incarnation;
pub mod job;
#[cfg(test)]
mod job_plans;
pub mod lease;
pub mod message_id;
pub mod model_call;
#[cfg(test)]
mod old_plans;
pub mod outbox;
pub mod pause;
pub mod probe;
pub mod process;
pub mod replay_letter;
pub mod replay_run;
pub mod retention;
pub mod schedule;
pub mod schedule_tick;
pub mod state;
pub mod survey;
pub mod suspect;

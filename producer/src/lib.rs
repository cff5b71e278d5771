//! Everything in ackord that publishes: `enqueue`, the outbox relay, the topology, the brokers.
//!
//! A message goes one way: [`enqueue()`] writes it with its job in the caller's transaction, the [`relay`] moves it to the
//! [`broker`]. What operators and upkeep send again goes through the same outbox.

pub mod broker;
pub mod contract;
mod doorbell;
mod enqueue;
pub mod health;
pub mod metrics;
pub mod operate;
pub mod relay;
pub mod schedules;
pub mod story;
pub mod syntheses;
pub mod trace;
pub mod upkeep;

pub use doorbell::{Doorbell, ring_from_outside, ring_outside};
pub use enqueue::{EnqueueError, Enqueued, Publish, enqueue, enqueue_all, enqueue_json};

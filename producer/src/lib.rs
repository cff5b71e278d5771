//! Everything in ackord that publishes: `enqueue`, the outbox relay, the topology, the brokers.

pub mod broker;

//! The HTTP API of ackord, below `/api/v1`, with its OpenAPI document and a page to browse it.
//!
//! It reads and writes the database and never meets the broker: what is published waits in the outbox. So a broker that is down
//! changes nothing here, and a database that is down is the one thing that does (503).
//!
//! The path of a request: `metrics` counts it, `frame` gives it an id and the answer its headers, `door` finds out who is asking and whether
//! he asks too often, `routes` lead to a file per resource. What goes wrong anywhere becomes a `Problem` (RFC 9457).

mod api;
mod body;
mod caller;
mod cors;
mod cursor;
mod door;
mod frame;
mod idempotency;
mod links;
pub mod metrics;
mod openapi;
mod problem;
mod rate;
mod routes;
mod unread;
mod watch;

pub use api::{Api, ApiOptions, NotLoopback};
pub use routes::router;

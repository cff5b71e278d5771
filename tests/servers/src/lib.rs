//! RabbitMQ and Postgres servers of a test: private, on loopback, to be killed.
//!
//! - [`VirtualHost`]: a virtual host of a test's own on the RabbitMQ that all tests of a run share
//! - [`RabbitNode`], [`RabbitCluster`]: RabbitMQ servers that a test may kill, freeze, wipe and configure
//! - [`PostgresServer`], [`PgBouncer`]: the same for Postgres, and a pooler before it
//! - [`Proxy`]: a network that can be cut, silenced and slowed down
//! - [`ModelServer`]: an OpenAI-compatible endpoint whose model says what a test has it say
//! - [`Management`]: what RabbitMQ's management API says and does
//! - [`eventually`]: waits for a condition
//!
//! What this machine cannot start is left out with a word on stderr: [`required`] says when that is a failure. All
//! servers listen on 127.0.0.1 only and end with the process that started them, also when that one is killed.

#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "test support: a test fails by panicking")]

pub mod management;
pub mod model;
pub mod postgres;
pub mod proxy;
pub mod rabbit;
pub mod required;

mod certificates;
mod folder;
mod port;
mod process;
mod virtual_host;
mod wait;

pub use certificates::{Certificates, LOOPBACK};
pub use folder::Folder;
pub use management::{Management, ManagementError, Queue};
pub use model::{Asked, ModelServer, Reply, Said};
pub use port::Port;
pub use postgres::{PgBouncer, PgBouncerOptions, PostgresOptions, PostgresServer, Shutdown};
pub use proxy::{Direction, Proxy, Trap};
pub use rabbit::{RabbitCluster, RabbitNode, RabbitOptions};
pub use virtual_host::{VirtualHost, with_user};
pub use wait::eventually;

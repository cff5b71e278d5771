//! Postgres servers that a test may break, and a pooler before them.

mod installation;
mod pgbouncer;
mod server;
mod template;

pub use pgbouncer::{PgBouncer, PgBouncerOptions};
pub use server::{PostgresOptions, PostgresServer, Shutdown};

#[cfg(test)]
mod tests;

//! `ackord`, the program: reads the command line and the configuration, composes the crates, prints the answers.

mod cli;
mod commands;
mod config;
mod exit;
mod http;
mod lock;
mod logging;
mod node;
mod places;
mod problem;
mod registry;
mod schema;
mod session;
mod signals;
mod telemetry;
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    // A test that kills the program at a named point: live until the program ends.
    #[cfg(feature = "fault-points")]
    let _armed = ackord_entities::fault::arm();
    cli::main()
}

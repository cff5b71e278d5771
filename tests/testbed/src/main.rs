//! `testbed`: the program of [`ackord_testbed`], with its fault points armed.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Live until the program ends.
    let _armed = ackord_entities::fault::arm();
    ackord_testbed::cli::main()
}

//! The program from outside: real `ackord` processes on SQLite files of their own. One binary, a module per behaviour.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod program;

mod cli_answers;
mod cli_bad_input;
mod cli_config;
mod cli_operators;
mod cli_publish;
mod cli_schema;
mod cli_up;

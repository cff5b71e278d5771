//! The program from outside: real `ackord` processes on SQLite files of their own. One binary, a module per behaviour.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod cluster;
mod place;
mod process;
mod program;
mod random;

mod api;
mod api_from_outside;
mod api_story;
mod cli_answers;
mod cli_bad_input;
mod cli_config;
mod cli_demo;
mod cli_operators;
mod cli_publish;
mod cli_schema;
mod cli_synthesis;
mod cli_up;
mod collector;
mod contract;
mod direct;
mod docker;
mod doctor;
mod documents;
mod http;
mod kill_disk;
mod kill_drain;
mod kill_points;
mod kill_poison;
mod kill_random;
mod kill_sync;
mod kill_texts;
mod model;
mod replay;
mod roles;
mod schedules;
mod servers;
mod standing;
mod sync;
mod topology;
mod traces;

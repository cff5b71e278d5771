//! The verbs, one file or folder each. A verb reads its arguments, calls the crates, prints the answer; it decides nothing.

pub(crate) mod bench;
pub(crate) mod config;
pub(crate) mod contract;
pub(crate) mod dead_letters;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod import;
pub(crate) mod jobs;
mod node;
mod page;
pub(crate) mod pause;
mod payload;
pub(crate) mod publish;
pub(crate) mod reconcile;
pub(crate) mod relay;
pub(crate) mod schedules;
pub(crate) mod schema;
pub(crate) mod serve;
pub(crate) mod sync;
pub(crate) mod synthesis;
pub(crate) mod tokens;
pub(crate) mod topology;
pub(crate) mod up;
pub(crate) mod work;

//! What the program tells about itself while it runs: metrics and traces. The log is in `logging`.

pub(crate) mod gauges;
pub(crate) mod metrics;
mod process;
pub(crate) mod traces;

pub(crate) use gauges::Gauges;
pub(crate) use process::text as process_text;

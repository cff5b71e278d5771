//! The configuration: `ackord.toml`, then the environment, then flags; the later one counts.

mod concurrency;
mod load;
mod origin;

pub(crate) use concurrency::Concurrency;
pub(crate) use load::{Flags, Loaded, load};
pub(crate) use origin::{Setting, settings};

use serde::{Deserialize, Serialize};

use crate::logging::LogFormat;

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`.
    pub(crate) database: String,
    /// The log's filter. Without one: `info` for `up`, `warn` for everything else.
    pub(crate) log: Option<String>,
    /// How a line of the log is written.
    pub(crate) log_format: LogFormat,
    /// The worker of `up` and `demo`.
    pub(crate) worker: WorkerConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            database: "sqlite:.ackord/ackord.db".to_owned(),
            log: None,
            log_format: LogFormat::default(),
            worker: WorkerConfig::default(),
        }
    }
}

/// The worker of `up` and `demo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WorkerConfig {
    /// Perform halves of each kind that run at once, where that differs from the kind's own number.
    pub(crate) concurrency: Concurrency,
}

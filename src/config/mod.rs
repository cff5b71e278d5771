//! The configuration: `ackord.toml`, then the environment, then flags; the later one counts.

mod api;
mod broker;
mod concurrency;
mod consumer_timeout;
mod listen;
mod load;
mod model;
mod notices;
mod origin;
mod origins;
mod sync;

pub(crate) use api::ApiConfig;
pub(crate) use broker::{AmqpUrl, BrokerChoice, BrokerTls};
pub(crate) use concurrency::Concurrency;
pub(crate) use consumer_timeout::ConsumerTimeout;
pub(crate) use listen::ListenAddress;
pub(crate) use load::{Flags, Loaded, load};
pub(crate) use model::ModelConfig;
pub(crate) use notices::NoticedKinds;
pub(crate) use origin::{Setting, settings};
pub(crate) use sync::{DatabaseUrl, GraphConfig, OtherDatabase, SyncConfig};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::logging::LogFormat;

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/NAME`.
    pub(crate) database: String,
    /// A direct URL of the same Postgres database for `LISTEN`, where `database` leads through a pooler.
    pub(crate) database_listen: Option<String>,
    /// `embedded`, `amqp://USER:PASSWORD@HOST/VHOST` or `amqps://..`.
    pub(crate) broker: BrokerChoice,
    /// The files of a TLS connection to the broker.
    pub(crate) broker_tls: BrokerTls,
    /// Where health and metrics are served, if they are; with `serve`, the HTTP API too.
    pub(crate) listen: Option<ListenAddress>,
    /// The HTTP API.
    pub(crate) api: ApiConfig,
    /// Where traces are sent, if they are: the address of an OTLP collector over HTTP.
    pub(crate) otlp_endpoint: Option<String>,
    /// The log's filter. Without one: `info` for `up`, `work`, `relay` and `serve`, `warn` for everything else.
    pub(crate) log: Option<String>,
    /// How a line of the log is written.
    pub(crate) log_format: LogFormat,
    /// The worker of `up`, `work` and `demo`.
    pub(crate) worker: WorkerConfig,
    /// The language model that writes for the worker of `up` and `work`, if one does.
    pub(crate) model: ModelConfig,
    /// Copying graphs to their read sides.
    pub(crate) sync: SyncConfig,
    /// Graphs that are not where the others are, by slug.
    pub(crate) graphs: BTreeMap<String, GraphConfig>,
}

impl Config {
    /// The databases beside the jobs' own in which graphs are written or read.
    pub(crate) fn other_databases(&self) -> Vec<OtherDatabase> {
        sync::others(&self.database, &self.sync, &self.graphs)
    }

    /// Where the graph called `slug` is written, if not in the jobs' own database.
    pub(crate) fn written_elsewhere(&self, slug: &str) -> Option<OtherDatabase> {
        let key = format!("graphs.{slug}.write_database");
        self.other_databases().into_iter().find(|other| other.keys.contains(&key))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            database: "sqlite:.ackord/ackord.db".to_owned(),
            database_listen: None,
            broker: BrokerChoice::default(),
            broker_tls: BrokerTls::default(),
            listen: None,
            api: ApiConfig::default(),
            otlp_endpoint: None,
            log: None,
            log_format: LogFormat::default(),
            worker: WorkerConfig::default(),
            model: ModelConfig::default(),
            sync: SyncConfig::default(),
            graphs: BTreeMap::new(),
        }
    }
}

/// The worker of `up`, `work` and `demo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WorkerConfig {
    /// RabbitMQ's `consumer_timeout`, which cannot be asked over AMQP: what is held unanswered for longer comes back.
    pub(crate) consumer_timeout: ConsumerTimeout,
    /// Kinds whose notices are sent to `ackord.events`, besides those whose contract asks for it.
    pub(crate) notices: NoticedKinds,
    /// Perform halves of each kind that run at once, where that differs from the kind's own number.
    pub(crate) concurrency: Concurrency,
}

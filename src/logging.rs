//! Logs: to stderr, by tracing. Answers go to stdout, so the two never mix. Spans that belong to traces are no part of the log.

use std::io::IsTerminal;

use ackord_producer::trace::SPANS;
use serde::{Deserialize, Serialize};
use tracing::Metadata;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::problem::Problem;
use crate::telemetry::traces::Traces;

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// Its name in the configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// Starts the log, and the traces if there is a collector for them. The answer keeps the traces going.
///
/// # Errors
/// A filter or an address that cannot be read.
pub(crate) fn start(
    filter: &str,
    format: LogFormat,
    otlp_endpoint: Option<&str>,
) -> Result<Option<Traces>, Problem> {
    let filter = EnvFilter::try_new(quiet(filter)).map_err(|error| {
        Problem::usage(format!("the log filter `{filter}` cannot be read: {error}")).remedy(
            "give a level (error, warn, info, debug, trace) or a list such as info,ackord_producer=debug",
        )
    })?;
    let traces = otlp_endpoint.map(Traces::start).transpose()?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(colours()).with_target(false).compact().boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let lines = lines.with_filter(filter).with_filter(filter_fn(is_logged));
    tracing_subscriber::registry().with(lines).with(traces.as_ref().map(Traces::layer)).init();
    Ok(traces)
}

fn is_logged(metadata: &Metadata<'_>) -> bool {
    metadata.target() != SPANS
}

/// Libraries that say what ackord says too, and how loud they may be. lapin is louder, with the payloads of returned messages;
/// `async_openai` repeats what a server sent; the others tell each migration, and each table that is there already.
const LIBRARIES: [(&str, &str); 4] =
    [("async_openai", "off"), ("lapin", "off"), ("sea_orm_migration", "warn"), ("sqlx", "warn")];

/// Who wants to hear a library names it in the filter.
fn quiet(filter: &str) -> String {
    let unnamed = LIBRARIES.iter().filter(|(library, _)| !filter.contains(library));
    unnamed.fold(filter.to_owned(), |all, (library, level)| format!("{all},{library}={level}"))
}

fn colours() -> bool {
    std::io::stderr().is_terminal() && console::colors_enabled_stderr()
}

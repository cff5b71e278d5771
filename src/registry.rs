//! The handlers that this program runs, and what they are made of.

use std::sync::Arc;

use ackord_consumers::jobs::{self, SyncCycleHandler, Writers};
use ackord_consumers::registry::Registry;
use ackord_entities::database::DatabaseOptions;
use ackord_graph::sync::mirror::Mirror;
use ackord_graph::sync::{Places, Providers};
use ackord_graph::synthesis::Agent;
use anyhow::Context as _;
use tracing::info;

use crate::config::{Config, DatabaseUrl};

/// The handler of every kind in the catalogue. A model writes if one is configured, and graphs are where they are configured to be.
///
/// # Errors
/// The client of the model's endpoint cannot be made.
pub(crate) fn registry(config: &Config) -> anyhow::Result<Registry> {
    let writers = match config.model.options() {
        None => Writers::default(),
        Some(options) => {
            info!(model = options.model, endpoint = options.endpoint, "texts are written by a model");
            Writers::from(Agent::new(options).context("the model")?)
        }
    };
    let sync = SyncCycleHandler::new(Arc::new(providers(config)), places(config));
    Ok(jobs::registry_with(&writers, sync))
}

/// The same without a model, with every graph in the jobs' own database.
pub(crate) fn without_model() -> Registry {
    jobs::registry()
}

/// Those that can copy graphs.
pub(crate) fn providers(config: &Config) -> Providers {
    let providers = Providers::default();
    match &config.sync.mirror.folder {
        None => providers,
        Some(folder) => providers.with(Arc::new(Mirror::new(folder))),
    }
}

/// Where graphs are written and read.
fn places(config: &Config) -> Places {
    let own = config.database.parse().ok();
    // The jobs' own database under another name would be written by two parts that know nothing of each other.
    let elsewhere = |url: &Option<DatabaseUrl>| {
        let url = url.as_ref().filter(|url| url.location() != own)?;
        Some(DatabaseOptions { create: false, ..DatabaseOptions::new(url.whole()) })
    };
    let mut places = Places::default();
    if let Some(read) = elsewhere(&config.sync.read_database) {
        places = places.reading(read);
    }
    for (slug, graph) in &config.graphs {
        places = places.with(slug, elsewhere(&graph.write_database), elsewhere(&graph.read_database));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_provider_is_called_what_compositions_call_it() {
        assert_eq!(ackord_graph::sync::engine::DEFAULT, ackord_entities::graph::composition::DEFAULT_SYNC);
        assert_eq!(
            providers(&Config::default()).ids(),
            [ackord_graph::sync::engine::DEFAULT, ackord_graph::sync::NONE]
        );
    }
}

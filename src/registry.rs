//! The handlers that this program runs.

use ackord_consumers::jobs::{self, Writers};
use ackord_consumers::registry::Registry;
use ackord_graph::synthesis::Agent;
use anyhow::Context as _;
use tracing::info;

use crate::config::ModelConfig;

/// The handler of every kind in the catalogue. A model writes if one is configured.
///
/// # Errors
/// The client of its endpoint cannot be made.
pub(crate) fn registry(model: &ModelConfig) -> anyhow::Result<Registry> {
    let Some(options) = model.options() else { return Ok(without_model()) };
    info!(model = options.model, endpoint = options.endpoint, "texts are written by a model");
    let agent = Agent::new(options).context("the model")?;
    Ok(jobs::registry_with(&Writers::from(agent)))
}

/// The same, with the writers that need no model.
pub(crate) fn without_model() -> Registry {
    jobs::registry()
}

//! The language model: there, willing to talk to us, and called what we call it.

use ackord_graph::synthesis::Agent;

use super::check::{Check, Checks};
use crate::session::Session;

/// Models that are named at most.
const NAMED: usize = 10;

/// Asks for the list of models, which costs nothing. Without a model there is nothing to look at.
pub(super) async fn look(session: &Session, checks: &mut Checks) {
    let Some(options) = session.config().model.options() else { return };
    let (endpoint, model) = (options.endpoint.clone(), options.model.clone());
    let listed = match Agent::new(options) {
        Ok(agent) => agent.models().await,
        Err(error) => Err(ackord_entities::error_chain(&error)),
    };
    match listed {
        Ok(models) if models.is_empty() || models.contains(&model) => {
            checks.add(Check::ok("model.reachable", format!("{endpoint}, {model}")));
        }
        Ok(models) => {
            let known = models.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
            let more = if models.len() > NAMED { format!(" and {} more", models.len() - NAMED) } else { String::new() };
            checks.add(Check::warning(
                "model.name",
                format!("{endpoint} does not list the model {model}"),
                format!("correct model.name; it lists {known}{more}"),
            ));
        }
        Err(found) => checks.add(Check::failed(
            "model.reachable",
            format!("{endpoint}: {found}"),
            "correct model.endpoint and model.api_key, see `ackord config`; until it answers, jobs that need it are retried",
        )),
    }
}

//! Into which parts a wide topic is divided.

mod clusters;
mod ground;
mod sift;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
mod titles;

use std::fmt;

use ackord_entities::graph::super_synthesis::Planning;
use ackord_entities::ids::{GraphId, SynthesisId};
use ackord_entities::jobs::SubConfig;
use sea_orm::ConnectionTrait;
use serde::Serialize;

pub use clusters::GraphPlanner;
pub use ground::{Covered, Ground, GroundNode};

use super::writer::{Run, WriteError};

/// Parts that a planner finds by itself: at least and at most.
const FEWEST: usize = 3;
const MOST: usize = 7;
/// What the one part of a fallback may visit.
const WHOLE_BUDGET: u32 = 20;

/// Divides a topic. The default needs no model; others may ask one. What it answers is looked through before it is used:
/// see [`plan`].
#[async_trait::async_trait]
pub trait ScopePlanner: fmt::Debug + Send + Sync {
    /// Its name, stored with the plan.
    fn name(&self) -> &str;

    /// The parts, most important first, or why there are none.
    async fn plan(&self, ground: &Ground, run: &Run<'_>) -> Result<Vec<SubConfig>, PlanError>;
}

/// There are no parts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The planner has none, for this reason: the topic stays in one piece.
    #[error("{0}")]
    NoParts(String),
    /// The planner could not be asked: the job goes wrong, and is tried again where that may help.
    #[error(transparent)]
    Failed(#[from] WriteError),
}

/// What is to be divided.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The graph; nothing outside is read.
    pub graph: GraphId,
    /// The topic of the whole.
    pub topic: &'a str,
    /// Parts that were asked for; without any, they are found.
    pub given: &'a [SubConfig],
    /// How many to find; 0 for as many as the graph suggests.
    pub scope_count: u32,
    /// Syntheses that are parts anyway: the others are about something else.
    pub existing: &'a [SynthesisId],
}

/// How a topic is divided.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// How the parts were come by.
    pub planning: Planning,
    /// Who found them.
    pub planner: String,
    /// Why the plan is what it is, where that needs saying; always for a fallback.
    pub reason: Option<String>,
    /// The parts: at least one.
    pub parts: Vec<SubConfig>,
}

/// Divides the topic of `request`: into the parts that were given, else into those that `planner` finds in the graph. When
/// nothing useful comes of that, the plan is one part about the whole topic, and says why. Reads only.
///
/// What a planner answers is not trusted: parts about nodes that the graph does not have or that another part begins with, parts without
/// a usable topic and parts beyond the wanted number are left out, budgets are brought between 10 and 20.
///
/// # Errors
/// Those of a planner that could not be asked, and whatever the database answers.
pub async fn plan(
    connection: &impl ConnectionTrait,
    planner: &dyn ScopePlanner,
    request: &Request<'_>,
    run: &Run<'_>,
) -> Result<Plan, WriteError> {
    if !request.given.is_empty() {
        return Ok(Plan {
            planning: Planning::Given,
            planner: "request".to_owned(),
            reason: None,
            parts: request.given.to_vec(),
        });
    }
    let ground = ground::read(connection, request).await?;
    let found = match planner.plan(&ground, run).await {
        Ok(parts) => sift::sift(parts, &ground),
        Err(PlanError::NoParts(reason)) => Err(reason),
        Err(PlanError::Failed(error)) => return Err(error),
    };
    Ok(match found {
        Ok(sift::Sifted { parts, reason }) => {
            Plan { planning: Planning::Graph, planner: planner.name().to_owned(), reason, parts }
        }
        Err(reason) => fallback(planner, request.topic, reason),
    })
}

fn fallback(planner: &dyn ScopePlanner, topic: &str, reason: String) -> Plan {
    let whole = SubConfig { exploration_budget: WHOLE_BUDGET, ..SubConfig::about(topic) };
    Plan {
        planning: Planning::Fallback,
        planner: planner.name().to_owned(),
        reason: Some(reason),
        parts: vec![whole],
    }
}

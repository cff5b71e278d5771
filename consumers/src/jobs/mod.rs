//! The kinds that ackord itself runs, one folder each.
//!
//! A new kind adds its folder, and one line in [`registry_with`].

mod calls;
#[cfg(test)]
mod modelled;
mod recombination;
mod regeneration;
mod replay;
mod super_synthesis;
mod sync_cycle;
mod sync_dispatch;
mod synthesis;
#[cfg(test)]
mod trials;
#[cfg(test)]
mod unheard;
#[cfg(test)]
mod world;
mod writing;

pub use recombination::RecombinationHandler;
pub use regeneration::RegenerationHandler;
pub use replay::ReplayHandler;
pub use super_synthesis::SuperSynthesisHandler;
pub use sync_cycle::SyncCycleHandler;
pub use sync_dispatch::SyncDispatchHandler;
pub use synthesis::SynthesisHandler;

use std::sync::Arc;

use ackord_graph::synthesis::{
    Agent, Combiner, ExtractiveCombiner, ExtractiveProducer, GraphPlanner, ScopePlanner, TextProducer,
};

use crate::registry::Registry;

/// Who writes, plans and combines.
#[derive(Clone, Debug)]
pub struct Writers {
    /// Writes texts.
    pub producer: Arc<dyn TextProducer>,
    /// Divides topics.
    pub planner: Arc<dyn ScopePlanner>,
    /// Combines texts.
    pub combiner: Arc<dyn Combiner>,
}

impl Default for Writers {
    /// Those that need no model.
    fn default() -> Self {
        Self {
            producer: Arc::new(ExtractiveProducer),
            planner: Arc::new(GraphPlanner),
            combiner: Arc::new(ExtractiveCombiner),
        }
    }
}

impl From<Agent> for Writers {
    /// The model does everything.
    fn from(agent: Agent) -> Self {
        let agent = Arc::new(agent);
        Self { producer: agent.clone(), planner: agent.clone(), combiner: agent }
    }
}

/// The handlers of every kind in the catalogue, with the writers that need no model and every graph in the jobs' own database.
#[must_use]
pub fn registry() -> Registry {
    registry_with(&Writers::default(), SyncCycleHandler::default())
}

/// The handlers of every kind in the catalogue: one line per kind. `sync` copies graphs.
#[must_use]
pub fn registry_with(writers: &Writers, sync: SyncCycleHandler) -> Registry {
    let Writers { producer, planner, combiner } = writers;
    Registry::new()
        .with(RecombinationHandler::new(Arc::clone(combiner)))
        .with(RegenerationHandler::new(Arc::clone(producer), Arc::clone(planner)))
        .with(ReplayHandler::default())
        .with(SuperSynthesisHandler::new(Arc::clone(planner)))
        .with(sync)
        .with(SyncDispatchHandler)
        .with(SynthesisHandler::new(Arc::clone(producer)))
}

//! Writing about a topic from the facts of a graph.

mod agent;
mod ask;
mod brief;
mod combine;
mod compose;
#[cfg(test)]
pub(crate) mod corpus;
mod coverage;
pub mod document;
mod explore;
mod extractive;
mod family;
pub mod material;
mod plan;
pub mod render;
mod store;
mod stored;
mod supers;
mod writer;

pub use agent::{Agent, ClientError, ModelOptions, Prices};
pub use ask::{AskError, ask, ask_super, find_graph, place};
pub use brief::{Brief, NoText, ScoredFact, VisitedNode, Written};
pub use combine::{
    CombinationRecord, Combiner, ExtractiveCombiner, Gathered, MissingPart, PartText, Parts, combine, gather,
};
pub use compose::{Composed, ComposedText, compose};
pub use explore::{Exploration, Record, Request, Visit, explore};
pub use extractive::ExtractiveProducer;
use extractive::escape_markdown;
pub use family::{Family, VersionRead, family, versions};
pub use plan::{
    Covered, GraphPlanner, Ground, GroundNode, Plan, PlanError, Request as PlanRequest, ScopePlanner, plan,
};
pub use store::{Wish, begin, complete, fail, id_of, node_key, request, start};
pub use stored::{Found, Stored, StoredText, find, load};
pub use supers::{
    Combination, NewPart, NotCombined, begin_combining, fail_combining, request_super, store_combination,
    store_plan, super_id_of,
};
pub use writer::{Assignment, CallLedger, Draft, Run, TextProducer, Trouble, WriteError};

//! What of a planner's answer can be used.

use std::collections::HashSet;

use ackord_entities::ids::NodeId;
use ackord_entities::jobs::{Job as _, SubConfig, SuperSynthesis};

use super::ground::Ground;
use crate::text::terms_of;

/// Visits that a part may make: at least and at most.
const BUDGET: (u32, u32) = (10, 20);
/// Nodes that a part begins with, at most.
const STARTING: usize = 8;

/// The usable parts.
#[derive(Debug)]
pub(super) struct Sifted {
    pub(super) parts: Vec<SubConfig>,
    /// What there is to say about them: fewer than were asked for.
    pub(super) reason: Option<String>,
}

/// The parts that can be used, at most as many as are wanted: each about something of its own, from nodes of its own.
///
/// # Errors
/// Why there are none, or only one that stands for no division.
pub(super) fn sift(answered: Vec<SubConfig>, ground: &Ground) -> Result<Sifted, String> {
    let number = answered.len();
    let known: HashSet<NodeId> = ground.nodes.iter().map(|node| node.node.id).collect();
    let mut taken: HashSet<NodeId> = HashSet::new();
    let mut topics: HashSet<Vec<String>> = ground.covered.iter().map(|part| stems(&part.topic)).collect();
    let mut parts = Vec::new();
    for mut part in answered {
        let starts_somewhere = !part.starting_node_ids.is_empty();
        part.starting_node_ids.retain(|id| known.contains(id) && taken.insert(*id));
        part.starting_node_ids.truncate(STARTING);
        part.exploration_budget = part.exploration_budget.clamp(BUDGET.0, BUDGET.1);
        let is_lost = starts_somewhere && part.starting_node_ids.is_empty();
        if is_lost || !is_valid(&part) || !topics.insert(stems(&part.topic)) {
            continue;
        }
        parts.push(part);
    }
    let usable = parts.len();
    parts.truncate(*ground.wanted.end());
    let least = if *ground.wanted.end() == 1 { 1 } else { 2 };
    if usable < least {
        return Err(match number {
            0 => "the graph gives no parts to divide the topic into".to_owned(),
            _ => format!("of {number} planned parts {usable} can be used"),
        });
    }
    let wanted = *ground.wanted.start();
    let reason = (parts.len() < wanted)
        .then(|| format!("{wanted} parts were wanted, the graph gives {}", parts.len()));
    Ok(Sifted { parts, reason })
}

fn is_valid(part: &SubConfig) -> bool {
    let alone = SuperSynthesis { sub_configs: vec![part.clone()], ..SuperSynthesis::about("x") };
    alone.validate().is_ok() && !stems(&part.topic).is_empty()
}

/// What a topic is about: two with the same words in another order are one.
fn stems(topic: &str) -> Vec<String> {
    let mut stems = terms_of(topic);
    stems.sort();
    stems
}

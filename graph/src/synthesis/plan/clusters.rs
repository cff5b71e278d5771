//! A planner without a model: it divides the topic's neighbourhood into clusters of nodes that the same facts speak of.

use std::collections::{BTreeMap, HashMap, HashSet};

use ackord_entities::ids::NodeId;
use ackord_entities::jobs::SubConfig;

use super::ground::{Ground, GroundNode};
use super::titles::{are_alike, title};
use super::{FEWEST, PlanError, ScopePlanner};
use crate::search::topic_terms;
use crate::synthesis::coverage;
use crate::synthesis::extractive::presentable;
use crate::synthesis::material::Fact;
use crate::synthesis::writer::Run;
use crate::text::terms_of;

/// A node that more than this share of the facts mention is what all of it is about.
const EVERYWHERE: f64 = 0.6;
/// A node that fewer facts mention makes no part of its own.
const LEAST_FACTS: usize = 2;
/// What a further centre has to be worth beside the first one.
const LEAST_WORTH: f64 = 0.15;
/// A node this little tied to every centre belongs to none.
const LOOSE: f64 = 0.05;
/// What an edge of the graph counts beside the facts about the topic.
const EDGE: f64 = 0.5;
/// Nodes of one part, its centre included.
const MEMBERS: usize = 8;
/// Visits that a part may make beyond its own nodes.
const AROUND: u32 = 10;

/// Divides by the graph. Deterministic: the same graph and topic give the same parts.
///
/// It chooses nodes that matter for the topic and have little to do with each other as centres, and gives every other node to the centre
/// that the same facts and edges tie it to most. So no node belongs to two parts.
#[derive(Clone, Copy, Debug, Default)]
pub struct GraphPlanner;

#[async_trait::async_trait]
impl ScopePlanner for GraphPlanner {
    fn name(&self) -> &'static str {
        "clusters"
    }

    async fn plan(&self, ground: &Ground, _run: &Run<'_>) -> Result<Vec<SubConfig>, PlanError> {
        if ground.facts.is_empty() {
            return Err(PlanError::NoParts("the graph holds no facts about the topic".to_owned()));
        }
        let (own, others): (Vec<&GroundNode>, Vec<&GroundNode>) =
            ground.nodes.iter().partition(|node| is_topic(ground, node));
        let overview = overview(ground, &own);
        let nodes = dividing(ground, others);
        let ties = Ties::of(ground, &nodes);
        let most = *ground.wanted.end() - overview.iter().len();
        let centres = centres(&nodes, &ties, ground, most);
        let clusters = clusters(&nodes, &centres, &ties);
        Ok(overview.into_iter().chain(clusters.iter().filter_map(|cluster| part(ground, cluster))).collect())
    }
}

/// Whether the node says no more than the topic: it divides nothing.
fn is_topic(ground: &Ground, node: &GroundNode) -> bool {
    let topic = topic_terms(&ground.topic);
    terms_of(&node.node.name).iter().all(|stem| topic.contains(stem))
}

/// The part about the topic itself: what it is stands in no other part. None if it is covered, or the graph has no node for it.
fn overview(ground: &Ground, own: &[&GroundNode]) -> Option<SubConfig> {
    let facts: Vec<Fact> = ground.facts.iter().map(|(fact, _)| fact.clone()).collect();
    let enough = coverage::of(&topic_terms(&ground.topic), &facts).enough;
    let named = own.iter().filter(|node| !terms_of(&node.node.name).is_empty());
    let starting: Vec<NodeId> = named.map(|node| node.node.id).collect();
    (enough && !starting.is_empty()).then(|| SubConfig {
        starting_node_ids: starting,
        exploration_budget: AROUND,
        ..SubConfig::about(&ground.topic)
    })
}

/// The nodes that tell parts of the topic apart.
fn dividing<'a>(ground: &Ground, nodes: Vec<&'a GroundNode>) -> Vec<&'a GroundNode> {
    #[allow(clippy::cast_precision_loss, reason = "counts of facts")]
    let share = |node: &GroundNode| node.facts as f64 / ground.facts.len() as f64;
    let small = ground.facts.len() < 10;
    nodes.into_iter().filter(|node| small || share(node) <= EVERYWHERE).collect()
}

/// How much two nodes have to do with each other, 0 to about 1.
struct Ties(BTreeMap<(NodeId, NodeId), f64>);

impl Ties {
    fn of(ground: &Ground, nodes: &[&GroundNode]) -> Self {
        let known: HashSet<NodeId> = nodes.iter().map(|node| node.node.id).collect();
        let mut alone: HashMap<NodeId, f64> = HashMap::new();
        let mut together: BTreeMap<(NodeId, NodeId), f64> = BTreeMap::new();
        for (fact, score) in &ground.facts {
            let mentioned: Vec<NodeId> = fact.nodes.iter().copied().filter(|id| known.contains(id)).collect();
            for (index, one) in mentioned.iter().enumerate() {
                *alone.entry(*one).or_default() += score;
                for other in &mentioned[index + 1..] {
                    *together.entry((*one.min(other), *one.max(other))).or_default() += score;
                }
            }
        }
        for (pair, weight) in &mut together {
            let of = |id: &NodeId| alone.get(id).copied().unwrap_or(f64::MIN_POSITIVE);
            *weight /= (of(&pair.0) * of(&pair.1)).sqrt();
        }
        for (pair, weight) in &ground.edges {
            if known.contains(&pair.0) && known.contains(&pair.1) {
                *together.entry(*pair).or_default() += EDGE * weight;
            }
        }
        Self(together)
    }

    fn between(&self, one: &GroundNode, other: &GroundNode) -> f64 {
        if are_alike(&one.node.name, &other.node.name) {
            return 1.0;
        }
        let (one, other) = (one.node.id, other.node.id);
        self.0.get(&(one.min(other), one.max(other))).copied().unwrap_or_default().min(1.0)
    }
}

/// The centres: each matters for the topic and has little to do with those before.
fn centres<'a>(nodes: &[&'a GroundNode], ties: &Ties, ground: &Ground, most: usize) -> Vec<&'a GroundNode> {
    let of_topic = topic_terms(&ground.topic);
    let mut free: Vec<&GroundNode> = nodes
        .iter()
        .copied()
        .filter(|node| node.facts >= LEAST_FACTS && presentable(&node.node.name, &of_topic).is_some())
        .collect();
    let mut centres: Vec<&GroundNode> = Vec::new();
    while centres.len() < most {
        let worth = |node: &GroundNode| {
            let nearest = centres.iter().map(|centre| ties.between(node, centre)).fold(0.0, f64::max);
            node.weight * (1.0 - nearest)
        };
        let best = free.iter().enumerate().max_by(|(left_at, left), (right_at, right)| {
            worth(left).total_cmp(&worth(right)).then(right_at.cmp(left_at))
        });
        let Some((index, _)) = best else { break };
        let value = worth(free[index]);
        let enough = centres.len() >= (*ground.wanted.start()).max(FEWEST).min(most);
        if value <= 0.0 || (enough && value < LEAST_WORTH) {
            break;
        }
        centres.push(free.remove(index));
    }
    centres
}

/// Every node with the centre that it is tied to most, the heaviest first behind the centre itself.
fn clusters<'a>(
    nodes: &[&'a GroundNode],
    centres: &[&'a GroundNode],
    ties: &Ties,
) -> Vec<Vec<&'a GroundNode>> {
    let mut clusters: Vec<Vec<&GroundNode>> = centres.iter().map(|centre| vec![*centre]).collect();
    for node in nodes.iter().filter(|node| !centres.iter().any(|centre| centre.node.id == node.node.id)) {
        let tied = centres.iter().map(|centre| ties.between(node, centre)).enumerate();
        let nearest = tied.max_by(|left, right| left.1.total_cmp(&right.1).then(right.0.cmp(&left.0)));
        if let Some((index, tie)) = nearest
            && tie > LOOSE
            && clusters[index].len() < MEMBERS
        {
            clusters[index].push(node);
        }
    }
    clusters
}

fn part(ground: &Ground, cluster: &[&GroundNode]) -> Option<SubConfig> {
    let about = |fact: &Fact| cluster.iter().any(|node| fact.nodes.contains(&node.node.id));
    let facts: Vec<Fact> =
        ground.facts.iter().filter(|(fact, _)| about(fact)).map(|(fact, _)| fact.clone()).collect();
    let names: Vec<&str> = cluster.iter().map(|node| node.node.name.as_str()).collect();
    let starting: Vec<NodeId> = cluster.iter().map(|node| node.node.id).collect();
    let budget = AROUND + u32::try_from(starting.len()).unwrap_or(u32::MAX);
    let title = title(&ground.topic, &names, &facts)?;
    Some(SubConfig { starting_node_ids: starting, exploration_budget: budget, ..SubConfig::about(title) })
}

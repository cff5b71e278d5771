//! What changes for facts, nodes and edges when some sources give something else than before.

use std::collections::{BTreeMap, HashMap};

use ackord_entities::graph::edge::RELATED;
use ackord_entities::ids::FactId;

/// An edge by its relationship and the keys of its ends.
pub(super) type EdgeOf<'a> = (&'a str, &'a str, &'a str);

/// The difference that a transaction makes.
#[derive(Debug, Default)]
pub(super) struct Change<'a> {
    /// Pairs of node key and fact to write.
    pub(super) new_pairs: Vec<(&'a str, FactId)>,
    /// Pairs to remove.
    pub(super) old_pairs: Vec<(&'a str, FactId)>,
    /// Facts that no source states any more.
    pub(super) old_facts: Vec<FactId>,
    /// By how much each edge gets heavier or lighter. Sorted, so that two transactions lock in the same order.
    pub(super) edges: BTreeMap<EdgeOf<'a>, i64>,
}

/// A sentence that is in the graph already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored<'a> {
    pub(super) fact: FactId,
    pub(super) node_keys: &'a str,
    /// Whether it is still there afterwards.
    pub(super) stays: bool,
}

/// Works out the difference. `stored` are all sentences, of whatever source, that state a fact which is to be written or
/// removed and which was in the graph before; `new` are the facts and node keys of the sentences to be written.
pub(super) fn between<'a>(
    stored: impl Iterator<Item = Stored<'a>>,
    new: impl Iterator<Item = (FactId, Vec<&'a str>)>,
) -> Change<'a> {
    let mut facts: HashMap<FactId, Sides<'a>> = HashMap::new();
    for sentence in stored {
        let sides = facts.entry(sentence.fact).or_default();
        sides.stated |= sentence.stays;
        for key in sentence.node_keys.split(' ').filter(|key| !key.is_empty()) {
            add(&mut sides.before, key);
            if sentence.stays {
                add(&mut sides.after, key);
            }
        }
    }
    for (fact, keys) in new {
        let sides = facts.entry(fact).or_default();
        sides.stated = true;
        for key in keys {
            add(&mut sides.after, key);
        }
    }
    let mut change = Change::default();
    for (fact, sides) in facts {
        change.add(fact, sides);
    }
    change
}

/// The nodes of one fact before and after.
#[derive(Debug, Default)]
struct Sides<'a> {
    before: Vec<&'a str>,
    after: Vec<&'a str>,
    stated: bool,
}

fn add<'a>(keys: &mut Vec<&'a str>, key: &'a str) {
    if !keys.contains(&key) {
        keys.push(key);
    }
}

impl<'a> Change<'a> {
    fn add(&mut self, fact: FactId, sides: Sides<'a>) {
        let Sides { before, after, stated } = sides;
        if !stated {
            self.old_facts.push(fact);
        }
        if before.is_empty() && after.is_empty() {
            return;
        }
        self.new_pairs.extend(after.iter().filter(|key| !before.contains(key)).map(|key| (*key, fact)));
        self.old_pairs.extend(before.iter().filter(|key| !after.contains(key)).map(|key| (*key, fact)));
        if before == after {
            return;
        }
        self.weigh(&after, 1);
        self.weigh(&before, -1);
    }

    fn weigh(&mut self, keys: &[&'a str], by: i64) {
        for (index, one) in keys.iter().enumerate() {
            for other in &keys[index + 1..] {
                let (from, to) = if one < other { (one, other) } else { (other, one) };
                *self.edges.entry((RELATED, from, to)).or_default() += by;
            }
        }
    }
}

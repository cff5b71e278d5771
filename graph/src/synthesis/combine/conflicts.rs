//! Statements that cannot both be right: the same words with other numbers, or one of them with a `not`.

use std::collections::{BTreeSet, HashMap, HashSet};

use ackord_entities::ids::{FactId, SourceId};

use super::Parts;
use super::merge::Run;
use super::statements::Statement;
use crate::synthesis::document::Bag;

/// Statements this much alike, numbers aside, speak of one thing.
const ONE_THING: f64 = 0.75;
/// Fewer words than this say too little to contradict each other.
const TELLING: usize = 3;
/// Contradictions that are named, at most.
const MOST: usize = 8;

const NUMBERS: [(&str, &str); 13] = [
    ("one", "1"),
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("ten", "10"),
    ("eleven", "11"),
    ("twelve", "12"),
    ("hundred", "100"),
];
const NEGATIONS: [&str; 8] = ["not", "never", "no", "cannot", "neither", "nor", "nobody", "nothing"];

/// Two statements of different sources that cannot both be right.
#[derive(Clone, Debug)]
pub(super) struct Conflict {
    pub(super) one: Statement,
    pub(super) other: Statement,
}

/// The contradictions between statements of different sources. A statement that stands by itself is taken out of `runs` with
/// it: it is said there.
pub(super) fn take(runs: &mut Vec<Run>, parts: &Parts) -> Vec<Conflict> {
    let sources: HashMap<FactId, SourceId> =
        parts.facts.iter().map(|fact| (fact.id, fact.source.id)).collect();
    let of = |statement: &Statement| -> HashSet<SourceId> {
        statement.facts.iter().filter_map(|fact| sources.get(fact).copied()).collect()
    };
    let mut taken: BTreeSet<usize> = BTreeSet::new();
    let mut conflicts = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        for (other_index, other) in runs.iter().enumerate().skip(index + 1) {
            if conflicts.len() == MOST || taken.contains(&index) || taken.contains(&other_index) {
                continue;
            }
            let (one, two) = (run.first(), other.first());
            if contradict(one, two) && of(one).is_disjoint(&of(two)) {
                conflicts.push(Conflict { one: one.clone(), other: two.clone() });
                taken.extend([index, other_index]);
            }
        }
    }
    let mut index = 0;
    runs.retain(|run| {
        index += 1;
        !(taken.contains(&(index - 1)) && run.statements.len() == 1)
    });
    conflicts
}

/// Whether the two speak of one thing, and say other numbers of it or only one of them a `not`.
pub(super) fn contradict(one: &Statement, other: &Statement) -> bool {
    // Cheap, and nearly always the answer.
    if one.bag.similarity(&other.bag) < 0.4 {
        return false;
    }
    let (here, there) = (numbers(&one.visible), numbers(&other.visible));
    let other_numbers = !here.is_empty() && !there.is_empty() && here != there;
    if !other_numbers && is_negated(&one.visible) == is_negated(&other.visible) {
        return false;
    }
    let (here, there) = (without_numbers(&one.visible), without_numbers(&other.visible));
    here.len().min(there.len()) >= TELLING && here.similarity(&there) >= ONE_THING
}

fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    text.split_whitespace().map(bare).filter(|word| !word.is_empty())
}

fn number(word: &str) -> Option<String> {
    if let Some((_, digits)) = NUMBERS.iter().find(|(name, _)| *name == word) {
        return Some((*digits).to_owned());
    }
    word.starts_with(|c: char| c.is_ascii_digit()).then(|| word.to_owned())
}

fn numbers(text: &str) -> BTreeSet<String> {
    words(text).filter_map(|word| number(&word)).collect()
}

fn without_numbers(text: &str) -> Bag {
    let rest: Vec<String> = words(text).filter(|word| number(word).is_none()).collect();
    Bag::of(&rest.join(" "))
}

fn is_negated(text: &str) -> bool {
    words(text)
        .any(|word| NEGATIONS.contains(&word.as_str()) || word.ends_with("n't") || word.ends_with("n’t"))
}

//! Which units belong under one heading.

use std::collections::{BTreeMap, HashMap, HashSet};

use ackord_entities::ids::NodeId;

use super::units::{Sentence, Unit, likeness};
use crate::synthesis::brief::Brief;
use crate::text::terms_of;

/// Headings in one text, at most.
const MOST: usize = 5;
/// Units that a heading needs under it.
const FEWEST_UNITS: usize = 2;
/// A text with fewer units than this needs no headings.
const SHORT_TEXT: usize = 5;
/// A unit joins the theme that has one this much like it.
const ALIKE: f64 = 0.2;
/// A plain word says little as a heading: what it brings together counts for less.
const PLAIN_WORD: f64 = 0.35;
/// Words of a heading that means something only where it stands.
const SPEAKING: &[&str] = &["i", "it", "my", "our", "that", "these", "this", "us", "we", "you", "your"];
/// Headings that say nothing once they stand in another text.
const GENERIC: &[&str] = &[
    "about",
    "abstract",
    "api",
    "background",
    "changelog",
    "conclusion",
    "contents",
    "contributing",
    "description",
    "details",
    "documentation",
    "example",
    "examples",
    "faq",
    "features",
    "getting started",
    "goals",
    "installation",
    "introduction",
    "license",
    "links",
    "notes",
    "overview",
    "quick start",
    "readme",
    "references",
    "remarks",
    "see also",
    "summary",
    "todo",
    "usage",
];

/// A heading and what stands under it.
#[derive(Debug)]
pub(super) struct Theme {
    pub(super) heading: String,
    pub(super) units: Vec<Unit>,
}

/// Sorts `units` under headings, the weightiest first. The second part is what fits under none.
///
/// Headings are the names of nodes that several units tell about, and the headings that several units stand under in
/// their sources; a name that says no more than the topic is none.
pub(super) fn themes(
    units: Vec<Unit>,
    sentences: &[Sentence<'_>],
    brief: &Brief,
    topic: &[String],
) -> (Vec<Theme>, Vec<Unit>) {
    if units.len() < SHORT_TEXT {
        return (Vec::new(), units);
    }
    let candidates = candidates(&units, sentences, brief, topic);
    let mut free: Vec<Option<Unit>> = units.into_iter().map(Some).collect();
    let mut themes: Vec<Theme> = Vec::new();
    while themes.len() < MOST
        && let Some((heading, members)) = best(&candidates, &free, &themes)
    {
        let units = members.into_iter().filter_map(|index| free[index].take()).collect();
        themes.push(Theme { heading, units });
    }
    let mut rest = Vec::new();
    for unit in free.into_iter().flatten() {
        match closest(&themes, &unit, sentences) {
            Some(theme) => themes[theme].units.push(unit),
            None => rest.push(unit),
        }
    }
    themes.sort_by(|left, right| weight(&right.units).total_cmp(&weight(&left.units)));
    (themes, rest)
}

fn weight(units: &[Unit]) -> f64 {
    units.iter().map(|unit| unit.value).sum()
}

/// A possible heading, by the stems of its name, with the units it covers.
#[derive(Debug)]
struct Candidate {
    heading: String,
    units: Vec<usize>,
    /// What the candidate is worth before it is known what it covers.
    worth: f64,
}

fn candidates(
    units: &[Unit],
    sentences: &[Sentence<'_>],
    brief: &Brief,
    topic: &[String],
) -> BTreeMap<Vec<String>, Candidate> {
    let common = commonness(brief);
    let mut found: BTreeMap<Vec<String>, Candidate> = BTreeMap::new();
    for (index, unit) in units.iter().enumerate() {
        for name in names(unit, sentences, brief, &common) {
            let Some((stems, heading, worth)) = presentable(&name.text, topic, name.worth) else { continue };
            let candidate =
                found.entry(stems).or_insert_with(|| Candidate { heading, units: Vec::new(), worth });
            candidate.worth = candidate.worth.max(worth);
            if candidate.units.last() != Some(&index) {
                candidate.units.push(index);
            }
        }
    }
    found
}

struct Name {
    text: String,
    worth: f64,
}

/// The nodes that a unit tells about, and the headings that it stands under.
fn names(unit: &Unit, sentences: &[Sentence<'_>], brief: &Brief, common: &HashMap<NodeId, f64>) -> Vec<Name> {
    let facts = unit.members.iter().map(|member| sentences[*member].fact);
    let mut names = Vec::new();
    for fact in facts {
        let nodes = fact.nodes.iter().filter_map(|id| brief.node(*id));
        names.extend(nodes.map(|visited| Name {
            text: visited.node.name.clone(),
            worth: 1.0 - common.get(&visited.node.id).copied().unwrap_or_default(),
        }));
        // The first heading is the title of the document: too wide for a theme.
        names.extend(fact.headings.iter().skip(1).map(|heading| Name { text: heading.clone(), worth: 1.3 }));
    }
    names
}

/// How common each node is among the facts: 0 for one that few mention, 1 for one that a fifth of them or more do.
#[allow(clippy::cast_precision_loss, reason = "counts of facts")]
fn commonness(brief: &Brief) -> HashMap<NodeId, f64> {
    let mut counts: HashMap<NodeId, usize> = HashMap::new();
    for id in brief.facts.iter().flat_map(|scored| &scored.fact.nodes) {
        *counts.entry(*id).or_default() += 1;
    }
    let all = brief.facts.len().max(1) as f64;
    counts.into_iter().map(|(id, count)| (id, (5.0 * count as f64 / all).min(1.0))).collect()
}

/// The stems of a name and its form as a heading, if it can be one.
fn presentable(name: &str, topic: &[String], worth: f64) -> Option<(Vec<String>, String, f64)> {
    let text = without_number(name).trim_end_matches([':', '.', ' ']).trim();
    let word_count = text.split_whitespace().count();
    let readable = text
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | ',' | '\'' | '’' | '/' | '&' | '+'));
    if !(1..=7).contains(&word_count) || !readable || text.chars().count() < 3 {
        return None;
    }
    let mut stems = terms_of(text);
    stems.sort();
    stems.dedup();
    let says_more = stems.iter().any(|stem| !topic.contains(stem));
    let generic = GENERIC.contains(&text.to_lowercase().as_str());
    let numeric = text.chars().all(|c| !c.is_alphabetic());
    let speaks = text.split_whitespace().any(|word| SPEAKING.contains(&word.to_lowercase().as_str()));
    if generic || numeric || speaks || !says_more {
        return None;
    }
    let worth = if is_plain_word(text) { worth * PLAIN_WORD } else { worth };
    Some((stems, capitalised(text), worth))
}

/// One word of everyday language (`Row`, `kind`), no name: that has a capital inside, a digit or a mark (`RefCell`, `HTTP/2`).
pub(in crate::synthesis) fn is_plain_word(heading: &str) -> bool {
    heading.chars().all(char::is_alphabetic) && !heading.chars().skip(1).any(char::is_uppercase)
}

/// `name` in its form as a heading of a text about `topic`, if it can be one.
pub(in crate::synthesis) fn heading_of(name: &str, topic: &[String]) -> Option<String> {
    presentable(name, topic, 1.0).map(|(_, heading, _)| heading)
}

/// `3.4 Long jobs` without its number.
fn without_number(heading: &str) -> &str {
    let rest = heading.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ')'));
    if rest.len() < heading.len() && rest.starts_with(' ') { rest.trim_start() } else { heading }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// The candidate that is worth most among the units that are still free.
fn best(
    candidates: &BTreeMap<Vec<String>, Candidate>,
    free: &[Option<Unit>],
    themes: &[Theme],
) -> Option<(String, Vec<usize>)> {
    let taken: HashSet<&str> = themes.iter().map(|theme| theme.heading.as_str()).collect();
    let all = free.len();
    let mut best: Option<(f64, String, Vec<usize>)> = None;
    for candidate in candidates.values().filter(|candidate| !taken.contains(candidate.heading.as_str())) {
        let members: Vec<usize> =
            candidate.units.iter().copied().filter(|index| free[*index].is_some()).collect();
        if members.len() < FEWEST_UNITS || candidate.units.len() * 10 > all * 6 {
            continue;
        }
        let value: f64 =
            members.iter().filter_map(|index| free[*index].as_ref()).map(|unit| unit.value).sum();
        let score = value * candidate.worth;
        if best.as_ref().is_none_or(|(known, ..)| score > *known) {
            best = Some((score, candidate.heading.clone(), members));
        }
    }
    best.map(|(_, heading, members)| (heading, members))
}

fn closest(themes: &[Theme], unit: &Unit, sentences: &[Sentence<'_>]) -> Option<usize> {
    let nearness =
        |theme: &Theme| theme.units.iter().map(|other| likeness(unit, other, sentences)).fold(0.0, f64::max);
    let scored = themes.iter().map(nearness).enumerate().filter(|(_, nearness)| *nearness >= ALIKE);
    scored.max_by(|left, right| left.1.total_cmp(&right.1).then(right.0.cmp(&left.0))).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::topic_terms;

    #[test]
    fn a_heading_says_more_than_the_topic() {
        let topic = topic_terms("dead letters");
        let heading = |name: &str| presentable(name, &topic, 1.0).map(|(_, heading, _)| heading);
        assert_eq!(heading("3.6 Dead letters").as_deref(), None);
        assert_eq!(heading("replay of dead letters:").as_deref(), Some("Replay of dead letters"));
        assert_eq!(heading("3.4 Long jobs, crashes").as_deref(), Some("Long jobs, crashes"));
        assert_eq!(heading("Letters"), None);
        assert_eq!(heading("What I want of letters"), None);
        assert_eq!(heading("What would make us change it"), None);
        assert_eq!(heading("Usage"), None);
        assert_eq!(heading("fn main() {"), None);
        assert_eq!(heading("2.0"), None);
    }
}

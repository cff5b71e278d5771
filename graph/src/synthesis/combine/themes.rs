//! Which runs belong under one heading, whichever parts they come from.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ackord_entities::ids::NodeId;

use super::Parts;
use super::merge::Run;
use crate::search::topic_terms;
use crate::synthesis::extractive::{defines, presentable};
use crate::text::terms_of;

/// Runs in the paragraph that answers the topic: one of each part, but at least and at most so many.
const LEAD: (usize, usize) = (2, 4);
/// Runs that a heading needs under it.
const FEWEST: usize = 2;
/// Headings beyond one for each part, and altogether.
const MORE: usize = 2;
const MOST: usize = 12;
/// A run joins the theme that has one this much like it.
const ALIKE: f64 = 0.2;
/// A heading over more than this share of the text divides nothing.
const WIDEST: f64 = 0.6;
/// What a heading gains by each further part that it brings together.
const ACROSS: f64 = 0.6;

/// A heading and what stands under it.
#[derive(Debug)]
pub(super) struct Theme {
    pub(super) heading: String,
    pub(super) runs: Vec<Run>,
}

/// Takes what answers the topic out of `runs`: a definition of it first, then what each part begins with, of different parts.
pub(super) fn take_lead(runs: &mut Vec<Run>, parts: &Parts, topic: &[String]) -> Vec<Run> {
    let abouts: Vec<Vec<String>> = parts.texts.iter().map(|part| topic_terms(&part.topic)).collect();
    let most = parts.texts.len().clamp(LEAD.0, LEAD.1).min(runs.len().div_ceil(3));
    let mut lead: Vec<Run> = Vec::new();
    while lead.len() < most {
        let known: BTreeSet<usize> = lead.iter().map(|run| run.first().parts[0]).collect();
        let worth = |run: &Run| {
            let first = run.first();
            let of_part = 2.0 * defines(&first.visible, &abouts[first.parts[0]]);
            let again = if known.contains(&first.parts[0]) { 0.3 } else { 1.0 };
            again * (run.value() + of_part + 4.0 * defines(&first.visible, topic))
        };
        let standing = runs.iter().enumerate().filter(|(_, run)| !run.first().leans);
        let best = standing
            .max_by(|left, right| worth(left.1).total_cmp(&worth(right.1)).then(right.0.cmp(&left.0)));
        let Some((index, _)) = best else { break };
        lead.push(runs.remove(index));
    }
    lead
}

/// Sorts `runs` under headings. The second part is what fits under none.
pub(super) fn themes(runs: Vec<Run>, parts: &Parts, topic: &[String]) -> (Vec<Theme>, Vec<Run>) {
    let candidates = candidates(&runs, parts, topic);
    let mut free: Vec<Option<Run>> = runs.into_iter().map(Some).collect();
    let mut themes: Vec<Theme> = Vec::new();
    let most = (parts.texts.len() + MORE).min(MOST);
    while themes.len() < most
        && let Some((heading, members)) = best(&candidates, &free, &themes)
    {
        let runs = members.into_iter().filter_map(|index| free[index].take()).collect();
        themes.push(Theme { heading, runs });
    }
    let rest = join_the_rest(free.into_iter().flatten(), &mut themes, parts, topic);
    for theme in &mut themes {
        in_reading_order(&mut theme.runs, &terms_of(&theme.heading));
    }
    themes.sort_by(|left, right| weight(&right.runs).total_cmp(&weight(&left.runs)));
    (themes, rest)
}

fn weight(runs: &[Run]) -> f64 {
    runs.iter().map(Run::value).sum()
}

/// A definition of what the heading says first, then part by part in its order.
fn in_reading_order(runs: &mut [Run], about: &[String]) {
    runs.sort_by(|left, right| {
        let definition = |run: &Run| defines(&run.first().visible, about);
        let place = |run: &Run| (run.first().parts[0], run.first().order);
        definition(right).total_cmp(&definition(left)).then_with(|| place(left).cmp(&place(right)))
    });
}

#[derive(Debug)]
struct Candidate {
    heading: String,
    runs: BTreeSet<usize>,
    worth: f64,
}

/// Possible headings by their stems: names of nodes, headings of the parts, and what the parts are about.
fn candidates(runs: &[Run], parts: &Parts, topic: &[String]) -> BTreeMap<Vec<String>, Candidate> {
    let names: HashMap<NodeId, &str> = parts
        .texts
        .iter()
        .flat_map(|part| &part.document.referenced_nodes)
        .map(|node| (node.node_id, node.concept.as_str()))
        .collect();
    let mut found: BTreeMap<Vec<String>, Candidate> = BTreeMap::new();
    for (index, run) in runs.iter().enumerate() {
        for statement in &run.statements {
            let nodes = statement.nodes.iter().filter_map(|id| names.get(id)).map(|name| (*name, 1.0));
            let heading = statement.heading.as_deref().map(|heading| (heading, 1.1));
            let about = statement.parts.iter().map(|part| (parts.texts[*part].topic.as_str(), 0.9));
            for (name, worth) in nodes.chain(heading).chain(about) {
                let Some(heading) = presentable(name, topic) else { continue };
                let mut stems = terms_of(&heading);
                stems.sort();
                let candidate =
                    found.entry(stems).or_insert_with(|| Candidate { heading, runs: BTreeSet::new(), worth });
                candidate.worth = candidate.worth.max(worth);
                candidate.runs.insert(index);
            }
        }
    }
    found
}

fn best(
    candidates: &BTreeMap<Vec<String>, Candidate>,
    free: &[Option<Run>],
    themes: &[Theme],
) -> Option<(String, Vec<usize>)> {
    let mut best: Option<(f64, &Candidate, Vec<usize>)> = None;
    for candidate in
        candidates.values().filter(|one| !themes.iter().any(|theme| theme.heading == one.heading))
    {
        let members: Vec<usize> =
            candidate.runs.iter().copied().filter(|index| free[*index].is_some()).collect();
        #[allow(clippy::cast_precision_loss, reason = "counts of sentences")]
        let share = candidate.runs.len() as f64 / free.len().max(1) as f64;
        if members.len() < FEWEST || (share > WIDEST && free.len() > 2 * FEWEST) {
            continue;
        }
        let held = || members.iter().filter_map(|index| free[*index].as_ref());
        let parts: BTreeSet<usize> = held().map(|run| run.first().parts[0]).collect();
        #[allow(clippy::cast_precision_loss, reason = "few parts")]
        let across = 1.0 + ACROSS * (parts.len() - 1) as f64;
        let score = held().map(Run::value).sum::<f64>() * candidate.worth * across;
        if best.as_ref().is_none_or(|(known, ..)| score > *known) {
            best = Some((score, candidate, members));
        }
    }
    best.map(|(_, candidate, members)| (candidate.heading.clone(), members))
}

/// What is left joins the theme that is most like it, or gets one named after its part; a single run stays by itself.
fn join_the_rest(
    left: impl Iterator<Item = Run>,
    themes: &mut Vec<Theme>,
    parts: &Parts,
    topic: &[String],
) -> Vec<Run> {
    let mut by_part: BTreeMap<usize, Vec<Run>> = BTreeMap::new();
    for run in left {
        let nearness = |theme: &Theme| theme.runs.iter().map(|other| run.likeness(other)).fold(0.0, f64::max);
        let scored = themes.iter().map(nearness).enumerate().filter(|(_, nearness)| *nearness >= ALIKE);
        let nearest = scored.max_by(|one, other| one.1.total_cmp(&other.1).then(other.0.cmp(&one.0)));
        match nearest {
            Some((theme, _)) => themes[theme].runs.push(run),
            None => by_part.entry(run.first().parts[0]).or_default().push(run),
        }
    }
    let mut rest = Vec::new();
    for (part, runs) in by_part {
        let heading = presentable(&parts.texts[part].topic, topic);
        let known =
            heading.as_ref().and_then(|heading| themes.iter().position(|theme| theme.heading == *heading));
        match (known, heading) {
            (Some(theme), _) => themes[theme].runs.extend(runs),
            (None, Some(heading)) if runs.len() >= FEWEST => themes.push(Theme { heading, runs }),
            _ => rest.extend(runs),
        }
    }
    rest
}

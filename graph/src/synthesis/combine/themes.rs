//! Which runs belong under one heading, whichever parts they come from.
//!
//! The parts are the backbone: what a part says stands under its topic, and so does what others say about it. What runs across
//! parts without being the topic of one gets a heading of its own. So a part that comes in later changes little elsewhere.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ackord_entities::ids::NodeId;

use super::Parts;
use super::merge::Run;
use crate::search::topic_terms;
use crate::synthesis::extractive::{defines, is_plain_word, presentable};
use crate::text::terms_of;

/// Runs that begin the text, at most: one of each of the first parts.
const LEAD: usize = 4;
/// Headings across parts, at most.
const MOST_ACROSS: usize = 2;
/// Runs that such a heading needs under it, and the share of all that it may have at most.
const FEWEST: usize = 3;
const WIDEST: f64 = 0.25;

/// A heading and what stands under it.
#[derive(Debug)]
pub(super) struct Theme {
    /// Empty for what a part about the topic itself says: it stands under the title.
    pub(super) heading: String,
    pub(super) runs: Vec<Run>,
}

/// Takes what begins the text out of `runs`: a definition of the topic if there is one, then what defines or opens each of the first
/// parts. Where a part is about the topic itself, the text begins with what that says, and there is no other lead.
pub(super) fn take_lead(runs: &mut Vec<Run>, parts: &Parts, topic: &[String]) -> Vec<Run> {
    if parts.texts.len() > 1 && parts.texts.iter().any(|part| heading(&part.topic, topic).is_empty()) {
        return Vec::new();
    }
    let most = LEAD.min(runs.len().div_ceil(3));
    let mut lead = Vec::new();
    lead.extend(take_best(runs, |run| defines(&run.first().visible, topic)));
    for (part, text) in parts.texts.iter().enumerate() {
        let about = topic_terms(&text.topic);
        if lead.iter().any(|run: &Run| run.first().parts[0] == part) {
            continue;
        }
        if lead.len() >= most {
            break;
        }
        lead.extend(take_best(runs, |run| {
            let first = run.first();
            if first.parts[0] == part { run.value() + 2.0 * defines(&first.visible, &about) } else { 0.0 }
        }));
    }
    lead
}

/// Takes the run out that is worth most, if any is worth something; none that leans on what stands elsewhere.
fn take_best(runs: &mut Vec<Run>, worth: impl Fn(&Run) -> f64) -> Option<Run> {
    let standing = runs.iter().enumerate().filter(|(_, run)| !run.first().leans);
    let scored = standing.map(|(index, run)| (index, worth(run))).filter(|(_, worth)| *worth > 0.0);
    let best = scored.max_by(|left, right| left.1.total_cmp(&right.1).then(right.0.cmp(&left.0)));
    best.map(|(index, _)| runs.remove(index))
}

/// Sorts `runs` under headings: the topics of the parts, in their order, then what runs across them.
pub(super) fn themes(runs: Vec<Run>, parts: &Parts, topic: &[String]) -> Vec<Theme> {
    let names = names(parts);
    let mut sections: Vec<Theme> = parts
        .texts
        .iter()
        .map(|part| Theme { heading: heading(&part.topic, topic), runs: Vec::new() })
        .collect();
    let abouts: Vec<BTreeSet<String>> =
        parts.texts.iter().map(|part| topic_terms(&part.topic).into_iter().collect()).collect();
    let (mut across, rest) = across(runs, &abouts, &names, topic);
    for run in rest {
        sections[home(&run, &abouts, &names)].runs.push(run);
    }
    let about = |heading: &str| if heading.is_empty() { topic.to_vec() } else { terms_of(heading) };
    across.sort_by(|left, right| weight(&right.runs).total_cmp(&weight(&left.runs)));
    let mut all: Vec<Theme> = Vec::new();
    // What has no heading comes before the headings.
    sections.sort_by_key(|section| !section.heading.is_empty());
    for theme in sections.into_iter().chain(across).filter(|theme| !theme.runs.is_empty()) {
        // Two parts of one name are one section.
        match all.iter_mut().find(|known| known.heading == theme.heading) {
            Some(known) => known.runs.extend(theme.runs),
            None => all.push(theme),
        }
    }
    for theme in &mut all {
        in_reading_order(&mut theme.runs, &about(&theme.heading));
    }
    all
}

/// A part's topic as a heading; one that is fit for none stays as it is, on one line. One that says no more than the topic is none.
fn heading(about: &str, topic: &[String]) -> String {
    let stems = terms_of(about);
    if !stems.is_empty() && stems.iter().all(|stem| topic.contains(stem)) {
        return String::new();
    }
    presentable(about, topic).unwrap_or_else(|| about.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn names(parts: &Parts) -> HashMap<NodeId, &str> {
    let nodes = parts.texts.iter().flat_map(|part| &part.document.referenced_nodes);
    nodes.map(|node| (node.node_id, node.concept.as_str())).collect()
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

/// The part under whose topic a run belongs: the one whose topic it speaks of in full, if its own is not among these.
fn home(run: &Run, abouts: &[BTreeSet<String>], names: &HashMap<NodeId, &str>) -> usize {
    let own = run.first().parts[0];
    let mut told: BTreeSet<String> = terms_of(&run.first().visible).into_iter().collect();
    told.extend(run.first().nodes.iter().filter_map(|id| names.get(id)).flat_map(|name| terms_of(name)));
    let speaks_of = |part: usize| !abouts[part].is_empty() && abouts[part].is_subset(&told);
    if speaks_of(own) {
        return own;
    }
    (0..abouts.len()).find(|part| speaks_of(*part)).unwrap_or(own)
}

#[derive(Debug)]
struct Candidate {
    heading: String,
    runs: BTreeSet<usize>,
    worth: f64,
}

/// What runs across parts, by the names of nodes and the headings of the parts, and what does not.
fn across(
    runs: Vec<Run>,
    abouts: &[BTreeSet<String>],
    names: &HashMap<NodeId, &str>,
    topic: &[String],
) -> (Vec<Theme>, Vec<Run>) {
    let candidates = candidates(&runs, abouts, names, topic);
    let mut free: Vec<Option<Run>> = runs.into_iter().map(Some).collect();
    let mut themes: Vec<Theme> = Vec::new();
    while themes.len() < MOST_ACROSS
        && let Some((heading, members)) = best(&candidates, &free, &themes)
    {
        let runs = members.into_iter().filter_map(|index| free[index].take()).collect();
        themes.push(Theme { heading, runs });
    }
    (themes, free.into_iter().flatten().collect())
}

/// Possible headings by their stems, but for those that a part's topic says already.
fn candidates(
    runs: &[Run],
    abouts: &[BTreeSet<String>],
    names: &HashMap<NodeId, &str>,
    topic: &[String],
) -> BTreeMap<Vec<String>, Candidate> {
    let mut found: BTreeMap<Vec<String>, Candidate> = BTreeMap::new();
    for (index, run) in runs.iter().enumerate() {
        for statement in &run.statements {
            let nodes = statement.nodes.iter().filter_map(|id| names.get(id)).map(|name| (*name, 1.0));
            let heading = statement.heading.as_deref().map(|heading| (heading, 1.2));
            for (name, worth) in nodes.chain(heading) {
                // A plain word rather tells what things are than what is told about them.
                let Some(heading) = presentable(name, topic).filter(|heading| !is_plain_word(heading)) else {
                    continue;
                };
                let stems: BTreeSet<String> = terms_of(&heading).into_iter().collect();
                if abouts.iter().any(|about| stems.is_subset(about)) {
                    continue;
                }
                let candidate = found.entry(stems.into_iter().collect()).or_insert_with(|| Candidate {
                    heading,
                    runs: BTreeSet::new(),
                    worth,
                });
                candidate.worth = candidate.worth.max(worth);
                candidate.runs.insert(index);
            }
        }
    }
    found
}

/// The candidate that brings most together, of several parts.
fn best(
    candidates: &BTreeMap<Vec<String>, Candidate>,
    free: &[Option<Run>],
    themes: &[Theme],
) -> Option<(String, Vec<usize>)> {
    let mut best: Option<(f64, &Candidate, Vec<usize>)> = None;
    for candidate in candidates.values() {
        let members: Vec<usize> =
            candidate.runs.iter().copied().filter(|index| free[*index].is_some()).collect();
        #[allow(clippy::cast_precision_loss, reason = "counts of sentences")]
        let share = candidate.runs.len() as f64 / free.len().max(1) as f64;
        let taken = themes.iter().any(|theme| theme.heading == candidate.heading);
        let held = || members.iter().filter_map(|index| free[*index].as_ref());
        let parts: BTreeSet<usize> = held().map(|run| run.first().parts[0]).collect();
        if taken || members.len() < FEWEST || share > WIDEST || parts.len() < 2 {
            continue;
        }
        #[allow(clippy::cast_precision_loss, reason = "few parts")]
        let score = held().map(Run::value).sum::<f64>() * candidate.worth * (parts.len() - 1) as f64;
        if best.as_ref().is_none_or(|(known, ..)| score > *known) {
            best = Some((score, candidate, members));
        }
    }
    best.map(|(_, candidate, members)| (candidate.heading.clone(), members))
}

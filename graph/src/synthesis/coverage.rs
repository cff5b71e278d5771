//! Whether a graph speaks of a topic at all, or only uses one of its words.

use std::collections::{BTreeMap, HashSet};

use ackord_entities::ids::SourceId;

use super::material::Fact;
use crate::text::terms_of;

/// Sentences of one source this far apart still speak of one thing.
const REACH: u32 = 4;

/// How much of a topic stands together in one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Coverage {
    /// The stems of the topic that do.
    pub(super) stems: Vec<String>,
    /// Whether that is enough to say that the graph speaks of the topic.
    pub(super) enough: bool,
}

/// The best coverage that any place in `facts` gives.
///
/// A graph speaks of the topic where all of its stems stand in neighbouring sentences and the headings above them, or two
/// thirds of three and more in one sentence. Less is chance: `migration` alone does not make a text about migrating birds.
pub(super) fn of(topic: &[String], facts: &[Fact]) -> Coverage {
    let mut places: BTreeMap<(SourceId, u32), HashSet<&str>> = BTreeMap::new();
    for fact in facts {
        let held = held_by(fact, topic);
        if !held.is_empty() {
            places.insert((fact.source.id, fact.position), held);
        }
    }
    let mut best: HashSet<&str> = HashSet::new();
    let mut most_in_one = 0;
    for ((source, position), held) in &places {
        most_in_one = most_in_one.max(held.len());
        let around = places.range((*source, *position)..=(*source, position.saturating_add(REACH)));
        let together: HashSet<&str> = around.flat_map(|(_, held)| held.iter().copied()).collect();
        if together.len() > best.len() {
            best = together;
        }
    }
    let stems: Vec<String> = topic.iter().filter(|stem| best.contains(stem.as_str())).cloned().collect();
    let all = !stems.is_empty() && stems.len() == topic.len();
    Coverage { stems, enough: all || (topic.len() >= 3 && most_in_one * 3 >= topic.len() * 2) }
}

/// How much each of `facts` speaks of the topic, 0 to 1: by the share of the topic's stems in the sentence itself and, as
/// much again, in its neighbourhood; less in a source that speaks of the topic only here and there.
#[allow(clippy::cast_precision_loss, reason = "a topic has few words")]
pub(super) fn focus(topic: &[String], facts: &[Fact]) -> Vec<f64> {
    let all = topic.len().max(1) as f64;
    let mut places: BTreeMap<(SourceId, u32), HashSet<&str>> = BTreeMap::new();
    let mut by_source: BTreeMap<SourceId, f64> = BTreeMap::new();
    for fact in facts {
        let held = held_by(fact, topic);
        *by_source.entry(fact.source.id).or_default() += (held.len() as f64 / all).powi(2);
        places.insert((fact.source.id, fact.position), held);
    }
    let most = by_source.values().copied().fold(f64::MIN_POSITIVE, f64::max);
    let of_fact = |fact: &Fact| {
        let (source, position) = (fact.source.id, fact.position);
        let own = terms_of(&fact.text).iter().filter(|stem| topic.contains(stem)).count() as f64 / all;
        let around =
            places.range((source, position.saturating_sub(REACH))..=(source, position.saturating_add(REACH)));
        let near =
            around.flat_map(|(_, held)| held.iter().copied()).collect::<HashSet<&str>>().len() as f64 / all;
        let of_source = (by_source.get(&source).copied().unwrap_or_default() / most).sqrt();
        (0.5 * own + 0.5 * near).powi(2) * (0.6 + 0.4 * of_source)
    };
    facts.iter().map(of_fact).collect()
}

fn held_by<'a>(fact: &Fact, topic: &'a [String]) -> HashSet<&'a str> {
    let texts = fact.headings.iter().map(String::as_str).chain([fact.text.as_str()]);
    let stems: HashSet<String> = texts.flat_map(terms_of).collect();
    topic.iter().map(String::as_str).filter(|stem| stems.contains(*stem)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ackord_entities::graph::fact::FactType;
    use ackord_entities::ids::FactId;
    use rstest::rstest;
    use uuid::Uuid;

    use super::*;
    use crate::search::topic_terms;
    use crate::synthesis::material::Source;

    fn facts(texts: &[&str]) -> Vec<Fact> {
        let source =
            Arc::new(Source { id: SourceId(Uuid::nil()), title: "t".to_owned(), uri: "u".to_owned() });
        let fact = |(position, text): (u32, &&str)| Fact {
            id: FactId(Uuid::from_u128(u128::from(position))),
            text: (*text).to_owned(),
            fact_type: FactType::Sentence,
            source: source.clone(),
            position: position * 3,
            headings: vec!["Engine".to_owned()],
            nodes: vec![],
        };
        (0..).zip(texts).map(fact).collect()
    }

    const TEXTS: [&str; 5] = [
        "A migration of the schema runs once.",
        "Nothing to see.",
        "Nothing to see either.",
        "A bird's eye view of the schema.",
        "Leases expire in the engine.",
    ];

    #[rstest]
    #[case("schema migration", true)]
    #[case("migration of arctic birds", false)]
    #[case("arctic migration", false)]
    #[case("lease expiry in engines", true)]
    #[case("leases expire or glaciers melt", false)]
    #[case("the engine", true)]
    #[case("of the", false)]
    fn a_graph_speaks_of_what_stands_together(#[case] topic: &str, #[case] enough: bool) {
        assert_eq!(of(&topic_terms(topic), &facts(&TEXTS)).enough, enough);
    }

    #[test]
    fn a_sentence_with_all_of_the_topic_has_more_focus_than_one_with_a_part() {
        let focus = focus(&topic_terms("schema migration"), &facts(&TEXTS));
        assert!(focus[0] > focus[3] && focus[3] > focus[4], "{focus:?}");
    }
}

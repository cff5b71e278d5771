//! Which nodes a sentence names, word by word.

use ackord_entities::ids::NodeId;
use serde::{Deserialize, Serialize};

use super::links;
use crate::synthesis::material::Node;

/// How a text came to refer to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeLink {
    /// By one of its other names.
    AliasMatch,
    /// By its first name.
    NameMatch,
    /// By a link to `/nodes/<id>`.
    Explicit,
}

/// The names of nodes, ready to be looked for.
#[derive(Debug)]
pub(super) struct Names {
    names: Vec<(NodeId, String, NodeLink)>,
}

impl Names {
    pub(super) fn of(nodes: &[Node]) -> Self {
        let mut names = Vec::new();
        for node in nodes {
            let aliases = node.aliases.iter().map(|alias| (alias, NodeLink::AliasMatch));
            for (name, link) in [(&node.name, NodeLink::NameMatch)].into_iter().chain(aliases) {
                let name = comparable(name);
                if !name.is_empty() {
                    names.push((node.id, name, link));
                }
            }
        }
        Self { names }
    }

    /// The nodes that `sentence` refers to, each once with its strongest link: explicit links in the order of the text,
    /// then matches in the order of the nodes.
    pub(super) fn in_sentence(&self, sentence: &str) -> Vec<(NodeId, NodeLink)> {
        let explicit = links::linked_nodes(sentence).into_iter().map(|id| (id, NodeLink::Explicit));
        let mut found: Vec<(NodeId, NodeLink)> = explicit.collect();
        let text = comparable(&links::visible(sentence));
        for (id, name, link) in &self.names {
            if !found.iter().any(|(known, _)| known == id) && has_words(&text, name) {
                found.push((*id, *link));
            }
        }
        found
    }
}

/// Lower case, with one space between words.
fn comparable(text: &str) -> String {
    text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

/// Whether `name` stands in `text` with no letter or digit right before or behind it.
fn has_words(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let behind = text[start + name.len()..].chars().next();
        !touches(before, name.chars().next()) && !touches(behind, name.chars().next_back())
    })
}

/// Whether a character outside a name and the name's own edge belong to one word.
fn touches(outside: Option<char>, edge: Option<char>) -> bool {
    let in_word = |character: char| character.is_alphanumeric() || character == '_';
    outside.is_some_and(in_word) && edge.is_some_and(in_word)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use ackord_entities::graph::node::NodeType;
    use rstest::rstest;
    use uuid::Uuid;

    use super::*;

    fn node(number: u128, name: &str, aliases: &[&str]) -> Node {
        Node {
            id: NodeId(Uuid::from_u128(number)),
            name: name.to_owned(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            node_type: NodeType::Term,
        }
    }

    #[rstest]
    #[case::inside_a_word("AI", "He said so.", false)]
    #[case::word("AI", "What AI can do.", true)]
    #[case::case_is_ignored("GRAVITY", "The gravity of it.", true)]
    #[case::other_case_is_ignored("gravity", "GRAVITY!", true)]
    #[case::several_words("dead letter", "A Dead\u{a0} letter, kept.", true)]
    #[case::not_part_of_a_name("lease", "The re_lease and released.", false)]
    #[case::hyphen_separates("letter", "A dead-letter queue.", true)]
    #[case::symbols("C++", "In C++, one writes.", true)]
    #[case::other_letters("über", "Etwas über Gras.", true)]
    #[case::citation_labels_do_not_count(
        "source",
        "Said [source](/facts/01890a5d-ac96-774b-bcce-b302099a8057).",
        false
    )]
    #[case::addresses_do_not_count("facts", "Said [1](/facts/01890a5d-ac96-774b-bcce-b302099a8057).", false)]
    fn names_match_whole_words(#[case] name: &str, #[case] sentence: &str, #[case] found: bool) {
        assert_eq!(!Names::of(&[node(1, name, &[])]).in_sentence(sentence).is_empty(), found);
    }

    #[test]
    fn a_node_counts_once_with_its_first_name_first() {
        let names = Names::of(&[node(1, "Lease", &["term", "claim"])]);
        let id = NodeId(Uuid::from_u128(1));
        assert_eq!(names.in_sentence("A lease is a claim with a term."), [(id, NodeLink::NameMatch)]);
        assert_eq!(names.in_sentence("A claim with a term."), [(id, NodeLink::AliasMatch)]);
    }

    #[test]
    fn explicit_links_count_without_any_name() {
        let id: NodeId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let sentence = format!("See [it](/nodes/{id}) and [it](/nodes/{id}).");
        assert_eq!(Names::of(&[]).in_sentence(&sentence), [(id, NodeLink::Explicit)]);
    }
}

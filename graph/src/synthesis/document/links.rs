//! The canonical links of a sentence, and what a reader sees of it.

use std::collections::HashSet;

use ackord_entities::ids::{FactId, NodeId};

use super::token::{self, Target};
use crate::synthesis::material::{Fact, Node};

/// A canonical link and the bytes that it and its label take.
#[derive(Clone, Debug)]
pub(crate) struct Link<'a> {
    pub(crate) label: &'a str,
    pub(crate) target: Target,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Link<'_> {
    pub(crate) fn is_mark(&self) -> bool {
        is_mark(self.label)
    }
}

/// Whether a label only marks a citation (`1`, `source`), rather than being a part of the sentence.
pub(crate) fn is_mark(label: &str) -> bool {
    let numeric = label.chars().all(|character| !character.is_alphabetic());
    numeric || matches!(label.to_lowercase().trim(), "source" | "sources" | "fact" | "node" | "ref")
}

/// What a link's address points to, if it is `/facts/<id>` or `/nodes/<id>`.
pub(crate) fn target_of(address: &str) -> Option<Target> {
    let token = token::at(address, 0)?;
    (address.starts_with('/') && token.end == address.len()).then_some(token.target)
}

/// The links `[label](/facts/<id>)` and `[label](/nodes/<id>)` of `text`, in order.
pub(crate) fn links(text: &str) -> Vec<Link<'_>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(token) = token::find(text, from) {
        from = token.end;
        let closes = text[token.end..].starts_with(')');
        if let Some(label) = text[..token.start].strip_suffix("](").filter(|_| closes)
            && let Some(start) = label_start(label)
        {
            let end = token.end + 1;
            found.push(Link { label: &label[start + 1..], target: token.target, start, end });
        }
    }
    found
}

/// The facts that `text` cites, each once, in the order of their first citation.
#[must_use]
pub fn cited_facts(text: &str) -> Vec<FactId> {
    let mut ids = Vec::new();
    for link in links(text) {
        if let Target::Fact(id) = link.target
            && !ids.contains(&id)
        {
            ids.push(id);
        }
    }
    ids
}

/// The nodes that `text` links to, each once, in order.
#[must_use]
pub fn linked_nodes(text: &str) -> Vec<NodeId> {
    let mut ids = Vec::new();
    for link in links(text) {
        if let Target::Node(id) = link.target
            && !ids.contains(&id)
        {
            ids.push(id);
        }
    }
    ids
}

/// `text` without its links to what is neither in `nodes` nor in `facts`: a mark of a citation goes, of another link the label stays.
#[must_use]
pub fn keep_known(text: &str, nodes: &[Node], facts: &[Fact]) -> String {
    let nodes: HashSet<NodeId> = nodes.iter().map(|node| node.id).collect();
    let facts: HashSet<FactId> = facts.iter().map(|fact| fact.id).collect();
    let is_known = |target: Target| match target {
        Target::Fact(id) => facts.contains(&id),
        Target::Node(id) => nodes.contains(&id),
    };
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for link in links(text).into_iter().filter(|link| !is_known(link.target)) {
        out.push_str(&text[copied..link.start]);
        if link.is_mark() {
            out.truncate(out.trim_end_matches([' ', '\u{a0}']).len());
        } else {
            out.push_str(link.label);
        }
        copied = link.end;
    }
    out.push_str(&text[copied..]);
    out.trim().to_owned()
}

/// `text` as it reads: marks of citations are gone, other links are their labels.
#[must_use]
pub fn visible(text: &str) -> String {
    visible_with(text, |_, _| {})
}

/// [`visible`], with whatever `after` writes behind each link.
pub(crate) fn visible_with(text: &str, mut after: impl FnMut(&mut String, &Link<'_>)) -> String {
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for link in links(text) {
        out.push_str(&text[copied..link.start]);
        if link.is_mark() {
            out.truncate(out.trim_end_matches([' ', '\u{a0}']).len());
        } else {
            out.push_str(link.label);
        }
        after(&mut out, &link);
        copied = link.end;
    }
    out.push_str(&text[copied..]);
    out
}

/// Where the `[` of the label stands that `before` ends with.
fn label_start(before: &str) -> Option<usize> {
    let mut depth = 1_u32;
    for (offset, character) in before.char_indices().rev() {
        match character {
            ']' => depth += 1,
            '[' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(offset);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    #[test]
    fn citations_vanish_and_names_stay() {
        let text =
            format!("A [lease [x]](/nodes/{ID}) ends [1](/facts/{ID}) [2](/facts/{ID}). [b](http://c)");
        assert_eq!(visible(&text), "A lease [x] ends. [b](http://c)");
        assert_eq!(cited_facts(&text).len(), 1);
        assert_eq!(linked_nodes(&text).len(), 1);
    }

    #[test]
    fn links_to_what_is_not_known_lose_their_address() {
        let known = "01890a5d-ac96-774b-bcce-b302099a8058";
        let node = Node {
            id: known.parse().unwrap(),
            name: "lease".to_owned(),
            aliases: vec![],
            node_type: ackord_entities::graph::node::NodeType::Term,
        };
        let text = format!("A [lease](/nodes/{known}) of a [term](/nodes/{ID}) ends [1](/facts/{ID}). Yes.");
        assert_eq!(
            keep_known(&text, &[node], &[]),
            format!("A [lease](/nodes/{known}) of a term ends. Yes.")
        );
        assert_eq!(keep_known(&format!("[1](/facts/{ID})"), &[], &[]), "");
    }

    #[test]
    fn a_label_that_is_part_of_the_sentence_stays() {
        assert_eq!(visible(&format!("A [lease](/facts/{ID}) ends [source](/facts/{ID}).")), "A lease ends.");
    }

    #[test]
    fn what_is_no_link_is_left_alone() {
        let text = format!("A /facts/{ID} and ](/facts/{ID}) and [a](/facts/{ID} b");
        assert_eq!(visible(&text), text);
        assert!(links(&text).is_empty());
    }
}

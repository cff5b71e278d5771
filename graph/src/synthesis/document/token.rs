//! The tokens that name a fact or a node in a text: `/facts/<id>`, `node:<id>` and their kin.

use ackord_entities::ids::{FactId, NodeId};
use uuid::Uuid;

/// What a token or a link points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `/facts/<id>`
    Fact(FactId),
    /// `/nodes/<id>`
    Node(NodeId),
}

impl Target {
    /// The address inside a document: `/facts/<id>` or `/nodes/<id>`, the id in lower case.
    #[must_use]
    pub fn address(self) -> String {
        match self {
            Self::Fact(id) => format!("/facts/{id}"),
            Self::Node(id) => format!("/nodes/{id}"),
        }
    }

    /// The label of a token that came without one.
    pub(super) fn bare_label(self) -> &'static str {
        match self {
            Self::Fact(_) => "source",
            Self::Node(_) => "node",
        }
    }
}

/// A token and the bytes it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) target: Target,
    pub(super) start: usize,
    pub(super) end: usize,
}

const ID_LENGTH: usize = 36;
type MakeTarget = fn(Uuid) -> Target;

/// Longer words first: `facts` is not `fact` and an `s`.
const WORDS: [(&str, MakeTarget); 4] = [
    ("facts", |id| Target::Fact(FactId(id))),
    ("fact", |id| Target::Fact(FactId(id))),
    ("nodes", |id| Target::Node(NodeId(id))),
    ("node", |id| Target::Node(NodeId(id))),
];

/// The first token of `text` that starts at byte `from` or later.
pub(super) fn find(text: &str, from: usize) -> Option<Token> {
    let starts = text[from..].char_indices().map(|(offset, _)| from + offset);
    starts.filter(|start| stands_free(text, *start)).find_map(|start| at(text, start))
}

/// The token that starts exactly at byte `start`.
pub(super) fn at(text: &str, start: usize) -> Option<Token> {
    let rest = text.get(start..)?;
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    let (rest, make) = WORDS.iter().find_map(|(word, make)| {
        let head = rest.get(..word.len())?;
        head.eq_ignore_ascii_case(word).then(|| (&rest[word.len()..], make))
    })?;
    let rest = rest.strip_prefix(['/', ':'])?.trim_start_matches(' ');
    let id = Uuid::try_parse(rest.get(..ID_LENGTH)?).ok()?;
    let end = text.len() - rest.len() + ID_LENGTH;
    ends_there(&text[end..]).then(|| Token { target: make(id), start, end })
}

/// A token inside a longer word or a longer address (`artifacts/..`, `https://host/facts/..`) is none.
fn stands_free(text: &str, start: usize) -> bool {
    let before = text[..start].chars().next_back();
    !before.is_some_and(|character| {
        character.is_alphanumeric() || matches!(character, '/' | '_' | '-' | '.' | ':')
    })
}

fn ends_there(rest: &str) -> bool {
    let mut characters = rest.chars();
    match characters.next() {
        Some('/' | '#' | '?' | '=') => !characters.next().is_some_and(char::is_alphanumeric),
        Some(character) => !character.is_alphanumeric() && !matches!(character, '-' | '_'),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    #[test]
    fn slash_and_colon_singular_and_plural_are_tokens() {
        for form in ["/facts/", "facts/", "fact:", "/fact:", "FACT:", "fact: "] {
            let text = format!("see {form}{ID}.");
            let token = find(&text, 0).unwrap();
            assert_eq!(token.target, Target::Fact(ID.parse().unwrap()), "{form}");
            assert_eq!((token.start, token.end), (4, text.len() - 1), "{form}");
        }
        assert!(matches!(find(&format!("node:{ID}"), 0).unwrap().target, Target::Node(_)));
    }

    #[test]
    fn a_token_in_a_longer_word_or_address_is_none() {
        for text in [
            "artifacts/{}",
            "https://host/facts/{}",
            "/facts/{}/edit",
            "/facts/{}7",
            "x/facts/{}",
            "facts {}",
        ] {
            assert!(find(&text.replace("{}", ID), 0).is_none(), "{text}");
        }
    }
}

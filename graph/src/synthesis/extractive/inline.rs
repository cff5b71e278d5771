//! A plain sentence as Markdown, with its citations.

use std::fmt::Write as _;

use ackord_entities::ids::FactId;

use crate::synthesis::document::{Target, breaks};

/// A citation: the number of the source, and the fact.
pub(in crate::synthesis) type Citation = (u32, FactId);

/// `sentence` as Markdown that reads exactly as it does, ending in a stop, with `citations` before that stop.
///
/// They stand before it because a text is split behind stops: a citation belongs to the sentence that it stands in. For
/// the same reason a stop inside (`e.g. Postgres`) is followed by a no-break space.
pub(super) fn cite(sentence: &str, citations: &[Citation]) -> String {
    let sentence = capitalised(sentence.trim());
    let (body, end) = split_end(&sentence);
    with_citations(escape(&held_together(body.trim_end())), citations, end)
}

/// `sentence`, which is Markdown already and has no citations, with `citations` before its stop.
pub(in crate::synthesis) fn cite_markdown(sentence: &str, citations: &[Citation]) -> String {
    let (body, end) = split_end(sentence.trim());
    with_citations(body.trim_end().to_owned(), citations, end)
}

fn with_citations(mut out: String, citations: &[Citation], end: &str) -> String {
    for (number, fact) in citations {
        // Behind a stop (`Is it? .`) a plain space would end the sentence.
        let space = if out.ends_with(['.', '!', '?']) { '\u{a0}' } else { ' ' };
        let _ = write!(out, "{space}[{number}]({})", Target::Fact(*fact).address());
    }
    out.push_str(end);
    out
}

/// `text` with a backslash before every character that Markdown would read as markup.
pub(in crate::synthesis) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = None;
    let mut characters = text.char_indices().peekable();
    while let Some((offset, character)) = characters.next() {
        let behind = characters.peek().map(|(_, next)| *next);
        if is_markup(character, before, behind, &text[offset..]) {
            out.push('\\');
        }
        out.push(character);
        before = Some(character);
    }
    if begins_a_block(text) {
        out.insert(
            text.find(['.', ')']).filter(|_| text.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(0),
            '\\',
        );
    }
    out
}

fn is_markup(character: char, before: Option<char>, behind: Option<char>, rest: &str) -> bool {
    let letter = |neighbour: Option<char>| neighbour.is_some_and(char::is_alphanumeric);
    match character {
        '`' | '*' => true,
        '_' => !(letter(before) && letter(behind)),
        '\\' => behind.is_some_and(|behind| behind.is_ascii_punctuation()),
        '<' => behind.is_some_and(|behind| behind.is_alphabetic() || matches!(behind, '/' | '!' | '?')),
        '[' => rest.contains(']'),
        '~' => behind == Some('~') || before == Some('~'),
        '&' => rest
            .find(';')
            .is_some_and(|end| end > 1 && rest[1..end].chars().all(|c| c.is_alphanumeric() || c == '#')),
        _ => false,
    }
}

/// Whether a paragraph that starts with `text` would be read as a heading, a list item or a quotation.
fn begins_a_block(text: &str) -> bool {
    let behind_number = text.trim_start_matches(|character: char| character.is_ascii_digit());
    let numbered = behind_number.len() < text.len() && behind_number.starts_with([')', '.']);
    let marked = text.starts_with(['#', '>']) || text.starts_with("- ") || text.starts_with("+ ");
    numbered && behind_number[1..].starts_with(' ') || marked
}

fn capitalised(sentence: &str) -> String {
    let first_word = sentence.split(' ').next().unwrap_or_default();
    let is_word =
        first_word.chars().all(|character| character.is_lowercase() || matches!(character, ',' | '\''));
    let mut characters = sentence.chars();
    match characters.next() {
        Some(first) if is_word && first.is_lowercase() => first.to_uppercase().chain(characters).collect(),
        _ => sentence.to_owned(),
    }
}

/// The sentence without its last stop, and the stop, which a sentence without one gets.
fn split_end(sentence: &str) -> (&str, &str) {
    let stop = sentence.trim_end_matches(['"', '\'', '”', '’', ')', ']']);
    let body = stop.trim_end_matches(['.', '!', '?', ';', ',']);
    match &sentence[body.len()..] {
        "" => (sentence, "."),
        end if end.starts_with(['.', '!', '?']) => (body, end),
        ";" | "," => (body, "."),
        _ => (sentence, "."),
    }
}

fn held_together(body: &str) -> String {
    let mut held = body.to_owned();
    for offset in breaks(body).into_iter().rev() {
        let spaces = held[offset..].len() - held[offset..].trim_start_matches([' ', '\t']).len();
        held.replace_range(offset..offset + spaces, "\u{a0}");
    }
    held
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Parser};
    use rstest::rstest;
    use uuid::Uuid;

    use super::*;
    use crate::synthesis::document::{split, visible};

    fn fact() -> FactId {
        FactId(Uuid::from_u128(1))
    }

    #[rstest]
    #[case::plain("A lease ends.", "A lease ends @.")]
    #[case::no_stop("A lease ends", "A lease ends @.")]
    #[case::semicolon("a lease ends;", "A lease ends @.")]
    #[case::question("Does it end?", "Does it end @?")]
    #[case::quoted("He said \"it ends.\"", "He said \"it ends @.\"")]
    #[case::bracket("It ends (at last).", "It ends (at last) @.")]
    #[case::bracket_without_stop("It ends (at last)", "It ends (at last) @.")]
    #[case::abbreviation("Use e.g. Postgres.", "Use e.g.\u{a0}Postgres @.")]
    #[case::identifier("x-ackord-seq is a header.", "x-ackord-seq is a header @.")]
    #[case::path("src/main.rs is short.", "src/main.rs is short @.")]
    fn the_citation_stands_before_the_stop(#[case] sentence: &str, #[case] wanted: &str) {
        let citation = format!("[1](/facts/{})", fact());
        assert_eq!(cite(sentence, &[(1, fact())]), wanted.replace('@', &citation));
    }

    #[rstest]
    #[case("A *star* and `code` and <b>tags</b>", "A \\*star\\* and \\`code\\` and \\<b>tags\\</b>")]
    #[case("snake_case and _this_", "snake_case and \\_this\\_")]
    #[case("a < b and Vec<T>", "a < b and Vec\\<T>")]
    #[case("# no heading", "\\# no heading")]
    #[case("1. no item", "1\\. no item")]
    #[case("[x](y)", "\\[x](y)")]
    fn markup_is_escaped(#[case] text: &str, #[case] wanted: &str) {
        assert_eq!(escape(text), wanted);
    }

    fn as_read(markdown: &str) -> String {
        Parser::new(markdown)
            .filter_map(|event| match event {
                Event::Text(text) => Some(text.to_string()),
                Event::SoftBreak => Some(" ".to_owned()),
                Event::Code(_) | Event::Html(_) | Event::InlineHtml(_) => Some("MARKUP".to_owned()),
                _ => None,
            })
            .collect()
    }

    proptest! {
        #[test]
        fn escaped_text_reads_as_it_did(text in "[A-Za-z][A-Za-z0-9 .,#*_`<>()\\[\\]!&;:\\\\~-]{0,60}[a-z]") {
            prop_assert_eq!(as_read(&escape(&text)).replace(' ', ""), text.replace(' ', ""));
        }

        #[test]
        fn a_cited_sentence_stays_one_sentence(text in "[A-Z][A-Za-z0-9 .!?\"'(),-]{8,80}") {
            let cited = cite(&text, &[(1, fact()), (2, fact())]);
            prop_assert_eq!(split(&cited).len(), 1, "{}", cited);
            // Every letter of it is still there; the stop at its end may be another one.
            let letters = |text: &str| text.chars().filter(|one| one.is_alphanumeric()).collect::<String>();
            prop_assert!(letters(&visible(&cited)).starts_with(&letters(&text)), "{}", cited);
        }
    }
}

//! Every way a text names facts and nodes, turned into one: `[label](/facts/<id>)` and `[label](/nodes/<id>)`.

use super::token::{self, Token};

/// A label is looked for this far back; a longer one is text that happens to stand in brackets.
const LONGEST_LABEL: usize = 300;

/// `markdown` with canonical links.
///
/// Brace tokens (`{fact:<id>}`), a colon instead of a slash (`[label](fact:<id>)`), a wrong or missing closing bracket
/// (`[label](/facts/<id>]`), bare bracket links (`[/nodes/<id>]`), several tokens in one pair of brackets and tokens that
/// stand alone all become `[label](/facts/<id>)` or `[label](/nodes/<id>)`; a token without a label of its own is labelled
/// `source` or `node`. All other text stays byte for byte, and a canonical text stays as it is.
#[must_use]
pub fn normalise_links(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len());
    let mut copied = 0;
    while let Some(token) = token::find(markdown, copied) {
        out.push_str(&markdown[copied..token.start]);
        copied = link(markdown, token, &mut out);
    }
    out.push_str(&markdown[copied..]);
    out
}

/// Writes the link of `token`, and of those that share its brackets; returns the byte behind what it used.
fn link(markdown: &str, token: Token, out: &mut String) -> usize {
    let opener = take_opener(out);
    if opener.is_some() && ends_with_label(out) {
        push_address(token, out);
    } else {
        if opener.is_some() && out.ends_with("[]") {
            out.truncate(out.len() - "[]".len());
        }
        push_bare(token, out);
    }
    let mut end = token.end;
    if opener.is_some() {
        while let Some(next) = next_in_brackets(markdown, end) {
            out.push(' ');
            push_bare(next, out);
            end = next.end;
        }
        end = behind_closer(markdown, end);
    }
    end
}

fn push_address(token: Token, out: &mut String) {
    out.push('(');
    out.push_str(&token.target.address());
    out.push(')');
}

fn push_bare(token: Token, out: &mut String) {
    out.push('[');
    out.push_str(token.target.bare_label());
    out.push(']');
    push_address(token, out);
}

/// Takes an opening bracket (with spaces or `<` behind it) off the end of `out`.
fn take_opener(out: &mut String) -> Option<char> {
    let opener = out
        .trim_end_matches([' ', '<'])
        .chars()
        .next_back()
        .filter(|last| matches!(last, '(' | '[' | '{'))?;
    out.truncate(out.trim_end_matches([' ', '<']).len() - opener.len_utf8());
    Some(opener)
}

/// Whether `out` ends with `[label]` that has no address yet.
fn ends_with_label(out: &str) -> bool {
    let Some(inside) = out.strip_suffix(']') else { return false };
    let mut depth = 1_u32;
    for (characters, (offset, character)) in inside.char_indices().rev().enumerate() {
        match character {
            ']' => depth += 1,
            '[' => depth -= 1,
            '\n' => return false,
            _ if characters > LONGEST_LABEL => return false,
            _ => {}
        }
        if depth == 0 {
            return !inside[offset + 1..].trim().is_empty();
        }
    }
    false
}

/// The next token of a list inside one pair of brackets: `{fact:<id>, fact:<id>}`.
fn next_in_brackets(markdown: &str, from: usize) -> Option<Token> {
    let rest = &markdown[from..];
    let separated = rest.trim_start_matches([' ', ',', ';', '|', '&']);
    if separated.len() == rest.len() {
        return None;
    }
    token::at(markdown, markdown.len() - separated.len())
}

/// The byte behind the closing bracket, whichever it is; a link title is dropped with it. `from` when none follows.
fn behind_closer(markdown: &str, from: usize) -> usize {
    let rest = &markdown[from..];
    let trimmed = rest.trim_start_matches([' ', '>']);
    let untitled = without_title(trimmed).unwrap_or(trimmed);
    match untitled.strip_prefix([')', ']', '}']) {
        Some(behind) => markdown.len() - behind.len(),
        None => from,
    }
}

fn without_title(rest: &str) -> Option<&str> {
    let inside = rest.strip_prefix('"')?;
    let line = inside.split('\n').next()?;
    let end = line.find('"')?;
    Some(inside[end + 1..].trim_start_matches(' '))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    const OTHER: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

    fn of(pattern: &str) -> String {
        pattern.replace("ID", ID).replace("OTHER", OTHER)
    }

    #[rstest]
    #[case::canonical("Light [1](/facts/ID) bends.", "Light [1](/facts/ID) bends.")]
    #[case::brace("Light {fact:ID} bends.", "Light [source](/facts/ID) bends.")]
    #[case::brace_with_slash("Light {/facts/ID}.", "Light [source](/facts/ID).")]
    #[case::brace_node("{node:ID} bends.", "[node](/nodes/ID) bends.")]
    #[case::colon("[light](facts:ID)", "[light](/facts/ID)")]
    #[case::colon_with_slash("[light](/nodes:ID)", "[light](/nodes/ID)")]
    #[case::singular("[light](/node/ID)", "[light](/nodes/ID)")]
    #[case::wrong_closing("[light](/facts/ID] bends", "[light](/facts/ID) bends")]
    #[case::wrong_brace("[light](/facts/ID} bends", "[light](/facts/ID) bends")]
    #[case::missing_closing("[light](/facts/ID bends", "[light](/facts/ID) bends")]
    #[case::bare_bracket("Light [/facts/ID].", "Light [source](/facts/ID).")]
    #[case::bare_bracket_colon("Light [node:ID].", "Light [node](/nodes/ID).")]
    #[case::label_and_brace("[light]{fact:ID}", "[light](/facts/ID)")]
    #[case::label_and_bracket("[light][facts/ID]", "[light](/facts/ID)")]
    #[case::bare_parentheses("Light (/facts/ID).", "Light [source](/facts/ID).")]
    #[case::naked("Light, see fact:ID.", "Light, see [source](/facts/ID).")]
    #[case::several("Light {fact:ID, fact:OTHER}.", "Light [source](/facts/ID) [source](/facts/OTHER).")]
    #[case::several_behind_label("[a](/facts/ID, /facts/OTHER)", "[a](/facts/ID) [source](/facts/OTHER)")]
    #[case::title("[a](/facts/ID \"why\") b", "[a](/facts/ID) b")]
    #[case::angle("[a](</facts/ID>) b", "[a](/facts/ID) b")]
    #[case::nested_label("[a [b] c](fact:ID)", "[a [b] c](/facts/ID)")]
    #[case::empty_label("[](/facts/ID)", "[source](/facts/ID)")]
    #[case::elsewhere("[a](https://host/facts/ID)", "[a](https://host/facts/ID)")]
    #[case::no_token("A {brace} and [label](x) (y) fact: none", "A {brace} and [label](x) (y) fact: none")]
    fn every_form_becomes_the_canonical_one(#[case] given: &str, #[case] wanted: &str) {
        assert_eq!(normalise_links(&of(given)), of(wanted));
    }

    #[test]
    fn ids_are_written_in_lower_case() {
        assert_eq!(normalise_links(&format!("[a](/facts/{})", ID.to_uppercase())), of("[a](/facts/ID)"));
    }

    proptest! {
        #[test]
        fn text_without_tokens_stays_byte_for_byte(text in "\\PC{0,200}") {
            prop_assert_eq!(normalise_links(&text), text);
        }

        #[test]
        fn a_second_time_changes_nothing(
            parts in prop::collection::vec(
                prop_oneof![
                    "[a-z \\[\\](){}<>,\"/:\n]{0,6}",
                    Just(format!("/facts/{ID}")),
                    Just(format!("node:{OTHER}")),
                    Just("[label]".to_owned()),
                ],
                0..12,
            )
        ) {
            let once = normalise_links(&parts.concat());
            prop_assert_eq!(normalise_links(&once), once);
        }

        #[test]
        fn no_token_is_lost(
            parts in prop::collection::vec(
                prop_oneof!["[a-z \\[\\](){},]{0,6} ", Just(format!(" /facts/{ID} "))],
                0..12,
            )
        ) {
            let text = parts.concat();
            prop_assert_eq!(normalise_links(&text).matches(ID).count(), text.matches(ID).count());
        }
    }
}

//! Markdown into sentences: the places that links and citations hang on.

/// A heading of this many characters or fewer is no sentence.
const SHORTEST_HEADING: usize = 3;
/// A list item or a piece of a paragraph of this many characters or fewer is no sentence.
const SHORTEST_SENTENCE: usize = 5;

/// The sentences of `markdown`, in order, without the marks of headings and list items.
///
/// Line by line: a blank line or a horizontal rule ends a paragraph; a heading longer than 3 characters is a sentence; a
/// list item longer than 5 is one; all other lines join to a paragraph, which splits after `.`, `!` or `?` where white
/// space and a capital, `[` or a quotation mark follow; behind a citation (`[1](/facts/..).`) whatever follows. Pieces of 5 characters or fewer are left out. A no-break space is
/// not white space here, so a writer can keep `e.g. Postgres` together with one.
#[must_use]
pub fn split(markdown: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut paragraph = String::new();
    for line in markdown.lines().map(str::trim) {
        match Line::of(line) {
            Line::Break => end_paragraph(&mut paragraph, &mut sentences),
            Line::Heading(text) => {
                end_paragraph(&mut paragraph, &mut sentences);
                keep_longer_than(SHORTEST_HEADING, text, &mut sentences);
            }
            Line::Item(text) => {
                end_paragraph(&mut paragraph, &mut sentences);
                keep_longer_than(SHORTEST_SENTENCE, text, &mut sentences);
            }
            Line::Text(text) => {
                if !paragraph.is_empty() {
                    paragraph.push(' ');
                }
                paragraph.push_str(text);
            }
        }
    }
    end_paragraph(&mut paragraph, &mut sentences);
    sentences
}

/// Where `paragraph` splits: the byte offsets of the white space behind each sentence but the last.
pub(crate) fn breaks(paragraph: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let (mut after_stop, mut after_citation) = (false, false);
    let mut space = None;
    for (offset, character) in paragraph.char_indices() {
        match character {
            ' ' | '\t' if after_stop => {
                space.get_or_insert(offset);
            }
            _ => {
                if let Some(at) = space.take()
                    && (opens_a_sentence(character) || after_citation)
                {
                    found.push(at);
                }
                after_stop = matches!(character, '.' | '!' | '?');
                after_citation = after_stop && ends_with_citation(&paragraph[..offset]);
            }
        }
    }
    found
}

enum Line<'a> {
    Break,
    Heading(&'a str),
    Item(&'a str),
    Text(&'a str),
}

impl<'a> Line<'a> {
    fn of(line: &'a str) -> Self {
        if line.is_empty() || is_rule(line) {
            Line::Break
        } else if let Some(text) = heading(line) {
            Line::Heading(text)
        } else if let Some(text) = list_item(line) {
            Line::Item(text)
        } else {
            Line::Text(line)
        }
    }
}

fn is_rule(line: &str) -> bool {
    ['-', '*', '_'].into_iter().any(|mark| {
        line.chars().all(|character| character == mark || character == ' ')
            && line.chars().filter(|character| *character == mark).count() >= 3
    })
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    ((1..=6).contains(&level) && (text.is_empty() || text.starts_with([' ', '\t']))).then(|| text.trim())
}

fn list_item(line: &str) -> Option<&str> {
    let behind_number = line.trim_start_matches(|character: char| character.is_ascii_digit());
    let rest = if behind_number.len() < line.len() {
        behind_number.strip_prefix(['.', ')'])?
    } else {
        line.strip_prefix(['-', '*'])?
    };
    rest.starts_with([' ', '\t']).then(|| rest.trim())
}

/// A citation stands in the sentence that it belongs to, right before its stop.
fn ends_with_citation(text: &str) -> bool {
    let Some(text) = text.strip_suffix(')') else { return false };
    let link = text.rfind("](/facts/");
    link.is_some_and(|at| !text[at..].contains([')', ' ']))
}

fn opens_a_sentence(character: char) -> bool {
    character.is_uppercase() || matches!(character, '[' | '"' | '\'' | '“' | '‘' | '«' | '„')
}

fn keep_longer_than(shortest: usize, text: &str, sentences: &mut Vec<String>) {
    if text.chars().count() > shortest {
        sentences.push(text.to_owned());
    }
}

fn end_paragraph(paragraph: &mut String, sentences: &mut Vec<String>) {
    let mut start = 0;
    for end in breaks(paragraph).into_iter().chain([paragraph.len()]) {
        keep_longer_than(SHORTEST_SENTENCE, paragraph[start..end].trim(), sentences);
        start = end;
    }
    paragraph.clear();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_paragraph_splits_after_stops_before_capitals() {
        let text =
            "Gravity bends light. It is weak! Is it? yes, it is.\n\"Quoted\" text. [1] cited. “Curly” end.";
        assert_eq!(
            split(text),
            [
                "Gravity bends light.",
                "It is weak!",
                "Is it? yes, it is.",
                "\"Quoted\" text.",
                "[1] cited.",
                "“Curly” end."
            ]
        );
    }

    #[test]
    fn a_stop_behind_a_citation_ends_a_sentence_whatever_follows() {
        let text = "Health is said [1](/facts/a). suspects.rs knows of it [1](/facts/b). (see [it](/nodes/c). more) \
                    e.g. this [2](/facts/d)! 3 more";
        let sentences = split(text);
        assert_eq!(sentences[0], "Health is said [1](/facts/a).");
        assert_eq!(sentences[1], "suspects.rs knows of it [1](/facts/b).");
        assert_eq!((sentences.len(), sentences[3].as_str()), (4, "3 more"), "{sentences:?}");
    }

    #[test]
    fn headings_and_items_are_sentences_of_their_own() {
        let text = "# Mass\nFirst line\nsecond line.\n- an item. With two stops.\n* other item\n1. numbered\n2) bracket";
        assert_eq!(
            split(text),
            [
                "Mass",
                "First line second line.",
                "an item. With two stops.",
                "other item",
                "numbered",
                "bracket"
            ]
        );
    }

    #[test]
    fn blank_lines_and_rules_end_a_paragraph() {
        assert_eq!(split("first part\n\nsecond part\n---\nthird part\n* * *\nfourth part").len(), 4);
    }

    #[test]
    fn what_is_too_short_is_left_out() {
        assert_eq!(
            split("## abc\n## abcd\n- five5\n- sixsix\n\nFive5\n\nSixsix"),
            ["abcd", "sixsix", "Sixsix"]
        );
        assert_eq!(split("Long enough. No. Also long enough."), ["Long enough.", "Also long enough."]);
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!(split("").is_empty());
        assert!(split(" \n\t\n \n").is_empty());
    }

    #[test]
    fn marks_without_a_space_are_text() {
        assert_eq!(split("#hashtag text"), ["#hashtag text"]);
        assert_eq!(split("-5 degrees"), ["-5 degrees"]);
        assert_eq!(split("1.5 litres"), ["1.5 litres"]);
        assert_eq!(split("####### seven"), ["####### seven"]);
    }

    #[test]
    fn a_no_break_space_holds_an_abbreviation_together() {
        assert_eq!(split("Use e.g.\u{a0}Postgres here."), ["Use e.g.\u{a0}Postgres here."]);
    }

    fn letters(text: &str) -> Vec<char> {
        text.chars().filter(|character| character.is_alphanumeric()).collect()
    }

    proptest! {
        #[test]
        fn any_text_splits_without_a_panic_into_parts_of_it_in_order(text in "[\\PC\n#*.! -]{0,200}") {
            let whole = letters(&text);
            let mut rest = whole.as_slice();
            for sentence in split(&text) {
                let part = letters(&sentence);
                prop_assert!(!sentence.trim().is_empty());
                let at = rest.windows(part.len().max(1)).position(|window| window == part);
                prop_assert!(part.is_empty() || at.is_some(), "{sentence:?} is not in what is left");
                rest = &rest[at.unwrap_or(0) + part.len()..];
            }
        }

        #[test]
        fn long_sentences_are_all_kept(words in prop::collection::vec("[a-z]{6,12}", 1..20)) {
            let text = words.iter().map(|word| format!("Xy {word}.")).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(letters(&split(&text).concat()), letters(&text));
            prop_assert_eq!(split(&text).len(), words.len());
        }
    }
}

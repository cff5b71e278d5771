//! Where one sentence ends and the next begins.

use std::ops::Range;

use super::abbreviations::{begins_sentence, goes_on};
use super::words::is_unspaced;

/// A sentence that is longer, in bytes, is cut at the best place before this: a fact is to be read and cited.
const LONGEST: usize = 1_000;

/// The sentences of one paragraph, as ranges of bytes without white space at their ends.
///
/// A full stop ends no sentence behind an abbreviation (e.g., Dr., No. 5) or an initial, nor inside decimals, versions, file names and
/// addresses, nor where a lowercase word follows. Closing quotes and brackets belong to the sentence before them. Text
/// without spaces between words (Chinese, Japanese) ends at its own full stops.
#[must_use]
pub fn split_sentences(paragraph: &str) -> Vec<Range<usize>> {
    split_around(paragraph, &[])
}

/// Like [`split_sentences`], with no end of a sentence inside the ranges of `code`, which are in order.
pub(super) fn split_around(text: &str, code: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while let Some(offset) = find_terminator(&text[at..]) {
        let stop = at + offset;
        if let Some(range) = inside(code, stop) {
            at = range.end;
            continue;
        }
        let behind = end_of_terminators(text, stop);
        let end = end_of_closers(text, behind);
        if ends_sentence(text, start, stop..behind, end, code) {
            add(text, start..end, &mut sentences);
            start = end;
        }
        at = end;
    }
    add(text, start..text.len(), &mut sentences);
    sentences
}

fn find_terminator(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().find_map(|(index, byte)| match byte {
        b'.' | b'!' | b'?' => Some(index),
        0xE2 | 0xE3 | 0xEF if text[index..].starts_with(['…', '。', '！', '？']) => Some(index),
        _ => None,
    })
}

fn inside(ranges: &[Range<usize>], position: usize) -> Option<&Range<usize>> {
    let index = ranges.partition_point(|range| range.end <= position);
    ranges.get(index).filter(|range| range.contains(&position))
}

fn end_of_terminators(text: &str, from: usize) -> usize {
    from + run(&text[from..], |c| matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？'))
}

fn end_of_closers(text: &str, from: usize) -> usize {
    from + run(&text[from..], |c| {
        matches!(c, '"' | '\'' | '”' | '’' | ')' | ']' | '}' | '»' | '」' | '』' | '）')
    })
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.char_indices().find(|(_, c)| !belongs(*c)).map_or(text.len(), |(index, _)| index)
}

/// Whether the `terminators`, with their closers up to `end`, end the sentence that began at `start`.
fn ends_sentence(
    text: &str,
    start: usize,
    terminators: Range<usize>,
    end: usize,
    code: &[Range<usize>],
) -> bool {
    let mark = &text[terminators.clone()];
    if mark.contains(['。', '！', '？']) {
        return true;
    }
    let rest = &text[end..];
    let trimmed = rest.trim_start();
    if trimmed.is_empty() {
        return true;
    }
    if trimmed.len() == rest.len() {
        return false;
    }
    let next_at = end + (rest.len() - trimmed.len());
    let opened =
        run(trimmed, |c| matches!(c, '"' | '\'' | '“' | '‘' | '(' | '[' | '«' | '¿' | '¡' | '「' | '『'));
    let next = &trimmed[opened..];
    if inside(code, next_at + opened).is_none() && !can_begin(next) {
        return false;
    }
    if mark == "…" || (mark.len() > 1 && mark.bytes().all(|byte| byte == b'.')) {
        // An ellipsis that hangs in the air stands for left out words, not for an end.
        return !text[..terminators.start].ends_with(char::is_whitespace);
    }
    mark != "." || end > terminators.end || !goes_on_behind(text, start, terminators.start, first_word(next))
}

fn can_begin(next: &str) -> bool {
    next.chars().next().is_some_and(|first| first.is_alphanumeric() && !first.is_lowercase())
}

fn first_word(text: &str) -> &str {
    &text[..run(text, |c| c.is_alphanumeric() || c == '\'' || c == '’')]
}

/// Whether the single full stop at `stop` belongs to the word before it.
fn goes_on_behind(text: &str, start: usize, stop: usize, next: &str) -> bool {
    let before = &text[start..stop];
    let from = before.rfind(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '"' | '“' | '‘' | '/'));
    let word_start = from.map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let word = &before[word_start..];
    if word.is_empty() {
        return false;
    }
    if before[..word_start].trim().is_empty() && word.chars().all(char::is_numeric) {
        // The number of a list item or a section.
        return true;
    }
    if is_initial(word) {
        return !begins_sentence(next);
    }
    goes_on(word, next)
}

/// `J` and `J.R.R`, but not the word `I`.
fn is_initial(word: &str) -> bool {
    word != "I"
        && word.split('.').all(|piece| piece.chars().count() == 1 && piece.chars().all(char::is_uppercase))
}

fn add(text: &str, range: Range<usize>, sentences: &mut Vec<Range<usize>>) {
    let mut range = trim(text, range);
    while range.len() > LONGEST {
        let cut = range.start + best_cut(&text[range.clone()]);
        let piece = trim(text, range.start..cut);
        if !piece.is_empty() {
            sentences.push(piece);
        }
        range = trim(text, cut..range.end);
    }
    if !range.is_empty() {
        sentences.push(range);
    }
}

/// Where to cut a text that is too long: behind a full stop, a semicolon, a comma or a word, in this order.
fn best_cut(text: &str) -> usize {
    let mut limit = LONGEST;
    while !text.is_char_boundary(limit) {
        limit -= 1;
    }
    let head = &text[..limit];
    let half = limit / 2;
    [". ", "; ", ", ", " ", "、"]
        .iter()
        .filter_map(|mark| head.rfind(mark).map(|at| at + mark.len()))
        .find(|cut| *cut > half)
        .or_else(|| {
            head.rfind(is_unspaced).map(|at| at + head[at..].chars().next().map_or(1, char::len_utf8))
        })
        .unwrap_or(limit)
}

fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let piece = &text[range.clone()];
    let start = range.start + (piece.len() - piece.trim_start().len());
    start..start + piece.trim().len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("One is here. Two is there! Is three? Yes.", &["One is here.", "Two is there!", "Is three?", "Yes."])]
    #[case::abbreviations("Use a queue, e.g. RabbitMQ. See Dr. No. He waits.", &["Use a queue, e.g. RabbitMQ.", "See Dr. No.", "He waits."])]
    #[case::that_is("Groups, i.e. Many jobs, commit. So what.", &["Groups, i.e. Many jobs, commit.", "So what."])]
    #[case::numbers("It is No. 5 in vol. 3, p. 7. That is all.", &["It is No. 5 in vol. 3, p. 7.", "That is all."])]
    #[case::no_as_a_word("He said no. Then he left.", &["He said no.", "Then he left."])]
    #[case::versus("Postgres vs. SQLite is old. Good.", &["Postgres vs. SQLite is old.", "Good."])]
    #[case::initials("J. R. R. Tolkien met C. S. Lewis. They talked.", &["J. R. R. Tolkien met C. S. Lewis.", "They talked."])]
    #[case::the_pronoun("He is taller than I. Bob is not.", &["He is taller than I.", "Bob is not."])]
    #[case::vitamin("She takes vitamin C. It helps.", &["She takes vitamin C.", "It helps."])]
    #[case::decimals("Pi is 3.14159. Use v1.2.3. Next.", &["Pi is 3.14159.", "Use v1.2.3.", "Next."])]
    #[case::addresses("See https://example.org/a.b?c=d. Then Cargo.toml is read.", &["See https://example.org/a.b?c=d.", "Then Cargo.toml is read."])]
    #[case::quotes("\"Stop.\" She ran. (It was late.) He said “No!” and left.", &["\"Stop.\"", "She ran.", "(It was late.)", "He said “No!” and left."])]
    #[case::ellipsis("Wait... What is it? Well ... Then no… The end.", &["Wait...", "What is it?", "Well ... Then no…", "The end."])]
    #[case::states("The U.S. Senate met. He lives in the U.S. The end.", &["The U.S. Senate met.", "He lives in the U.S.", "The end."])]
    #[case::company("Acme Inc. Products sell. They pay Acme Inc. The end.", &["Acme Inc. Products sell.", "They pay Acme Inc.", "The end."])]
    #[case::time("It is 5 p.m. Monday. At 6 a.m. They rest.", &["It is 5 p.m. Monday.", "At 6 a.m.", "They rest."])]
    #[case::lowercase("It ends. but goes on.", &["It ends. but goes on."])]
    #[case::numbered("1. Begin here. Go on.", &["1. Begin here.", "Go on."])]
    #[case::chinese("我们有队列。消息会到达！好吗？好", &["我们有队列。", "消息会到达！", "好吗？", "好"])]
    #[case::degree("She has a Ph.D. Then she left. A Ph.D. Student came.", &["She has a Ph.D.", "Then she left.", "A Ph.D. Student came."])]
    #[case::marks("What?! No way!!! Fine.", &["What?!", "No way!!!", "Fine."])]
    #[case::blank("  \n ", &[])]
    fn sentences_end_where_a_reader_ends_them(#[case] text: &str, #[case] expected: &[&str]) {
        let found: Vec<&str> = split_sentences(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_full_stop_in_code_ends_nothing_and_code_may_begin_a_sentence() {
        let text = "Call a. B now. ack is next.";
        let code = [5..9, 15..18];
        let found: Vec<&str> = split_around(text, &code).into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, ["Call a. B now.", "ack is next."]);
    }

    #[test]
    fn a_text_without_an_end_is_cut_at_words() {
        let text = "word and other ".repeat(500);
        let found = split_sentences(&text);
        assert!(found.iter().all(|range| range.len() <= LONGEST));
        assert!(found.iter().all(|range| text[range.clone()].starts_with("word")
            || text[range.clone()].starts_with("and")
            || text[range.clone()].starts_with("other")));
    }

    proptest! {
        #[test]
        fn ranges_are_in_order_and_hold_everything_but_white_space(text in any::<String>()) {
            let mut end = 0;
            for range in split_sentences(&text) {
                prop_assert!(range.start >= end && range.end > range.start && range.len() <= LONGEST);
                prop_assert!(text[end..range.start].trim().is_empty());
                end = range.end;
            }
            prop_assert!(text[end..].trim().is_empty());
        }

        #[test]
        fn nothing_panics_on_marks(text in "[a-zA-Z0-9.!?…。\"' )(知é\n]{0,80}") {
            prop_assert!(split_sentences(&text).iter().all(|range| text.get(range.clone()).is_some()));
        }
    }
}

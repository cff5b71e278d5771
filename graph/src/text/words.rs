//! The words of a text.

/// One word and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    /// Where it begins, in bytes.
    pub(super) start: usize,
    /// What stands between it and the word before it.
    pub(super) gap: Gap,
}

impl Word<'_> {
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// What stands between two words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// White space, a hyphen or an underscore: the words may form one name.
    Joint,
    /// Anything else, or the beginning: the words belong to different phrases.
    Break,
}

/// The words of `text` in order: runs of letters and digits. What stands behind an apostrophe in a word (`'s`, `n't`) is left out.
pub(super) fn words(text: &str) -> Words<'_> {
    Words { text, at: 0, after_word: false }
}

#[derive(Clone, Debug)]
pub(super) struct Words<'a> {
    text: &'a str,
    at: usize,
    after_word: bool,
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        let (start, gap) = self.skip_gap()?;
        let end = start + length_of_word(&self.text[start..]);
        self.at = end + length_of_suffix(&self.text[end..]);
        self.after_word = true;
        Some(Word { text: &self.text[start..end], start, gap })
    }
}

impl Words<'_> {
    /// Where the next word begins, and what stands before it.
    fn skip_gap(&mut self) -> Option<(usize, Gap)> {
        let mut gap = if self.after_word { Gap::Joint } else { Gap::Break };
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            if byte.is_ascii() {
                if byte.is_ascii_alphanumeric() {
                    return Some((self.at, gap));
                }
                if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r' | b'-' | b'_') {
                    gap = Gap::Break;
                }
                self.at += 1;
                continue;
            }
            let character = self.text[self.at..].chars().next()?;
            if character.is_alphanumeric() {
                return Some((self.at, gap));
            }
            if !character.is_whitespace() && character != '\u{2010}' && character != '\u{2011}' {
                gap = Gap::Break;
            }
            self.at += character.len_utf8();
        }
        None
    }
}

fn length_of_word(text: &str) -> usize {
    let bytes = text.as_bytes();
    let ascii = bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    if bytes.get(ascii).is_none_or(u8::is_ascii) {
        return ascii;
    }
    text.char_indices().find(|(_, c)| !c.is_alphanumeric()).map_or(text.len(), |(index, _)| index)
}

fn length_of_suffix(text: &str) -> usize {
    let Some(mark) = text.chars().next().filter(|mark| matches!(mark, '\'' | '’')) else { return 0 };
    let letters = length_of_word(&text[mark.len_utf8()..]);
    if (1..=2).contains(&letters) { mark.len_utf8() + letters } else { 0 }
}

/// Whether `character` belongs to a script that writes no spaces between words.
pub(super) fn is_unspaced(character: char) -> bool {
    matches!(u32::from(character),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x2E80..=0x2FDF | 0x3005..=0x3007 | 0x3040..=0x30FF
        | 0x31F0..=0x31FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_their_endings_behind_an_apostrophe_and_know_their_gaps() {
        let found: Vec<(&str, Gap)> =
            words("The worker's dead-letter queue, don't O'Brien.").map(|w| (w.text, w.gap)).collect();
        assert_eq!(
            found,
            [
                ("The", Gap::Break),
                ("worker", Gap::Joint),
                ("dead", Gap::Joint),
                ("letter", Gap::Joint),
                ("queue", Gap::Joint),
                ("don", Gap::Break),
                ("O", Gap::Joint),
                ("Brien", Gap::Break),
            ]
        );
    }
}

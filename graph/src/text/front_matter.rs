//! The few things that a document's front matter is asked for.

use super::block::{Outline, one_line};

/// Takes title, canonical address and DOI from front matter, `key: value` (YAML) or `key = "value"` (TOML) on lines of
/// their own. Everything else in it is left alone.
pub(super) fn read(text: &str, outline: &mut Outline) {
    for line in text.lines() {
        // An indented line belongs to a nested value.
        if line.starts_with([' ', '\t', '-', '#']) {
            continue;
        }
        let Some((key, value)) = line.split_once(':').or_else(|| line.split_once('=')) else { continue };
        let (key, value) = match line.split_once('=') {
            Some((toml_key, toml_value)) if !toml_key.contains(':') => (toml_key, toml_value),
            _ => (key, value),
        };
        let value = one_line(unquote(value.trim()));
        if value.is_empty() {
            continue;
        }
        match key.trim().to_ascii_lowercase().as_str() {
            "title" => outline.title = Some(value),
            "canonical" | "canonical_url" | "canonicalurl" | "url" => outline.canonical_url = Some(value),
            "doi" => outline.doi = Some(value),
            _ => {}
        }
    }
}

fn unquote(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_toml_give_the_same() {
        for text in [
            "title: \"Dead letters: a guide\"\nurl: https://example.org/x\nauthor:\n  title: no\ndoi: 10.1000/1",
            "title = 'Dead letters: a guide'\ncanonical_url = \"https://example.org/x\"\ndoi = \"10.1000/1\"",
        ] {
            let mut outline = Outline::new();
            read(text, &mut outline);
            assert_eq!(outline.title.as_deref(), Some("Dead letters: a guide"));
            assert_eq!(outline.canonical_url.as_deref(), Some("https://example.org/x"));
            assert_eq!(outline.doi.as_deref(), Some("10.1000/1"));
        }
    }
}

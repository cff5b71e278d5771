//! What serde says about a payload that does not fit, in words for whoever published it: which field, what was found, what
//! is wanted.

use super::Invalid;

/// A found value is shown up to this many characters: a payload may be a megabyte, an error is stored and read.
const SHOWN: usize = 60;
/// The same for the whole sentence.
const SENTENCE: usize = 600;

/// The error of a payload at `path`, as serde's path tracking writes it.
pub(super) fn describe(path: &str, error: &serde_json::Error) -> Invalid {
    let path = if path == "." { "" } else { path };
    let text = error.to_string();
    // The place in the text helps nobody who reads the field's name.
    let text = text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]);
    let invalid = missing(path, text)
        .or_else(|| unknown_field(path, text))
        .or_else(|| twice(path, text))
        .or_else(|| found_and_wanted(path, text))
        .unwrap_or_else(|| Invalid::new(path, text));
    Invalid { field: shorten(&invalid.field, SENTENCE), reason: shorten(&invalid.reason, SENTENCE) }
}

fn missing(path: &str, text: &str) -> Option<Invalid> {
    let name = text.strip_prefix("missing field `")?.strip_suffix('`')?;
    Some(Invalid::new(below(path, name), "is missing"))
}

fn twice(path: &str, text: &str) -> Option<Invalid> {
    let name = text.strip_prefix("duplicate field `")?.strip_suffix('`')?;
    Some(Invalid::new(below(path, name), "stands there more than once: give it once"))
}

fn unknown_field(path: &str, text: &str) -> Option<Invalid> {
    let text = text.strip_prefix("unknown field `")?;
    // The name is a stranger's and may hold anything; the end of the sentence is serde's.
    let (name, reason) = match split_last(text, "`, expected ") {
        Some((name, known)) => (name, format!("is not known here: wanted {known}")),
        None => (split_last(text, "`, there are no fields")?.0, "is not known here: no field is".to_owned()),
    };
    let path = parent(path, name);
    let name = shorten(name, SHOWN);
    Some(Invalid::new(below(path, &name), reason))
}

/// The path tracking names the field's parent, or, from within a list of fields, the field itself.
fn parent<'p>(path: &'p str, name: &str) -> &'p str {
    match path.strip_suffix(name) {
        Some("") => "",
        Some(parent) => parent.strip_suffix('.').unwrap_or(path),
        None => path,
    }
}

fn found_and_wanted(path: &str, text: &str) -> Option<Invalid> {
    const KINDS: [&str; 4] = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "];
    let kind = KINDS.into_iter().find(|kind| text.starts_with(kind))?;
    let (found, wanted) = split_last(&text[kind.len()..], ", expected ")?;
    let found = shorten(found, SHOWN);
    let found = if kind == "invalid length " { format!("{found} items") } else { found };
    Some(Invalid::new(path, format!("found {found}, wanted {}", plain(wanted))))
}

fn split_last<'t>(text: &'t str, separator: &str) -> Option<(&'t str, &'t str)> {
    let at = text.rfind(separator)?;
    Some((&text[..at], &text[at + separator.len()..]))
}

/// Rust's names of types, in JSON's words.
fn plain(wanted: &str) -> &str {
    match wanted {
        "u8" | "u16" | "u32" | "u64" | "usize" | "u128" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" | "i128" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        other => other,
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn shorten(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}... ({} characters)", &text[..end], text.chars().count()),
    }
}

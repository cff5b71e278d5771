//! Rules that a type cannot say, for [`Job::validate`](super::Job::validate): each is the other half of what a field's
//! `#[schemars(..)]` says to publishers.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::Invalid;

/// The pattern of [`fn@line`], for the schema: `#[schemars(length(min = 1, max = 500), regex(pattern = LINE))]`. No control
/// characters, and something besides white space. Every character is written out, because what `\s` means differs.
pub const LINE: &str = concat!(
    r"^[^\u0000-\u001f\u007f-\u009f]*",
    r"[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]",
    r"[^\u0000-\u001f\u007f-\u009f]*$",
);

/// One line of text with at most `most` characters that is not blank.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn line(field: &str, text: &str, most: usize) -> Result<(), Invalid> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        return Err(Invalid::new(field, "is empty: give one line of text"));
    }
    if length > most {
        return Err(Invalid::new(field, format!("has {length} characters: give at most {most}")));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::new(
            field,
            "holds a line break or another control character: give one line of text",
        ));
    }
    Ok(())
}

/// At most `most` items: `#[schemars(length(max = 50))]`.
///
/// # Errors
/// How many there are.
pub fn at_most<T>(field: &str, items: &[T], most: usize) -> Result<(), Invalid> {
    if items.len() <= most {
        return Ok(());
    }
    Err(Invalid::new(field, format!("has {} items: give at most {most}", items.len())))
}

/// A number within a range: `#[schemars(range(min = 1, max = 200))]`.
///
/// # Errors
/// Which number it is.
pub fn between<N: PartialOrd + Display + Copy>(
    field: &str,
    value: N,
    range: &RangeInclusive<N>,
) -> Result<(), Invalid> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Invalid::new(field, format!("is {value}: give {} to {}", range.start(), range.end())))
}

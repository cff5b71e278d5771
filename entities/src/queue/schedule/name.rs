//! The name of a schedule.

use std::fmt;
use std::str::FromStr;

use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};

/// Characters of a name at most.
const LONGEST: usize = 100;

/// The name of a schedule: kebab-case, for command lines, paths and logs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, DeriveValueType)]
#[serde(try_from = "String", into = "String")]
#[sea_orm(value_type = "String")]
pub struct ScheduleName(String);

/// A text that is no name of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no name of a schedule: give lower-case letters, digits and single hyphens between them, {LONGEST} at most, such as nightly-report"
)]
pub struct NotAName(String);

impl ScheduleName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScheduleName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for ScheduleName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let is_word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
        };
        if text.len() <= LONGEST && text.split('-').all(is_word) {
            return Ok(Self(text.to_owned()));
        }
        // It may be anything, and is shown.
        Err(NotAName(text.chars().take(LONGEST).collect()))
    }
}

impl TryFrom<String> for ScheduleName {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Self, NotAName> {
        text.parse()
    }
}

impl From<ScheduleName> for String {
    fn from(name: ScheduleName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_kebab_case() {
        for good in ["a", "nightly", "nightly-report-2", "7-days", &"x".repeat(100)] {
            assert!(good.parse::<ScheduleName>().is_ok(), "{good}");
        }
        for bad in ["", "-", "a-", "-a", "a--b", "Nightly", "a b", "a_b", "ä", "a\n", &"x".repeat(101)] {
            assert!(bad.parse::<ScheduleName>().is_err(), "{bad}");
        }
    }
}

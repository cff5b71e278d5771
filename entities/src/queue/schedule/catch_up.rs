//! What becomes of ticks that nobody fired in time.

use std::fmt;
use std::str::FromStr;

use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};

/// What becomes of ticks that nobody fired in time. Written `none`, `last`, `all:24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveValueType)]
#[serde(try_from = "String", into = "String")]
#[sea_orm(value_type = "String")]
pub enum CatchUp {
    /// They are passed over.
    None,
    /// The newest of them is fired, the others are passed over.
    Last,
    /// So many of the newest are fired, each with a job of its own; the others are passed over.
    All(Most),
}

/// How many ticks are caught up with at most: 1 to 100, since they are fired in one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most(u8);

impl Most {
    /// The largest of them.
    pub const LIMIT: u8 = 100;

    /// So many; `None` for none and for too many.
    #[must_use]
    pub fn new(most: u8) -> Option<Self> {
        (1..=Self::LIMIT).contains(&most).then_some(Self(most))
    }

    /// How many.
    #[must_use]
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

/// A text that says nothing about catching up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` says nothing about ticks that were missed: give none, last, or all:N with N from 1 to 100")]
pub struct NotACatchUp(String);

impl fmt::Display for CatchUp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.write_str("none"),
            Self::Last => formatter.write_str("last"),
            Self::All(most) => write!(formatter, "all:{}", most.0),
        }
    }
}

impl FromStr for CatchUp {
    type Err = NotACatchUp;

    fn from_str(text: &str) -> Result<Self, NotACatchUp> {
        let most = || {
            // `parse` takes a plus sign and zeros in front, the way it is written does not.
            let number = text.strip_prefix("all:").filter(|number| !number.starts_with(['+', '0']))?;
            number.parse().ok().and_then(Most::new)
        };
        match text {
            "none" => Ok(Self::None),
            "last" => Ok(Self::Last),
            _ => most().map(Self::All).ok_or_else(|| NotACatchUp(text.chars().take(60).collect())),
        }
    }
}

impl TryFrom<String> for CatchUp {
    type Error = NotACatchUp;

    fn try_from(text: String) -> Result<Self, NotACatchUp> {
        text.parse()
    }
}

impl From<CatchUp> for String {
    fn from(catch_up: CatchUp) -> Self {
        catch_up.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_anything_else_is_refused() {
        for text in ["none", "last", "all:1", "all:24", "all:100"] {
            assert_eq!(text.parse::<CatchUp>().map(|read| read.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "all", "all:", "all:0", "all:101", "all:+1", "all:01", "all: 1", "ALL:1", "some"] {
            assert!(text.parse::<CatchUp>().is_err(), "{text}");
        }
    }
}

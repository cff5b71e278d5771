//! How many jobs of a kind run at once: a table in the file, `kind=number,..` in the environment and on the command line.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Overrides by kind. Each is at least 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, usize>")]
pub(crate) struct Concurrency(pub(crate) BTreeMap<String, usize>);

impl FromStr for Concurrency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(one)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn one(part: &str) -> Result<(String, usize), String> {
    let wrong = || format!("`{part}` is not kind=number, for example synthesis=4");
    let (kind, number) = part.split_once('=').ok_or_else(wrong)?;
    let number = number.trim().parse().map_err(|_| wrong())?;
    at_least_one(kind.trim(), number)
}

fn at_least_one(kind: &str, number: usize) -> Result<(String, usize), String> {
    if number == 0 {
        return Err(format!(
            "the concurrency of `{kind}` must be at least 1: `ackord pause {kind}` stops a kind"
        ));
    }
    Ok((kind.to_owned(), number))
}

impl TryFrom<BTreeMap<String, usize>> for Concurrency {
    type Error = String;

    fn try_from(overrides: BTreeMap<String, usize>) -> Result<Self, String> {
        overrides
            .into_iter()
            .map(|(kind, number)| at_least_one(&kind, number))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_list_gives_each_kind_its_number() {
        let overrides: Concurrency = "synthesis=4, sync-cycle=1,".parse().unwrap();
        assert_eq!(overrides.0.get("synthesis"), Some(&4));
        assert_eq!(overrides.0.get("sync-cycle"), Some(&1));
    }

    #[test]
    fn zero_and_nonsense_are_refused_with_an_example() {
        assert!("synthesis".parse::<Concurrency>().unwrap_err().contains("synthesis=4"));
        assert!("synthesis=many".parse::<Concurrency>().unwrap_err().contains("synthesis=many"));
        assert!("synthesis=0".parse::<Concurrency>().unwrap_err().contains("at least 1"));
    }
}

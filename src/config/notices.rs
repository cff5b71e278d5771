//! Kinds whose notices are sent: a list in the file, `kind,kind` in the environment.

use serde::{Deserialize, Serialize};

/// The kinds, besides those whose contract asks for notices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Given")]
pub(crate) struct NoticedKinds(pub(crate) Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    List(Vec<String>),
    Text(String),
}

impl From<Given> for NoticedKinds {
    fn from(given: Given) -> Self {
        match given {
            Given::List(kinds) => Self(kinds),
            Given::Text(text) => {
                let kinds = text.split(',').map(str::trim).filter(|kind| !kind.is_empty());
                Self(kinds.map(ToOwned::to_owned).collect())
            }
        }
    }
}

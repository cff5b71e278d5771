//! The HTTP API.

use serde::{Deserialize, Serialize};

use super::ListenAddress;
use super::origins::AllowedOrigins;

/// The HTTP API of `up` and `serve`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ApiConfig {
    /// Where `up` serves it, if it does. `serve` does so where it listens.
    pub(crate) listen: Option<ListenAddress>,
    /// Requests a second of one token, or of one address without a token.
    pub(crate) requests_per_second: RequestRate,
    /// Whose pages browsers let use it; nobody's unless some are given.
    pub(crate) allowed_origins: AllowedOrigins,
}

/// Requests a second; 0: as many as anybody likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "NumberOrText", into = "u32")]
pub(crate) struct RequestRate(pub(crate) u32);

impl Default for RequestRate {
    fn default() -> Self {
        Self(50)
    }
}

/// The environment has texts only.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u32),
    Text(String),
}

impl TryFrom<NumberOrText> for RequestRate {
    type Error = String;

    fn try_from(given: NumberOrText) -> Result<Self, String> {
        match given {
            NumberOrText::Number(number) => Ok(Self(number)),
            NumberOrText::Text(text) => text.trim().parse().map(Self).map_err(|_| {
                format!("`{text}` is no number of requests a second: give 50, or 0 for no limit")
            }),
        }
    }
}

impl From<RequestRate> for u32 {
    fn from(rate: RequestRate) -> Self {
        rate.0
    }
}

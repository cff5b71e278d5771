//! Whose pages may use the API: a list in the file, separated by commas in the environment.

use serde::{Deserialize, Serialize};

/// Origins as browsers name them: `https://app.example.org`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Given")]
pub(crate) struct AllowedOrigins(pub(crate) Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    List(Vec<String>),
    Text(String),
}

impl TryFrom<Given> for AllowedOrigins {
    type Error = String;

    fn try_from(given: Given) -> Result<Self, String> {
        let origins = match given {
            Given::List(origins) => origins,
            Given::Text(text) => {
                let origins = text.split(',').map(str::trim).filter(|origin| !origin.is_empty());
                origins.map(ToOwned::to_owned).collect()
            }
        };
        match origins.iter().find(|origin| !is_origin(origin)) {
            None => Ok(Self(origins)),
            Some(origin) => Err(format!(
                "`{origin}` is no origin: give each as browsers name it, such as https://app.example.org or http://localhost:3000"
            )),
        }
    }
}

/// A browser sends it letter by letter like this, so anything else would never be met.
fn is_origin(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_browser_may_send_is_an_origin() {
        for origin in ["https://app.example.org", "http://localhost:3000", "https://[::1]:8443"] {
            assert!(is_origin(origin), "{origin}");
        }
        for text in [
            "*",
            "null",
            "app.example.org",
            "https://app.example.org/",
            "https://app.example.org:443",
            "ftp://a",
            "HTTPS://a",
        ] {
            assert!(!is_origin(text), "{text}");
        }
    }
}

//! The language model that writes texts, if one does.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ackord_graph::synthesis::{ModelOptions, Prices};
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use crate::problem::Problem;

/// The language model. Without an endpoint, texts are quoted from the sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ModelConfig {
    /// The address below which `/chat/completions` is.
    pub(crate) endpoint: Option<ModelEndpoint>,
    /// The model's name, as the endpoint knows it.
    pub(crate) name: Option<String>,
    /// What the endpoint wants to see.
    pub(crate) api_key: Option<ApiKey>,
    /// How long a connection may take to be made.
    pub(crate) connect_timeout: ConnectTimeout,
    /// How long nothing may come before an answer, and between two parts of it.
    pub(crate) chunk_timeout: ChunkTimeout,
    /// Tokens that one attempt may use, sent and answered.
    pub(crate) max_tokens_per_attempt: MostTokens,
    /// What a million sent tokens cost.
    pub(crate) price_prompt: Option<Price>,
    /// What a million sent tokens cost that the server had in its cache.
    pub(crate) price_cached: Option<Price>,
    /// What a million answered tokens cost.
    pub(crate) price_completion: Option<Price>,
}

impl ModelConfig {
    /// Refuses what is half of something.
    ///
    /// # Errors
    /// The field that is missing.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        let wrong =
            |field: &str, why: &str| Err(Problem::usage(format!("configuration: `model.{field}`: {why}")));
        let named = self.name.as_deref().map(str::trim);
        match (&self.endpoint, named) {
            (Some(_), None | Some("")) => {
                return wrong("name", "with model.endpoint, give the name of a model, too");
            }
            (None, Some(_)) => {
                return wrong("endpoint", "with model.name, give the address of who has the model, too");
            }
            (None, None) if self.api_key.is_some() => {
                return wrong("endpoint", "there is a model.api_key, and nobody to show it to");
            }
            _ => {}
        }
        match (self.price_prompt, self.price_cached, self.price_completion) {
            (None, _, Some(_)) | (None, Some(_), _) => wrong("price_prompt", "with one price, give it, too"),
            (Some(_), _, None) => wrong("price_completion", "with model.price_prompt, give it, too"),
            _ => Ok(()),
        }
    }

    /// How the model is reached; `None` without one.
    pub(crate) fn options(&self) -> Option<ModelOptions> {
        let (endpoint, name) = (self.endpoint.as_ref()?, self.name.as_ref()?);
        let prices = self.price_prompt.zip(self.price_completion).map(|(prompt, completion)| Prices {
            prompt: prompt.micros,
            cached: self.price_cached.unwrap_or(prompt).micros,
            completion: completion.micros,
        });
        Some(ModelOptions {
            endpoint: endpoint.0.clone(),
            model: name.trim().to_owned(),
            api_key: self.api_key.as_ref().map(|key| key.0.clone().into()),
            prices,
            connect_timeout: self.connect_timeout.0,
            chunk_timeout: self.chunk_timeout.0,
            max_tokens_per_attempt: self.max_tokens_per_attempt.0,
        })
    }
}

/// An address over HTTP, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ModelEndpoint(String);

impl FromStr for ModelEndpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // What is wrong is told without the text: a key may stand in it.
        let url = Url::parse(text.trim()).map_err(|error| {
            format!("it is no address ({error}): give one such as https://api.openai.com/v1")
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("`{}` is not spoken here: give an address of https or http", url.scheme()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "an address with a password in it is refused: the key belongs into model.api_key".to_owned()
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("give the address alone, without `?` and `#`".to_owned());
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl TryFrom<String> for ModelEndpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ModelEndpoint> for String {
    fn from(endpoint: ModelEndpoint) -> Self {
        endpoint.0
    }
}

/// A key. It shows itself to nobody.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ApiKey(String);

impl TryFrom<String> for ApiKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let key = text.trim();
        if key.is_empty() || !key.chars().all(|character| character.is_ascii_graphic()) {
            return Err("a key is one word of letters, digits and signs; leave it out where none is wanted"
                .to_owned());
        }
        Ok(Self(key.to_owned()))
    }
}

impl Serialize for ApiKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

macro_rules! length_of_time {
    ($(#[$doc:meta])* $name:ident, $default:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub(crate) struct $name(pub(crate) Duration);

        impl Default for $name {
            fn default() -> Self {
                Self($default)
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                length(&text).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(length: $name) -> Self {
                humantime::format_duration(length.0).to_string()
            }
        }
    };
}

length_of_time! {
    /// How long a connection to the model's endpoint may take to be made.
    ConnectTimeout, Duration::from_secs(10)
}
length_of_time! {
    /// How long a model may be silent.
    ChunkTimeout, Duration::from_secs(120)
}

fn length(text: &str) -> Result<Duration, String> {
    let length = humantime::parse_duration(text)
        .map_err(|error| format!("`{text}` is no length of time ({error}), for example 30s"))?;
    let most = Duration::from_secs(600);
    if length.is_zero() || length > most {
        return Err(format!("`{text}` is not between 1ms and 10m"));
    }
    Ok(length)
}

/// Tokens that one attempt may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "NumberOrText", into = "u64")]
pub(crate) struct MostTokens(pub(crate) u64);

impl Default for MostTokens {
    fn default() -> Self {
        Self(1_000_000)
    }
}

impl TryFrom<NumberOrText> for MostTokens {
    type Error = String;

    fn try_from(given: NumberOrText) -> Result<Self, String> {
        let text = given.text();
        match text.parse() {
            Ok(tokens) if tokens >= 1_000 => Ok(Self(tokens)),
            _ => Err(format!("`{text}` is no number of tokens: give 1000 or more")),
        }
    }
}

impl From<MostTokens> for u64 {
    fn from(tokens: MostTokens) -> Self {
        tokens.0
    }
}

/// What a million tokens cost, in any currency: at most six digits behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "NumberOrText", into = "f64")]
pub(crate) struct Price {
    /// In millionths of the currency unit.
    micros: u64,
}

impl TryFrom<NumberOrText> for Price {
    type Error = String;

    fn try_from(given: NumberOrText) -> Result<Self, String> {
        let text = given.text();
        let (whole, part) = text.split_once('.').unwrap_or((&text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
        let wrong = || format!("`{text}` is no price of a million tokens: give one such as 2.50");
        if !digits(whole) || !digits(part) || part.len() > 6 || whole.len() > 7 {
            return Err(wrong());
        }
        let micros = format!("{whole}{part:0<6}").parse().map_err(|_| wrong())?;
        Ok(Self { micros })
    }
}

impl From<Price> for f64 {
    #[allow(clippy::cast_precision_loss, reason = "at most 13 digits")]
    fn from(price: Price) -> Self {
        price.micros as Self / 1_000_000.0
    }
}

/// The environment has texts only.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Whole(u64),
    Number(f64),
    Text(String),
}

impl NumberOrText {
    fn text(self) -> String {
        match self {
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.trim().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn model(text: &str) -> Result<ModelConfig, String> {
        let model: ModelConfig = toml_of(text)?;
        model.check().map_err(|problem| problem.message)?;
        Ok(model)
    }

    fn toml_of(text: &str) -> Result<ModelConfig, String> {
        use figment::providers::{Format as _, Toml};
        figment::Figment::from(Toml::string(text)).extract().map_err(|error| error.to_string())
    }

    const WHOLE: &str = "endpoint = \"https://api.example.com/v1/\"\nname = \"small\"\n";

    #[test]
    fn an_endpoint_and_a_name_are_enough() {
        let options = model(WHOLE).unwrap().options().unwrap();
        assert_eq!(
            (options.endpoint.as_str(), options.model.as_str()),
            ("https://api.example.com/v1", "small")
        );
        assert_eq!(options.chunk_timeout, Duration::from_secs(120));
        assert!(options.prices.is_none() && options.api_key.is_none());
        assert!(model("").unwrap().options().is_none(), "the writers without a model stay");
    }

    #[test]
    fn prices_are_exact_and_a_cached_token_costs_what_is_said_or_the_same() {
        let prices =
            |more: &str| model(&format!("{WHOLE}{more}")).unwrap().options().unwrap().prices.unwrap();
        let given = prices("price_prompt = 2.5\nprice_cached = \"0.000125\"\nprice_completion = 10\n");
        assert_eq!(given, Prices { prompt: 2_500_000, cached: 125, completion: 10_000_000 });
        assert_eq!(prices("price_prompt = 0.1\nprice_completion = 0\n").cached, 100_000);
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_field_and_no_key_is_shown() {
        for (text, words) in [
            ("name = \"small\"", "model.endpoint"),
            ("endpoint = \"https://api.example.com\"", "model.name"),
            ("api_key = \"sk-secret\"", "model.endpoint"),
            ("endpoint = \"api.example.com\"", "no address"),
            ("endpoint = \"ftp://api.example.com\"", "`ftp`"),
            ("endpoint = \"https://me:sk-secret@api.example.com\"", "model.api_key"),
            ("endpoint = \"https://api.example.com?key=sk-secret\"", "alone"),
            ("api_key = \"sk-secret with spaces\"", "one word"),
            ("chunk_timeout = \"soon\"", "`soon`"),
            ("chunk_timeout = \"0s\"", "between"),
            ("max_tokens_per_attempt = \"lots\"", "`lots`"),
            ("max_tokens_per_attempt = 10", "1000"),
            ("price_prompt = -1", "`-1`"),
            ("price_prompt = 1.5", "model.price_completion"),
            ("price_completion = 1.5", "model.price_prompt"),
            ("modle = 1", "modle"),
        ] {
            let problem = model(text).unwrap_err();
            assert!(problem.contains(words), "{text}: {problem}");
            assert!(!problem.contains("sk-secret"), "{problem}");
        }
        let shown = format!("{:?}", model(&format!("{WHOLE}api_key = \"sk-secret\"\n")).unwrap());
        assert!(!shown.contains("sk-secret"), "{shown}");
    }
}

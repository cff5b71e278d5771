//! How a model is reached, and what it may use.

use std::time::Duration;

use ackord_entities::queue::model_call::Ended;
use secrecy::SecretString;

/// How a model is reached, and what it may use.
#[derive(Clone, Debug)]
pub struct ModelOptions {
    /// The address below which `/chat/completions` and `/models` are, without a slash at its end: `https://api.example.com/v1`.
    pub endpoint: String,
    /// The model's name, as the endpoint knows it.
    pub model: String,
    /// What the endpoint wants to see; local servers often want nothing.
    pub api_key: Option<SecretString>,
    /// What tokens cost, if anybody wants to know.
    pub prices: Option<Prices>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long nothing may come before an answer, and between two parts of it.
    pub chunk_timeout: Duration,
    /// Tokens that one attempt may use, sent and answered. No call is begun that would pass it.
    pub max_tokens_per_attempt: u64,
}

/// What a million tokens cost, each in millionths of the currency unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// Sent ones.
    pub prompt: u64,
    /// Sent ones that the server had in its cache.
    pub cached: u64,
    /// Answered ones.
    pub completion: u64,
}

impl Prices {
    /// What a call costs, in millionths of the currency unit.
    pub(super) fn cost(&self, call: &Ended) -> i64 {
        let tokens = |count: i64| u128::from(count.unsigned_abs());
        let cached = tokens(call.cached_tokens.unwrap_or(0)).min(tokens(call.prompt_tokens));
        let exact = (tokens(call.prompt_tokens) - cached) * u128::from(self.prompt)
            + cached * u128::from(self.cached)
            + tokens(call.completion_tokens) * u128::from(self.completion);
        i64::try_from((exact + 500_000) / 1_000_000).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use ackord_entities::queue::model_call::Outcome;

    use super::*;

    #[test]
    fn cached_tokens_have_a_price_of_their_own_and_the_sum_is_rounded_once() {
        let call = Ended {
            outcome: Outcome::Answered,
            prompt_tokens: 1_000,
            completion_tokens: 10,
            cached_tokens: Some(400),
            estimated: false,
            cost_micros: None,
            duration_ms: 1,
        };
        // 2.50, 1.25 and 10 of the currency for a million.
        let prices = Prices { prompt: 2_500_000, cached: 1_250_000, completion: 10_000_000 };
        assert_eq!(prices.cost(&call), 1_500 + 500 + 100);
        let cheap = Prices { prompt: 600, cached: 0, completion: 0 };
        assert_eq!(cheap.cost(&call), 0, "0.36 of a millionth");
        assert_eq!(Prices { prompt: 1_000, ..cheap }.cost(&call), 1, "0.6 of a millionth");
    }
}

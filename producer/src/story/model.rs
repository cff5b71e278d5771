//! What a job's attempts used of a language model, and what that cost.

use ackord_entities::queue::model_call::{Model, Outcome, Purpose};
use chrono::{DateTime, Utc};
use serde::Serialize;

/// What a job used of a language model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = JobModelUse))]
pub struct ModelUse {
    /// Of all attempts.
    pub sum: ModelSum,
    /// Of each attempt that made a call.
    pub attempts: Vec<AttemptUse>,
}

/// What one attempt used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttemptUse {
    /// Numbered from 1.
    pub attempt: i32,
    /// Of all its calls.
    pub sum: ModelSum,
    /// Its calls, in order.
    pub calls: Vec<ModelCallView>,
}

/// Calls in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelSum {
    /// How many.
    pub calls: u32,
    /// Tokens that were sent, the cached ones among them.
    pub prompt_tokens: i64,
    /// Tokens that were answered.
    pub completion_tokens: i64,
    /// Those of the sent tokens that the server had in its cache, as far as it said.
    pub cached_tokens: i64,
    /// Whether some of the numbers are estimated, because the server did not report them.
    pub estimated: bool,
    /// In millionths of the currency unit of the prices. Empty where some call has no price.
    pub cost_micros: Option<i64>,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ModelCall))]
pub struct ModelCallView {
    /// Which call of the attempt, from 1.
    pub number: i32,
    /// What for.
    pub purpose: Purpose,
    /// The model as it was asked for.
    pub model: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Tokens that were sent.
    pub prompt_tokens: i64,
    /// Tokens that were answered.
    pub completion_tokens: i64,
    /// Those of the sent tokens that the server had in its cache, where it says so.
    pub cached_tokens: Option<i64>,
    /// Whether the numbers are estimated.
    pub estimated: bool,
    /// In millionths of the currency unit of the prices.
    pub cost_micros: Option<i64>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<i64>,
}

impl ModelUse {
    /// What these calls, in their order, make. `None` without any.
    pub(super) fn of(calls: &[Model]) -> Option<Self> {
        let sum = ModelSum::of(calls)?;
        let attempts = calls.chunk_by(|one, next| one.attempt == next.attempt).filter_map(|calls| {
            Some(AttemptUse {
                attempt: calls.first()?.attempt,
                sum: ModelSum::of(calls)?,
                calls: calls.iter().map(view).collect(),
            })
        });
        Some(Self { sum, attempts: attempts.collect() })
    }
}

impl ModelSum {
    fn of(calls: &[Model]) -> Option<Self> {
        let first = Self { cost_micros: Some(0), ..Self::default() };
        let sum = calls.iter().fold(first, |sum, call| Self {
            calls: sum.calls + 1,
            prompt_tokens: sum.prompt_tokens + call.prompt_tokens,
            completion_tokens: sum.completion_tokens + call.completion_tokens,
            cached_tokens: sum.cached_tokens + call.cached_tokens.unwrap_or(0),
            estimated: sum.estimated || call.estimated,
            cost_micros: sum.cost_micros.zip(call.cost_micros).map(|(sum, cost)| sum + cost),
        });
        (!calls.is_empty()).then_some(sum)
    }
}

fn view(call: &Model) -> ModelCallView {
    ModelCallView {
        number: call.number,
        purpose: call.purpose,
        model: call.model.clone(),
        outcome: call.outcome,
        prompt_tokens: call.prompt_tokens,
        completion_tokens: call.completion_tokens,
        cached_tokens: call.cached_tokens,
        estimated: call.estimated,
        cost_micros: call.cost_micros,
        started_at: call.started_at,
        duration_ms: call.duration_ms,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use ackord_entities::clock::machine_now;
    use ackord_entities::ids::JobId;

    use super::*;

    fn call(attempt: i32, number: i32, cost_micros: Option<i64>) -> Model {
        Model {
            job_id: JobId::new(),
            attempt,
            number,
            purpose: Purpose::Write,
            model: "test".to_owned(),
            outcome: Outcome::Answered,
            prompt_tokens: 100,
            completion_tokens: 10,
            cached_tokens: (number == 2).then_some(60),
            estimated: attempt == 2,
            cost_micros,
            started_at: machine_now(),
            duration_ms: Some(3),
        }
    }

    #[test]
    fn calls_are_added_up_for_each_attempt_and_for_all() {
        let found = ModelUse::of(&[call(1, 1, Some(5)), call(1, 2, Some(7)), call(2, 1, Some(1))]).unwrap();
        let first = ModelSum {
            calls: 2,
            prompt_tokens: 200,
            completion_tokens: 20,
            cached_tokens: 60,
            estimated: false,
            cost_micros: Some(12),
        };
        assert_eq!((found.attempts[0].sum, found.attempts[0].calls.len()), (first, 2));
        assert_eq!((found.sum.calls, found.sum.cost_micros, found.sum.estimated), (3, Some(13), true));
        assert_eq!(ModelUse::of(&[]), None);
    }

    #[test]
    fn a_call_without_a_price_leaves_the_sum_without_one() {
        let found = ModelUse::of(&[call(1, 1, Some(5)), call(2, 1, None)]).unwrap();
        assert_eq!((found.sum.cost_micros, found.attempts[0].sum.cost_micros), (None, Some(5)));
    }
}

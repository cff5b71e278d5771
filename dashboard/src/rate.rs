//! How often somebody may ask.

use std::net::IpAddr;
use std::num::NonZeroU32;

use ackord_entities::ids::ApiTokenId;
use axum::http::StatusCode;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use crate::problem::Problem;

/// Callers that are remembered before those are forgotten who have not asked for a while.
const REMEMBERED: usize = 10_000;

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    /// Everybody at an address who has shown no token that counts.
    Address(Option<IpAddr>),
    /// A token, wherever it is used.
    Token(ApiTokenId),
}

/// A bucket for each caller, which fills steadily.
pub(crate) struct Rate {
    buckets: Option<DefaultKeyedRateLimiter<Asker>>,
    clock: DefaultClock,
}

impl Rate {
    /// So many requests a second, and four times as many at once; 0 means as many as anybody likes.
    pub(crate) fn per_second(requests: u32) -> Self {
        let buckets = NonZeroU32::new(requests).map(|requests| {
            let burst = requests.saturating_mul(NonZeroU32::MIN.saturating_add(3));
            DefaultKeyedRateLimiter::keyed(Quota::per_second(requests).allow_burst(burst))
        });
        Self { buckets, clock: DefaultClock::default() }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// It is one too many: 429, with when to come again.
    pub(crate) fn count(&self, asker: Asker) -> Result<(), Problem> {
        let Some(buckets) = &self.buckets else { return Ok(()) };
        if buckets.len() > REMEMBERED {
            buckets.retain_recent();
        }
        buckets.check_key(&asker).map_err(|late| {
            let wait = late.wait_time_from(self.clock.now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let detail = format!("too many requests: come again in {seconds} s");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail).retry_after(seconds)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_asks_too_often_is_turned_away_and_the_others_are_not() {
        let rate = Rate::per_second(1);
        let (one, other) = (Asker::Address(None), Asker::Token(ApiTokenId::new()));
        let taken = (0..100).filter(|_| rate.count(one).is_ok()).count();
        assert!((4..100).contains(&taken), "{taken}");
        assert!(rate.count(other).is_ok());
        let unlimited = Rate::per_second(0);
        assert!((0..10_000).all(|_| unlimited.count(one).is_ok()));
    }
}

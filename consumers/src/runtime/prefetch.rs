//! How many deliveries a kind holds: enough to keep it busy, and never so many that the last of them outlives the broker's
//! patience.
//!
//! A broker takes deliveries back that are not settled within its consumer timeout, and with them the channel. A delivery that
//! waits for a slot is not settled, so all that is held has to get through in time, each attempt as slow as it may be.
//!
//! And a broker counts a worker's death for every delivery it held, and gives up what it has counted too often. So a consumer
//! begins with few, and holds more once it was seen to get through new ones: workers that die again and again take a few
//! bystanders with them each time, and not the same hundreds.

use std::time::Duration;

use ackord_entities::jobs::KindSpec;

/// Of the broker's patience, the part that is left for commits and for its own check, which comes once a minute.
const MARGIN: u32 = 10;

/// Full groups that are held: two that are committed, one that waits behind them, one on its way.
const AHEAD: usize = 4;

/// By what a consumer's limit grows.
const FASTER: usize = 4;

/// How a kind takes deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taking {
    /// So many at most, ahead of the free slots.
    Ahead(usize),
    /// No more than there are free slots: a delivery that had to wait for one could wait for too long.
    WhenFree,
}

/// How much a consumer may hold by now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ramp {
    limit: usize,
    /// New deliveries since the limit grew.
    fresh: usize,
}

impl Ramp {
    /// Begins with as many as can be under way at once.
    pub(crate) fn new(concurrency: usize) -> Self {
        Self { limit: concurrency, fresh: 0 }
    }

    /// Of at most `most`.
    pub(crate) fn within(&self, most: usize) -> usize {
        self.limit.min(most)
    }

    /// So many deliveries came that nobody has died with. When twice as many have come as may be held, half of them were settled.
    pub(crate) fn arrived(&mut self, fresh: usize) {
        self.fresh += fresh;
        if self.fresh >= self.limit.saturating_mul(2) {
            *self = Self::new(self.limit.saturating_mul(FASTER));
        }
    }
}

/// A kind that cannot be consumed at all under this broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an attempt of `{kind}` may take {} s, but the broker takes a delivery back after {} s without an answer: let the kind \
     hand over (HAND_OVER = true), shorten its TIMEOUT, or raise the broker's consumer_timeout and the worker's with it",
    timeout.as_secs_f64(),
    consumer_timeout.as_secs_f64()
)]
pub struct TooSlow {
    /// The kind.
    pub kind: &'static str,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// How long the broker waits for an answer.
    pub consumer_timeout: Duration,
}

/// How the kind `spec` with `concurrency` slots takes deliveries from a broker with this consumer timeout.
pub(crate) fn taking(
    spec: &KindSpec,
    concurrency: usize,
    consumer_timeout: Duration,
) -> Result<Taking, TooSlow> {
    let enough = concurrency + AHEAD * spec.max_group;
    if !spec.performs {
        return Ok(Taking::Ahead(enough));
    }
    let patience = consumer_timeout.saturating_sub(consumer_timeout / MARGIN);
    let rounds = patience.as_nanos() / spec.timeout.as_nanos().max(1);
    let in_time = usize::try_from(rounds).unwrap_or(usize::MAX).saturating_mul(concurrency);
    match (in_time, spec.hand_over) {
        (0, true) => Ok(Taking::WhenFree),
        (0, false) => Err(TooSlow { kind: spec.kind, timeout: spec.timeout, consumer_timeout }),
        (in_time, _) => Ok(Taking::Ahead(enough.min(in_time))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use ackord_entities::jobs::Job;
    use rstest::rstest;

    use super::*;

    #[derive(Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Order;

    impl Job for Order {
        const KIND: &'static str = "order";
    }

    const HALF_AN_HOUR: Duration = Duration::from_secs(30 * 60);

    fn spec(timeout_s: u64, hand_over: bool) -> KindSpec {
        let mut spec = KindSpec::of::<Order>();
        spec.timeout = Duration::from_secs(timeout_s);
        spec.hand_over = hand_over;
        spec.max_group = 100;
        spec
    }

    #[rstest]
    #[case::fast_enough_for_all(5, false, Taking::Ahead(408))]
    #[case::two_rounds_of_ten_minutes(600, false, Taking::Ahead(16))]
    #[case::one_round(27 * 60, false, Taking::Ahead(8))]
    #[case::handed_over_and_fast(5, true, Taking::Ahead(408))]
    #[case::handed_over_and_as_slow_as_the_broker_is_patient(30 * 60, true, Taking::WhenFree)]
    fn what_is_held_gets_through_in_time(
        #[case] timeout_s: u64,
        #[case] hand_over: bool,
        #[case] expected: Taking,
    ) {
        assert_eq!(taking(&spec(timeout_s, hand_over), 8, HALF_AN_HOUR), Ok(expected));
    }

    #[test]
    fn a_consumer_holds_more_once_it_gets_through_new_deliveries() {
        let mut ramp = Ramp::new(8);
        ramp.arrived(0);
        ramp.arrived(15);
        assert_eq!(ramp.within(100), 8);
        ramp.arrived(1);
        assert_eq!(ramp.within(100), 32);
        ramp.arrived(63);
        assert_eq!(ramp.within(100), 32);
        ramp.arrived(1);
        assert_eq!(ramp.within(100), 100);
    }

    #[test]
    fn a_kind_that_cannot_fit_is_refused_with_what_to_do() {
        let error = taking(&spec(28 * 60, false), 8, HALF_AN_HOUR).unwrap_err().to_string();
        assert!(error.contains("`order`") && error.contains("HAND_OVER"), "{error}");
    }

    #[test]
    fn a_kind_without_a_slow_half_holds_its_groups_whatever_its_limit() {
        let mut short = spec(3600, false);
        short.performs = false;
        assert_eq!(taking(&short, 8, HALF_AN_HOUR), Ok(Taking::Ahead(408)));
    }
}

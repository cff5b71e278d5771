//! How long a failed job waits for its next attempt.

use std::time::Duration;

use backoff::SystemClock;
use backoff::backoff::Backoff as _;
use backoff::exponential::ExponentialBackoff;

/// Exponential backoff with jitter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The wait before the second attempt.
    pub initial: Duration,
    /// What each further wait is multiplied with.
    pub factor: f64,
    /// No wait is longer, jitter aside.
    pub longest: Duration,
    /// Share of the wait by which it is made longer or shorter at random, 0.0 to 1.0: jobs that failed together do not
    /// come back together.
    pub jitter: f64,
}

impl Backoff {
    /// 1 s, 3 s, 9 s, 27 s, .. up to 10 minutes, each 25 % longer or shorter.
    pub const DEFAULT: Self = Self {
        initial: Duration::from_secs(1),
        factor: 3.0,
        longest: Duration::from_secs(600),
        jitter: 0.25,
    };

    /// The wait after the given attempt (numbered from 1) failed.
    #[must_use]
    pub fn delay_after(&self, attempt: u32) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.initial.as_secs_f64() * self.factor.powi(exponent);
        let interval = Duration::try_from_secs_f64(seconds).unwrap_or(self.longest).min(self.longest);
        let mut policy = ExponentialBackoff::<SystemClock> {
            current_interval: interval,
            initial_interval: interval,
            randomization_factor: self.jitter,
            multiplier: self.factor,
            max_interval: self.longest,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        policy.next_backoff().unwrap_or(interval)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_longer_than_the_last_up_to_the_longest() {
        let exact = Backoff { jitter: 0.0, ..Backoff::DEFAULT };
        let seconds: Vec<u64> = (1..=8).map(|attempt| exact.delay_after(attempt).as_secs()).collect();
        assert_eq!(seconds, [1, 3, 9, 27, 81, 243, 600, 600]);
    }

    #[test]
    fn jitter_stays_within_its_share_and_spreads() {
        let delays: Vec<Duration> = (0..200).map(|_| Backoff::DEFAULT.delay_after(2)).collect();
        assert!(delays.iter().all(|delay| (2.25..=3.75).contains(&delay.as_secs_f64())), "{delays:?}");
        assert!(delays.iter().max() > delays.iter().min());
    }

    #[test]
    fn a_huge_attempt_number_does_not_overflow() {
        assert!(Backoff::DEFAULT.delay_after(u32::MAX) <= Duration::from_secs(750));
    }
}

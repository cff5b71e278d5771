//! How often somebody may ask.
//!
//! What is remembered is bounded, whoever asks from wherever: tokens are as many as there are rows of them, and addresses share a
//! fixed number of buckets.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use ackord_entities::ids::ApiTokenId;
use axum::http::StatusCode;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};

use crate::problem::Problem;

/// Buckets of addresses. Two that meet in one share it: one in so many.
const ADDRESSES: u64 = 1 << 14;
/// Tokens that are remembered to have counted.
const PROVEN: usize = 10_000;

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// Everybody at an address who has shown no token that is known to count.
    Address(Option<IpAddr>),
    /// A token, wherever it is used.
    Token(ApiTokenId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Bucket {
    Addresses(u64),
    Token(ApiTokenId),
}

/// A bucket for each caller, which fills steadily.
pub(crate) struct Rate {
    buckets: Option<DefaultKeyedRateLimiter<Bucket>>,
    clock: DefaultClock,
    /// Nobody from outside can tell which addresses meet.
    hasher: RandomState,
    proven: Mutex<HashSet<String>>,
}

impl Rate {
    /// So many requests a second, and four times as many at once; 0 means as many as anybody likes.
    pub(crate) fn per_second(requests: u32) -> Self {
        let buckets = NonZeroU32::new(requests).map(|requests| {
            let burst = requests.saturating_mul(NonZeroU32::MIN.saturating_add(3));
            DefaultKeyedRateLimiter::keyed(Quota::per_second(requests).allow_burst(burst))
        });
        Self { buckets, clock: DefaultClock::default(), hasher: RandomState::new(), proven: Mutex::default() }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// It is one too many: 429, with when to come again.
    pub(crate) fn count(&self, asker: Asker) -> Result<(), Problem> {
        let Some(buckets) = &self.buckets else { return Ok(()) };
        buckets.check_key(&self.bucket(asker)).map_err(|late| {
            let wait = late.wait_time_from(self.clock.now());
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let detail = format!("too many requests: come again in {seconds} s");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail).retry_after(seconds)
        })
    }

    /// Whether a token, by its hash, counted when it was shown last. Such a one is looked up without being counted for its address, so
    /// nobody who tries tokens shuts out his neighbours.
    pub(crate) fn is_proven(&self, hash: &str) -> bool {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner).contains(hash)
    }

    /// Notes whether a token counted.
    pub(crate) fn note(&self, hash: &str, counted: bool) {
        let mut proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        if !counted {
            proven.remove(hash);
        } else if !proven.contains(hash) {
            if proven.len() >= PROVEN {
                proven.clear();
            }
            proven.insert(hash.to_owned());
        }
    }

    fn bucket(&self, asker: Asker) -> Bucket {
        match asker {
            Asker::Token(token) => Bucket::Token(token),
            Asker::Address(address) => {
                Bucket::Addresses(self.hasher.hash_one(address.map(network)) % ADDRESSES)
            }
        }
    }
}

/// What one caller has to himself: an address of IPv4, the half of IPv6 that a provider hands out.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
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

    #[test]
    fn any_number_of_addresses_needs_no_more_memory_than_some() {
        let rate = Rate::per_second(1);
        for number in 0..100_000_u32 {
            let _ = rate.count(Asker::Address(Some(IpAddr::from(number.to_be_bytes()))));
        }
        let buckets = rate.buckets.as_ref().map(DefaultKeyedRateLimiter::len);
        assert!(buckets.is_some_and(|count| count as u64 <= ADDRESSES), "{buckets:?}");
        for number in 0..2 * PROVEN {
            rate.note(&number.to_string(), true);
        }
        assert!(rate.proven.lock().is_ok_and(|proven| proven.len() <= PROVEN));
    }

    #[test]
    fn a_network_of_one_customer_is_one_asker() {
        let same = |one: &str, other: &str| one.parse().map(network) == other.parse().map(network);
        assert!(same("2001:db8::1", "2001:db8::ffff"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }

    #[test]
    fn a_token_is_proven_from_when_it_counts_until_it_does_not() {
        let rate = Rate::per_second(1);
        assert!(!rate.is_proven("a"));
        rate.note("a", true);
        assert!(rate.is_proven("a") && !rate.is_proven("b"));
        rate.note("a", false);
        assert!(!rate.is_proven("a"));
    }
}

//! The kinds whose messages a broker does not answer for, in the memory of one relay.
//!
//! The messages of a kind go to one queue. A queue without a leader confirms nothing and refuses nothing, so a window that holds
//! one of its messages ends only with its deadline. Therefore no window takes a message of such a kind until one that is sent by
//! itself, a probe, was answered for. The kind is set aside and not the message, since a million others may wait behind it.
//!
//! A kind is only suspected at first, and probed at once: beside a queue that does not answer, those of others in the same window
//! may have been left unanswered too. What its own probe leaves unanswered is the kind's own trouble, and said.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ackord_entities::jobs::Backoff;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{info, warn};

use super::MOVES;
use crate::broker::topology::queue_of;
use crate::health::Health;

/// The kinds that are set aside.
pub(super) struct Aside {
    kinds: Mutex<BTreeMap<String, Trouble>>,
    changed: Notify,
    backoff: Backoff,
    health: Health,
}

/// What is known of one of them.
struct Trouble {
    /// Since when it is set aside.
    since: Instant,
    /// Probes that were not answered for.
    probes: u32,
    /// When to send the next one; `None` while one is under way.
    next: Option<Instant>,
}

impl Aside {
    pub(super) fn new(backoff: Backoff, health: Health) -> Self {
        Self { kinds: Mutex::default(), changed: Notify::new(), backoff, health }
    }

    /// All of them.
    pub(super) fn kinds(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Messages of these kinds were left unanswered. One that is set aside already stays as it is.
    pub(super) fn suspect<'a>(&self, kinds: impl IntoIterator<Item = &'a str>, now: Instant) {
        let mut known = self.lock();
        for kind in kinds {
            if !known.contains_key(kind) {
                known.insert(kind.to_owned(), Trouble { since: now, probes: 0, next: Some(now) });
            }
        }
        drop(known);
        self.changed.notify_one();
    }

    /// Waits until a probe is due, and answers the kinds to probe. Each of them is not due again before
    /// [`unanswered`](Self::unanswered) or [`later`](Self::later) says so.
    pub(super) async fn to_probe(&self) -> Vec<String> {
        loop {
            let wait = async {
                match self.next() {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => return self.take_due(Instant::now()),
                () = self.changed.notified() => {}
            }
        }
    }

    /// When the next probe is due.
    fn next(&self) -> Option<Instant> {
        self.lock().values().filter_map(|trouble| trouble.next).min()
    }

    fn take_due(&self, now: Instant) -> Vec<String> {
        let mut known = self.lock();
        let due = known.iter_mut().filter(|(_, trouble)| trouble.next.is_some_and(|next| next <= now));
        due.map(|(kind, trouble)| {
            trouble.next = None;
            kind.clone()
        })
        .collect()
    }

    /// A probe was not answered for.
    pub(super) fn unanswered(&self, kind: &str, now: Instant) {
        let mut known = self.lock();
        let Some(trouble) = known.get_mut(kind) else { return };
        trouble.probes = trouble.probes.saturating_add(1);
        trouble.next = Some(now + self.backoff.delay_after(trouble.probes));
        if trouble.probes == 1 {
            self.health.fails_for(
                MOVES,
                kind,
                format!(
                    "the broker does not confirm its messages: the queue `{}` may have no leader. They wait in the outbox; the \
                     other kinds go on",
                    queue_of(kind)
                ),
            );
            warn!(
                job.kind = kind,
                queue.name = queue_of(kind),
                "the broker does not confirm the messages of a kind; it is set aside until the broker does, the other kinds go on"
            );
        }
    }

    /// A probe could not be sent: nothing was learnt.
    pub(super) fn later(&self, kind: &str, now: Instant) {
        if let Some(trouble) = self.lock().get_mut(kind) {
            trouble.next = Some(now + self.backoff.delay_after(1));
        }
    }

    /// The broker has answered for a message of the kind, or none of it waits any more. Answers whether it was set aside.
    pub(super) fn back(&self, kind: &str) -> bool {
        let Some(Trouble { since, probes, .. }) = self.lock().remove(kind) else { return false };
        if probes > 0 {
            self.health.holds_for(MOVES, kind);
            info!(
                job.kind = kind,
                aside_s = since.elapsed().as_secs(),
                probes,
                "a kind that was set aside is sent again"
            );
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Trouble>> {
        // Single steps: what a panic elsewhere left is whole.
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use super::*;

    fn aside() -> Aside {
        let backoff = Backoff {
            initial: Duration::from_secs(1),
            factor: 2.0,
            longest: Duration::from_secs(30),
            jitter: 0.0,
        };
        Aside::new(backoff, Health::new("relay"))
    }

    fn one(kind: &str) -> Vec<String> {
        vec![kind.to_owned()]
    }

    #[test]
    fn a_kind_is_probed_at_once_and_then_after_waits_that_grow() {
        let (aside, mut now) = (aside(), Instant::now());
        aside.suspect(["apple"], now);
        assert_eq!(aside.next(), Some(now));
        assert_eq!(aside.take_due(now), one("apple"));
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            aside.unanswered("apple", now);
            let next = now + Duration::from_secs(seconds);
            assert_eq!(aside.next(), Some(next));
            assert!(aside.take_due(next.checked_sub(Duration::from_millis(1)).unwrap()).is_empty());
            assert_eq!(aside.take_due(next), one("apple"));
            now = next;
        }
        assert!(aside.back("apple"));
        assert!(aside.kinds().is_empty());
    }

    #[test]
    fn a_probe_that_is_under_way_is_not_sent_twice_and_holds_up_no_other_kind() {
        let (aside, now) = (aside(), Instant::now());
        aside.suspect(["apple"], now);
        assert_eq!(aside.take_due(now), one("apple"));
        aside.suspect(["apple", "pear"], now);
        assert_eq!(aside.take_due(now), one("pear"));
        assert_eq!(aside.kinds(), ["apple", "pear"]);
        assert_eq!(aside.next(), None, "both are under way");
    }

    #[test]
    fn only_what_its_own_probe_leaves_unanswered_is_said() {
        let (aside, now) = (aside(), Instant::now());
        aside.suspect(["apple", "pear"], now);
        assert!(aside.health.is_good());
        assert!(aside.back("pear"));
        assert!(aside.health.conditions().is_empty(), "of the pear nobody hears");
        aside.unanswered("apple", now);
        aside.unanswered("apple", now);
        let conditions = aside.health.conditions();
        let [apple] = &conditions[..] else { panic!("{conditions:?}") };
        assert_eq!((apple.name, apple.subject.as_deref(), apple.ok), (MOVES, Some("apple"), false));
        assert!(apple.reason.as_deref().is_some_and(|reason| reason.contains("`ackord.apple`")), "{apple:?}");
        assert!(apple.for_s.is_some(), "and since when");
        aside.back("apple");
        assert!(aside.health.is_good());
        assert!(!aside.back("apple"), "it is back already");
    }
}

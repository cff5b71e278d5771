//! What the parts of a process say about themselves: each condition that must hold, and why one does not.
//!
//! A part is given a [`Health`] and says [`fails`](Health::fails) and [`holds`](Health::holds) where it notices, opens a
//! [`step`](Health::step) around what must end in time, and leaves a [`check`](Health::check) for what can be asked at any
//! moment. Nothing here waits for a part: a task that hangs is found out by its open step.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::watch;

use crate::broker::BrokerState;

/// What one part says about itself. Clones say the same.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    part: &'static str,
    said: Mutex<BTreeMap<Name, Option<Failing>>>,
    steps: Mutex<Steps>,
    checks: Mutex<Vec<(Name, Check)>>,
}

type Check = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// A condition's name, and what it is about where there are several.
type Name = (&'static str, Option<String>);

struct Failing {
    reason: String,
    since: Instant,
}

#[derive(Default)]
struct Steps {
    last: u64,
    open: BTreeMap<u64, OpenStep>,
}

struct OpenStep {
    name: Name,
    what: &'static str,
    since: Instant,
    bound: Duration,
}

/// One condition, as it is at the moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Whose condition it is: `worker`, `relay`.
    pub part: &'static str,
    /// What must hold: `database`, `consumer`.
    pub name: &'static str,
    /// What it is about, where there are several: a kind, a queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Whether it holds.
    pub ok: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For how many seconds it has not, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u64>,
}

impl Health {
    /// The health of `part`, which has said nothing yet.
    #[must_use]
    pub fn new(part: &'static str) -> Self {
        Self(Arc::new(Inner {
            part,
            said: Mutex::default(),
            steps: Mutex::default(),
            checks: Mutex::default(),
        }))
    }

    /// Says that `condition` does not hold, and why. Saying it again keeps the time since when.
    pub fn fails(&self, condition: &'static str, reason: impl Into<String>) {
        self.say((condition, None), Some(reason.into()));
    }

    /// Says that `condition` holds.
    pub fn holds(&self, condition: &'static str) {
        self.say((condition, None), None);
    }

    /// [`fails`](Self::fails) for one of several: a kind, a queue.
    pub fn fails_for(&self, condition: &'static str, subject: &str, reason: impl Into<String>) {
        self.say((condition, Some(subject.to_owned())), Some(reason.into()));
    }

    /// [`holds`](Self::holds) for one of several.
    pub fn holds_for(&self, condition: &'static str, subject: &str) {
        self.say((condition, Some(subject.to_owned())), None);
    }

    fn say(&self, name: Name, reason: Option<String>) {
        let mut said = lock(&self.0.said);
        let failing = said.entry(name).or_default();
        *failing = reason.map(|reason| Failing {
            reason,
            since: failing.as_ref().map_or_else(Instant::now, |failing| failing.since),
        });
    }

    /// Leaves a question that is asked whenever somebody looks. It answers why `condition` does not hold, and must not block.
    pub fn check(&self, condition: &'static str, ask: impl Fn() -> Option<String> + Send + Sync + 'static) {
        lock(&self.0.checks).push(((condition, None), Box::new(ask)));
    }

    /// [`check`](Self::check) for the broker's state.
    pub fn check_broker(&self, state: watch::Receiver<BrokerState>) {
        self.check("broker", move || match *state.borrow() {
            BrokerState::Open => None,
            BrokerState::Blocked => Some(
                "the broker takes no messages: an alarm for memory or disk; what is published waits in the outbox"
                    .to_owned(),
            ),
            BrokerState::Closed => {
                Some("the broker cannot be reached; it is tried again for ever".to_owned())
            }
        });
    }

    /// Opens a step that must end within `bound`; after that, `condition` does not hold until the answer is dropped. `what`
    /// names the step: `a commit`.
    #[must_use = "the step ends when this is dropped"]
    pub fn step(
        &self,
        condition: &'static str,
        subject: Option<&str>,
        what: &'static str,
        bound: Duration,
    ) -> Step {
        let mut steps = lock(&self.0.steps);
        steps.last += 1;
        let number = steps.last;
        let name = (condition, subject.map(ToOwned::to_owned));
        steps.open.insert(number, OpenStep { name, what, since: Instant::now(), bound });
        Step { health: self.clone(), number }
    }

    /// Every condition of this part, by name.
    #[must_use]
    pub fn conditions(&self) -> Vec<Condition> {
        let mut found: BTreeMap<Name, Option<(String, Option<Duration>)>> = BTreeMap::new();
        for (name, failing) in &*lock(&self.0.said) {
            let failing =
                failing.as_ref().map(|failing| (failing.reason.clone(), Some(failing.since.elapsed())));
            found.insert(name.clone(), failing);
        }
        for (name, ask) in &*lock(&self.0.checks) {
            let reason = ask().map(|reason| (reason, None));
            merge(&mut found, name, reason);
        }
        for step in lock(&self.0.steps).open.values() {
            let elapsed = step.since.elapsed();
            let late = (elapsed > step.bound).then(|| {
                let reason = format!("{} runs for {} s already", step.what, elapsed.as_secs());
                (reason, Some(elapsed))
            });
            merge(&mut found, &step.name, late);
        }
        found
            .into_iter()
            .map(|((name, subject), failing)| Condition {
                part: self.0.part,
                name,
                subject,
                ok: failing.is_none(),
                for_s: failing.as_ref().and_then(|(_, elapsed)| Some(elapsed.as_ref()?.as_secs())),
                reason: failing.map(|(reason, _)| reason),
            })
            .collect()
    }

    /// Why `condition` does not hold, if it does not.
    #[must_use]
    pub fn reason(&self, condition: &str) -> Option<String> {
        self.conditions().into_iter().find(|one| one.name == condition && !one.ok)?.reason
    }

    /// Whether every condition holds.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.conditions().iter().all(|condition| condition.ok)
    }
}

/// What fails stays failing, whoever else says that it holds.
fn merge(
    found: &mut BTreeMap<Name, Option<(String, Option<Duration>)>>,
    name: &Name,
    failing: Option<(String, Option<Duration>)>,
) {
    let known = found.entry(name.clone()).or_default();
    if known.is_none() {
        *known = failing;
    }
}

/// A step that has not ended.
#[must_use = "the step ends when this is dropped"]
pub struct Step {
    health: Health,
    number: u64,
}

impl Drop for Step {
    fn drop(&mut self) {
        lock(&self.health.0.steps).open.remove(&self.number);
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Health").field(&self.0.part).finish()
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Step").field(&self.number).finish()
    }
}

/// A lock that outlives a panic elsewhere: what it guards is changed in single steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn of(health: &Health, name: &str, subject: Option<&str>) -> Condition {
        health
            .conditions()
            .into_iter()
            .find(|one| one.name == name && one.subject.as_deref() == subject)
            .unwrap()
    }

    #[test]
    fn a_condition_fails_with_its_reason_until_it_holds_again() {
        let health = Health::new("relay");
        health.holds("database");
        assert!(health.is_good());
        health.fails("database", "it is away");
        let condition = of(&health, "database", None);
        assert_eq!((condition.part, condition.ok), ("relay", false));
        assert_eq!(condition.reason.as_deref(), Some("it is away"));
        assert!(!health.is_good());
        health.holds("database");
        assert!(health.is_good());
        assert_eq!(of(&health, "database", None).reason, None);
    }

    #[test]
    fn subjects_fail_by_themselves() {
        let health = Health::new("worker");
        health.holds_for("consumer", "import");
        health.fails_for("consumer", "synthesis", "no queue");
        assert!(of(&health, "consumer", Some("import")).ok);
        assert!(!of(&health, "consumer", Some("synthesis")).ok);
        assert!(!health.is_good());
    }

    #[test]
    fn a_step_that_runs_for_too_long_fails_its_condition_until_it_ends() {
        let health = Health::new("worker");
        let late = health.step("commit", Some("import"), "a commit", Duration::ZERO);
        let in_time = health.step("commit", Some("synthesis"), "a commit", Duration::from_secs(3600));
        // The clock has to have moved at all.
        while late_since(&health).is_zero() {}
        assert_eq!(
            of(&health, "commit", Some("import")).reason.as_deref(),
            Some("a commit runs for 0 s already")
        );
        assert!(of(&health, "commit", Some("synthesis")).ok);
        drop(late);
        assert!(health.is_good());
        drop(in_time);
        assert!(health.conditions().is_empty());
    }

    fn late_since(health: &Health) -> Duration {
        lock(&health.0.steps).open.values().map(|step| step.since.elapsed()).max().unwrap()
    }

    #[test]
    fn the_three_states_of_a_broker_are_told_apart() {
        let (sender, state) = watch::channel(BrokerState::Open);
        let health = Health::new("worker");
        health.check_broker(state);
        assert!(health.is_good());
        sender.send(BrokerState::Blocked).unwrap();
        let blocked = health.reason("broker").unwrap();
        sender.send(BrokerState::Closed).unwrap();
        let closed = health.reason("broker").unwrap();
        assert_ne!(blocked, closed);
    }
}

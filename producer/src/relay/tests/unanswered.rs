//! A queue that does not answer: its kind waits, and nobody else does.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ackord_entities::testing::TestDatabase;
use async_trait::async_trait;
use rstest::rstest;
use sea_orm::DbBackend;
use tokio::sync::Notify;

use super::*;
use crate::broker::Around;

/// A broker whose queues may fall silent. As RabbitMQ does, it reads nothing more of a window behind the first message that
/// one of them does not confirm.
struct Silent {
    inner: EmbeddedBroker,
    seen: Mutex<Seen>,
    /// While it is set, a message that is sent by itself to a silent queue waits for [`over`](Self::over).
    takes_its_time: bool,
    over: Notify,
}

#[derive(Default)]
struct Seen {
    silent: BTreeSet<&'static str>,
    /// The kinds of the messages of each window.
    windows: Vec<Vec<String>>,
}

impl Silent {
    async fn new(takes_its_time: bool) -> Arc<Self> {
        let inner = EmbeddedBroker::new(EmbeddedOptions::default());
        queues(&inner, &[KindSpec::of::<Apple>(), KindSpec::of::<Pear>()]).await;
        Arc::new(Self { inner, seen: Mutex::default(), takes_its_time, over: Notify::new() })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fall_silent(&self, kind: &'static str) {
        self.seen().silent.insert(kind);
    }

    fn answer_again(&self) {
        self.seen().silent.clear();
        self.over.notify_waiters();
    }

    fn windows(&self) -> Vec<Vec<String>> {
        self.seen().windows.clone()
    }

    fn is_silent(&self, message: &Message) -> bool {
        message.kind.as_deref().is_some_and(|kind| self.seen().silent.contains(kind))
    }

    /// How often a message of `kind` was sent by itself.
    fn alone(&self, kind: &str) -> usize {
        self.windows().iter().filter(|window| **window == [kind]).count()
    }
}

#[async_trait]
impl Around for Silent {
    fn inner(&self) -> &dyn Broker {
        &self.inner
    }

    async fn publish(&self, exchange: &str, messages: &[Message]) -> Result<Vec<Confirm>, BrokerError> {
        let over = self.over.notified();
        let kinds = messages.iter().filter_map(|message| message.kind.clone()).collect();
        self.seen().windows.push(kinds);
        if self.takes_its_time && messages.len() == 1 && self.is_silent(&messages[0]) {
            over.await;
        }
        let read = messages.iter().position(|message| self.is_silent(message)).unwrap_or(messages.len());
        let mut confirms = self.inner.publish(exchange, &messages[..read]).await?;
        confirms.resize(messages.len(), Confirm::Unanswered);
        Ok(confirms)
    }
}

fn relay(database: &Database, broker: &Arc<Silent>, doorbell: &Doorbell, window: u32) -> Relay {
    let soon = Duration::from_millis(5);
    let unanswered = Backoff { initial: soon, factor: 1.0, longest: soon, jitter: 0.0 };
    let options = RelayOptions { window, unanswered, ..RelayOptions::default() };
    Relay::new(database.clone(), Arc::clone(broker) as Arc<dyn Broker>, doorbell.clone(), options)
}

async fn publish_many<J: Job>(database: &Database, job: J, number: usize) -> Vec<JobId> {
    let mut ids = Vec::new();
    for _ in 0..number {
        ids.push(publish(database, &job).await);
    }
    ids
}

async fn waiting(database: &Database, jobs: &[JobId]) -> usize {
    outbox::of_jobs(database.read(), jobs).await.unwrap().len()
}

async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "it never came true that {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A relay at work, until it is dropped.
struct Running(CancellationToken);

impl Running {
    fn start(relay: Relay) -> Self {
        let stop = CancellationToken::new();
        tokio::spawn(relay.run(stop.clone()));
        Self(stop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[rstest]
#[tokio::test]
async fn a_kind_that_is_not_answered_for_is_set_aside_with_its_backlog_and_the_others_are_sent(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let (database, broker) = (test.database(), Silent::new(false).await);
    let apples = publish_many(database, Apple {}, 20).await;
    let before = outbox::of_jobs(database.read(), &apples[..2]).await.unwrap();
    let pears = publish_many(database, Pear {}, 5).await;
    let relay = relay(database, &broker, &Doorbell::default(), 4);
    broker.fall_silent(Apple::KIND);

    let sent = async || assert!(matches!(relay.round(Start::Look).await.unwrap(), Round::Sent { .. }));
    let idle = async || {
        let round = relay.round(Start::Look).await.unwrap();
        assert!(matches!(round, Round::NothingDue(None)), "it has nothing to do but to wait");
    };
    sent().await;
    // Of a pear nobody knows whether it was the apple beside it.
    idle().await;
    for kind in [Apple::KIND, Pear::KIND] {
        relay.probe(kind.to_owned()).await;
    }
    sent().await;
    sent().await;
    idle().await;
    let of = |kind: &str, number: usize| vec![kind.to_owned(); number];
    let taking_turns = [Apple::KIND, Pear::KIND, Apple::KIND, Pear::KIND].map(str::to_owned).to_vec();
    assert_eq!(
        broker.windows(),
        [taking_turns, of(Apple::KIND, 1), of(Pear::KIND, 1), of(Pear::KIND, 2), of(Pear::KIND, 3)]
    );
    assert_eq!(ready(&broker.inner, Pear::KIND), 6, "one of them twice: as a probe, and in its turn");
    let other = test.reopen().await;
    assert_eq!((waiting(&other, &apples).await, waiting(&other, &pears).await), (20, 0));
    let noted: Vec<outbox::Model> = before
        .into_iter()
        .map(|message| outbox::Model { last_error: Some(UNANSWERED.to_owned()), ..message })
        .collect();
    assert_eq!(
        outbox::of_jobs(other.read(), &apples[..2]).await.unwrap(),
        noted,
        "due as before, and not refused"
    );
}

#[rstest]
#[tokio::test]
async fn a_kind_that_is_set_aside_is_asked_after_and_nothing_of_it_is_lost_when_it_is_back(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let (database, broker) = (test.database(), Silent::new(false).await);
    let apples = publish_many(database, Apple {}, 20).await;
    let pears = publish_many(database, Pear {}, 20).await;
    broker.fall_silent(Apple::KIND);
    let doorbell = Doorbell::default();
    let relay = relay(database, &broker, &doorbell, 5);
    let health = relay.health();
    let running = Running::start(relay);

    eventually("the pears are sent", async || waiting(database, &pears).await == 0).await;
    eventually("it is asked again and again", async || broker.alone(Apple::KIND) > 3).await;
    let troubles: Vec<_> = health.conditions().into_iter().filter(|one| !one.ok).collect();
    let [apple] = &troubles[..] else { panic!("{troubles:?}") };
    assert_eq!((apple.name, apple.subject.as_deref()), (MOVES, Some(Apple::KIND)));
    let crowds =
        broker.windows().iter().filter(|one| one.len() > 1 && one.contains(&Apple::KIND.to_owned())).count();
    assert!(crowds <= OVERLAPPING, "{crowds} windows took what is set aside");
    assert_eq!(waiting(&test.reopen().await, &apples).await, 20);
    let pears = publish_many(database, Pear {}, 3).await;
    doorbell.ring();
    eventually("new pears are sent too", async || waiting(database, &pears).await == 0).await;

    broker.answer_again();
    eventually("the apples are sent", async || waiting(database, &apples).await == 0).await;
    assert!(health.is_good(), "{:?}", health.conditions());
    let mut consumer = broker.inner.consume(&queue_of(Apple::KIND), 100).await.unwrap();
    let mut sent = BTreeSet::new();
    while sent.len() < apples.len() {
        sent.insert(consumer.deliveries.recv().await.unwrap().message.message_id.unwrap());
    }
    assert_eq!(sent, apples.iter().map(ToString::to_string).collect());
    drop(running);
}

/// Nothing is claimed meanwhile, so on SQLite, where a relay has one round at a time and a database one writer, others write and
/// are sent too.
#[rstest]
#[tokio::test]
async fn a_probe_that_waits_for_its_answer_holds_up_nobody(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let (database, broker) = (test.database(), Silent::new(true).await);
    let apples = publish_many(database, Apple {}, 2).await;
    publish_many(database, Pear {}, 2).await;
    broker.fall_silent(Apple::KIND);
    let doorbell = Doorbell::default();
    let relay = relay(database, &broker, &doorbell, 100);
    let health = relay.health();
    let running = Running::start(relay);

    eventually("the apple's probe waits", async || broker.alone(Apple::KIND) == 1).await;
    // They were behind the apples in one window, and left unanswered with them.
    eventually("the pears' was answered", async || ready(&broker.inner, Pear::KIND) >= 2).await;
    publish_many(database, Pear {}, 3).await;
    doorbell.ring();
    eventually("new pears are sent", async || ready(&broker.inner, Pear::KIND) >= 5).await;
    assert_eq!(broker.alone(Apple::KIND), 1, "one probe of a kind at a time");
    assert!(
        health.conditions().iter().all(|one| one.subject.as_deref() != Some(Pear::KIND)),
        "nobody hears of it"
    );

    broker.answer_again();
    eventually("the apples are sent", async || waiting(database, &apples).await == 0).await;
    drop(running);
}

/// Whoever removed it without having claimed it could lose it: should the broker lose its disk before, a reconciliation passes
/// over what waits.
#[rstest]
#[tokio::test]
async fn a_probe_removes_nothing(#[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let (database, broker) = (test.database(), Silent::new(false).await);
    let apple = publish(database, &Apple {}).await;
    let relay = relay(database, &broker, &Doorbell::default(), 4);
    relay.aside.suspect([Apple::KIND], tokio::time::Instant::now());
    relay.probe(Apple::KIND.to_owned()).await;
    assert_eq!((ready(&broker.inner, Apple::KIND), waiting(&test.reopen().await, &[apple]).await), (1, 1));
    assert!(relay.aside.kinds().is_empty(), "the broker has answered");
    assert!(matches!(relay.round(Start::Look).await.unwrap(), Round::Sent { .. }));
    assert_eq!((ready(&broker.inner, Apple::KIND), waiting(&test.reopen().await, &[apple]).await), (2, 0));
}

#[rstest]
#[tokio::test]
async fn a_kind_of_which_nothing_waits_any_more_is_not_set_aside(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let (database, broker) = (test.database(), Silent::new(false).await);
    let apple = publish(database, &Apple {}).await;
    broker.fall_silent(Apple::KIND);
    let relay = relay(database, &broker, &Doorbell::default(), 4);
    let round = relay.round(Start::Look).await;
    relay.say(&round);
    assert!(matches!(round.unwrap(), Round::Sent { .. }));
    relay.probe(Apple::KIND.to_owned()).await;
    assert_eq!((relay.aside.kinds(), relay.health().is_good()), (vec![Apple::KIND.to_owned()], false));
    // Another relay has sent it.
    let tx = database.begin().await.unwrap();
    outbox::remove_sent(&tx, &[(apple, 1)]).await.unwrap();
    tx.commit().await.unwrap();
    relay.probe(Apple::KIND.to_owned()).await;
    assert_eq!((relay.aside.kinds(), relay.health().is_good()), (Vec::new(), true));
}

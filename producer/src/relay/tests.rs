//! What becomes of a message in the outbox, by what the broker said to it.

#![allow(clippy::unwrap_used, reason = "tests")]

mod unanswered;

use ackord_entities::jobs::{Catalogue, Job, KindSpec};
use ackord_entities::testing::TestDatabase;
use rstest::rstest;
use schemars::JsonSchema;
use sea_orm::DbBackend;
use serde::{Deserialize, Serialize};

use super::*;
use crate::broker::topology::{Topology, queue_of};
use crate::broker::{EmbeddedBroker, EmbeddedOptions};
use crate::{Publish, enqueue};

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Apple {}

impl Job for Apple {
    const KIND: &'static str = "apple";
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Pear {}

impl Job for Pear {
    const KIND: &'static str = "pear";
}

async fn publish<J: Job>(database: &Database, job: &J) -> JobId {
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    let id = enqueue(&tx, job, &Publish::at(now)).await.unwrap().id;
    tx.commit().await.unwrap();
    id
}

async fn queues(broker: &EmbeddedBroker, kinds: &[KindSpec]) {
    broker.apply(&Topology::of(&Catalogue::new(kinds.iter().copied()))).await.unwrap();
}

fn ready(broker: &EmbeddedBroker, kind: &str) -> usize {
    broker.held(&queue_of(kind)).map_or(0, |held| held.ready)
}

/// One window with a message that is confirmed, and one that no queue wants.
#[rstest]
#[tokio::test]
async fn what_is_confirmed_leaves_the_outbox_and_what_is_refused_stays_with_its_reason(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
    #[values(Start::Look, Start::Claim)] start: Start,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    let broker = Arc::new(EmbeddedBroker::new(EmbeddedOptions::default()));
    queues(&broker, &[KindSpec::of::<Apple>()]).await;
    let (apple, pear) = (publish(database, &Apple {}).await, publish(database, &Pear {}).await);
    let relay = Relay::new(
        database.clone(),
        Arc::clone(&broker) as Arc<dyn Broker>,
        Doorbell::default(),
        RelayOptions::default(),
    );

    assert!(matches!(relay.round(start).await.unwrap(), Round::Sent { full: false }));
    let left = outbox::of_jobs(test.reopen().await.read(), &[apple, pear]).await.unwrap();
    assert_eq!(left.iter().map(|one| one.job_id).collect::<Vec<_>>(), [pear]);
    assert_eq!((left[0].seq, left[0].sends), (1, 1));
    assert!(left[0].last_error.as_deref().is_some_and(|error| error.contains("pear")), "{left:?}");
    let now = database.clock().now(database.read()).await.unwrap();
    assert!(left[0].due_at > now, "not at once again");
    assert_eq!(ready(&broker, Apple::KIND), 1);

    queues(&broker, &[KindSpec::of::<Apple>(), KindSpec::of::<Pear>()]).await;
    database.clock().advance(Duration::from_secs(3600));
    assert!(matches!(relay.round(start).await.unwrap(), Round::Sent { full: false }));
    assert!(outbox::of_jobs(test.reopen().await.read(), &[pear]).await.unwrap().is_empty());
    assert_eq!((ready(&broker, Apple::KIND), ready(&broker, Pear::KIND)), (1, 1));
}

/// The broker takes nothing, or is gone: nothing of the window is known to be there.
#[rstest]
#[tokio::test]
async fn what_was_not_answered_stays_as_it_was(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    let broker = Arc::new(EmbeddedBroker::new(EmbeddedOptions::default()));
    queues(&broker, &[KindSpec::of::<Apple>()]).await;
    let apple = publish(database, &Apple {}).await;
    let before = outbox::of_jobs(database.read(), &[apple]).await.unwrap();
    let relay = Relay::new(
        database.clone(),
        Arc::clone(&broker) as Arc<dyn Broker>,
        Doorbell::default(),
        RelayOptions::default(),
    );
    broker.block();
    assert!(matches!(relay.round(Start::Look).await, Err(RoundError::Broker(BrokerError::Blocked { .. }))));
    broker.unblock();
    broker.close();
    assert!(matches!(relay.round(Start::Look).await, Err(RoundError::Broker(BrokerError::Closed))));
    assert_eq!(outbox::of_jobs(test.reopen().await.read(), &[apple]).await.unwrap(), before);
}

/// A ring may mean nothing: for a message that is due later, or one that was sent with another round.
#[rstest]
#[tokio::test]
async fn a_round_that_claims_nothing_says_when_to_come_again(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    let broker = Arc::new(EmbeddedBroker::new(EmbeddedOptions::default()));
    queues(&broker, &[KindSpec::of::<Apple>()]).await;
    let relay = Relay::new(
        database.clone(),
        Arc::clone(&broker) as Arc<dyn Broker>,
        Doorbell::default(),
        RelayOptions { window: 2, ..RelayOptions::default() },
    );
    assert!(matches!(relay.round(Start::Claim).await.unwrap(), Round::NothingDue(None)));

    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    let later = Publish::at(now).due_in(Duration::from_secs(60));
    enqueue(&tx, &Apple {}, &later).await.unwrap();
    tx.commit().await.unwrap();
    let round = relay.round(Start::Claim).await.unwrap();
    let Round::NothingDue(Some(wait)) = round else { panic!("{round:?}") };
    assert!(wait > Duration::from_secs(30) && wait <= Duration::from_secs(60), "{wait:?}");
    assert_eq!(ready(&broker, Apple::KIND), 0);

    for _ in 0..3 {
        publish(database, &Apple {}).await;
    }
    assert!(matches!(relay.round(Start::Claim).await.unwrap(), Round::Sent { full: true }));
    assert!(matches!(relay.round(Start::Claim).await.unwrap(), Round::Sent { full: false }));
    assert_eq!(ready(&broker, Apple::KIND), 3);
}

/// Ready means that work gets on, and nobody knows that before the first round.
#[tokio::test]
async fn a_relay_is_not_well_before_it_has_looked_at_the_outbox() {
    let Some(test) = TestDatabase::open(DbBackend::Sqlite).await else { return };
    let broker = Arc::new(EmbeddedBroker::new(EmbeddedOptions::default()));
    let relay = Relay::new(
        test.database().clone(),
        Arc::clone(&broker) as Arc<dyn Broker>,
        Doorbell::default(),
        RelayOptions::default(),
    );
    let health = relay.health();
    assert!(!health.is_good());
    let round = relay.round(Start::Look).await;
    relay.say(&round);
    assert!(health.is_good(), "{:?}", health.conditions());
}

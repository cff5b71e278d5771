//! A broker that forgot, a queue that is gone, a broker of somebody else.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ackord_entities::clock::Moment;
use ackord_entities::database::Database;
use ackord_entities::ids::{Incarnation, JobId};
use ackord_entities::jobs::{Catalogue, Job, KindSpec};
use ackord_entities::queue::outbox::{self, Window};
use ackord_entities::testing::TestDatabase;
use async_trait::async_trait;
use rstest::rstest;
use schemars::JsonSchema;
use sea_orm::DbBackend;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::recall::{Recall, recall};
use super::{Guarded, RecallError, TopologyKeeper, TopologyOptions};
use crate::broker::topology::{Topology, queue_of};
use crate::broker::{Broker, BrokerError, Depth, EmbeddedBroker, EmbeddedOptions};
use crate::{Doorbell, Publish, enqueue};

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

fn topology() -> Topology {
    Topology::of(&Catalogue::new([KindSpec::of::<Apple>(), KindSpec::of::<Pear>()]))
}

fn broker() -> Arc<EmbeddedBroker> {
    Arc::new(EmbeddedBroker::new(EmbeddedOptions::default()))
}

fn keeper(database: &Database, broker: Arc<dyn Broker>, topology: Topology) -> TopologyKeeper {
    let options =
        TopologyOptions { interval: std::time::Duration::from_millis(5), ..TopologyOptions::default() };
    TopologyKeeper::new(database.clone(), broker, topology, Doorbell::default(), options)
}

async fn publish<J: Job>(database: &Database, job: &J) -> JobId {
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    let id = enqueue(&tx, job, &Publish::at(now)).await.unwrap().id;
    tx.commit().await.unwrap();
    id
}

/// What a relay does once the broker has confirmed: answers what was waiting.
async fn send_all(database: &Database) -> Vec<JobId> {
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    let window = Window { messages: 100, of_a_kind: 100, bytes: u32::MAX };
    let due = outbox::claim_due(&tx, Moment::At(now), window, &[]).await.unwrap().due;
    let sent: Vec<_> = due.iter().map(|one| (one.job_id, one.seq)).collect();
    outbox::remove_sent(&tx, &sent).await.unwrap();
    tx.commit().await.unwrap();
    sent.into_iter().map(|(id, _)| id).collect()
}

/// Two jobs whose messages a broker had.
async fn published(database: &Database) -> (JobId, JobId) {
    let jobs = (publish(database, &Apple {}).await, publish(database, &Pear {}).await);
    assert_eq!(send_all(database).await.len(), 2);
    jobs
}

#[rstest]
#[tokio::test]
async fn a_broker_that_lost_its_messages_is_told_them_again_and_one_that_remembers_is_not(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    let (apple, pear) = published(database).await;
    let first = broker();
    assert!(keeper(database, Arc::<EmbeddedBroker>::clone(&first), topology()).first_look().await.unwrap());
    assert_eq!(send_all(database).await, [apple, pear], "nobody knew it yet");
    // Another process, the same broker.
    keeper(&test.reopen().await, first, topology()).first_look().await.unwrap();
    assert_eq!(send_all(database).await, []);
    keeper(database, broker(), topology()).first_look().await.unwrap();
    assert_eq!(send_all(database).await, [apple, pear]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn of_many_processes_that_find_it_forgetful_at_once_one_tells_it(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    published(test.database()).await;
    let broker = broker();
    let mut looks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (database, broker) = (test.database().clone(), Arc::clone(&broker));
        looks.spawn(async move {
            recall(&database, &*broker, &topology(), None, &BTreeSet::new()).await.unwrap()
        });
    }
    let found = looks.join_all().await;
    let told = found.iter().filter(|one| matches!(one, Recall::Told { .. })).count();
    assert_eq!(told, 1, "{found:?}");
}

#[rstest]
#[tokio::test]
async fn only_the_kind_whose_queue_is_gone_is_told_again(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    let broker = broker();
    // A broker on which nobody has made the pears' queue looks like one that lost it.
    let apples = Topology::of(&Catalogue::new([KindSpec::of::<Apple>()]));
    keeper(database, Arc::<EmbeddedBroker>::clone(&broker), apples).first_look().await.unwrap();
    let (_, pear) = published(database).await;
    keeper(database, Arc::<EmbeddedBroker>::clone(&broker), topology()).first_look().await.unwrap();
    assert_eq!(send_all(database).await, [pear]);
    assert!(broker.held(&queue_of(Pear::KIND)).is_some(), "the queue was made");
    keeper(database, broker, topology()).first_look().await.unwrap();
    assert_eq!(send_all(database).await, []);
}

/// A queue that is deleted between the look at it and the declaring must not be made without another look.
#[rstest]
#[tokio::test]
async fn a_queue_that_goes_while_the_broker_is_looked_at_is_told_again_too(
    #[values(DbBackend::Sqlite, DbBackend::Postgres)] backend: DbBackend,
) {
    let Some(test) = TestDatabase::open(backend).await else { return };
    let database = test.database();
    let inner = broker();
    let apples = Topology::of(&Catalogue::new([KindSpec::of::<Apple>()]));
    keeper(database, Arc::<EmbeddedBroker>::clone(&inner), apples).first_look().await.unwrap();
    let (_, pear) = published(database).await;
    let broker = Arc::new(Vanishing { inner: Arc::clone(&inner), was_seen: AtomicBool::new(false) });
    keeper(database, broker, topology()).first_look().await.unwrap();
    assert!(inner.held(&queue_of(Pear::KIND)).is_some(), "the queue was made");
    assert_eq!(send_all(database).await, [pear]);
}

/// A broker on which the queue of the pears is there when it is looked at first, and never again.
struct Vanishing {
    inner: Arc<EmbeddedBroker>,
    was_seen: AtomicBool,
}

#[async_trait]
impl crate::broker::Around for Vanishing {
    fn inner(&self) -> &dyn Broker {
        &*self.inner
    }

    async fn depth(&self, queue: &str) -> Result<Depth, BrokerError> {
        if queue == queue_of(Pear::KIND) && !self.was_seen.swap(true, Ordering::Relaxed) {
            return Ok(Depth { ready: 1, consumers: 0 });
        }
        self.inner.depth(queue).await
    }
}

/// The relay has a confirm in its hands that the broker gave before it lost the message.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_confirm_came_before_the_loss_is_told_again_too() {
    let Some(test) = TestDatabase::postgres().await else { return };
    let database = test.database();
    let job = publish(database, &Apple {}).await;
    let relay = database.begin().await.unwrap();
    let now = database.clock().now(&relay).await.unwrap();
    let window = Window { messages: 10, of_a_kind: 10, bytes: u32::MAX };
    let due = outbox::claim_due(&relay, Moment::At(now), window, &[]).await.unwrap().due;
    assert_eq!(due.len(), 1);
    let told = tokio::spawn({
        let database = database.clone();
        async move { super::reconcile(&database, None, &Doorbell::default()).await.unwrap() }
    });
    // It cannot tell yet whether the row will stay.
    until_waiting(&test.reopen().await).await;
    outbox::remove_sent(&relay, &[(job, 1)]).await.unwrap();
    relay.commit().await.unwrap();
    assert_eq!(told.await.unwrap(), 1);
    assert_eq!(send_all(database).await, [job]);
}

async fn until_waiting(database: &Database) {
    use sea_orm::{ConnectionTrait, Statement};
    let sql =
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let waiting = Statement::from_string(database.backend(), sql);
        if database.read().query_one_raw(waiting).await.unwrap().is_some() {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "nobody waits for the relay's row");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_crash_between_imprint_and_commit_leads_to_another_telling() {
    for test in TestDatabase::each().await {
        let database = test.database();
        let (apple, pear) = published(database).await;
        let broker = Arc::new(Lossy { inner: broker(), breaks: AtomicBool::new(true) });
        // The imprint arrives, its answer does not: nothing is committed.
        let mut keeper = keeper(database, Arc::<Lossy>::clone(&broker), topology());
        assert!(!keeper.first_look().await.unwrap());
        assert_eq!(send_all(database).await, []);
        broker.breaks.store(false, Ordering::Relaxed);
        assert!(keeper.first_look().await.unwrap());
        assert_eq!(send_all(database).await, [apple, pear]);
    }
}

#[tokio::test]
async fn a_broker_that_stayed_while_the_database_went_to_another_one_is_not_told_again_and_again() {
    let test = TestDatabase::sqlite().await;
    let database = test.database();
    published(database).await;
    let (ours, theirs) = (broker(), broker());
    let mut keeper_of_ours = keeper(database, ours, topology());
    keeper_of_ours.first_look().await.unwrap();
    send_all(database).await;
    keeper(database, theirs, topology()).first_look().await.unwrap();
    assert_eq!(send_all(database).await.len(), 2);
    let mut condition = keeper_of_ours.condition();
    let stop = CancellationToken::new();
    let running = tokio::spawn(keeper_of_ours.run(stop.clone()));
    let found = condition.wait_for(|found| found.stranger.is_some()).await.unwrap().clone();
    assert!(found.stranger.unwrap().contains("--broker"));
    assert_eq!(send_all(database).await, []);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_queue_with_other_arguments_refuses_a_start_and_later_costs_its_own_kind_only() {
    let test = TestDatabase::sqlite().await;
    let broker = broker();
    let mut other = topology();
    other.kinds.retain(|kind| kind.kind == Apple::KIND);
    other.kinds[0].delivery_limit = 5;
    broker.apply(&other).await.unwrap();
    let mut keeper = keeper(test.database(), Arc::<EmbeddedBroker>::clone(&broker), topology());
    let refused = keeper.first_look().await.unwrap_err();
    assert!(
        matches!(&refused, RecallError::Broker(BrokerError::Mismatch { queue, .. }) if *queue == queue_of(Apple::KIND)),
        "{refused:?}"
    );
    let condition = keeper.condition().borrow().clone();
    assert!(condition.mismatches[&queue_of(Apple::KIND)].contains('5'), "{condition:?}");
    assert!(!keeper.health().is_good());
    assert!(broker.held(&queue_of(Pear::KIND)).is_some(), "the others go on");

    let guarded = Guarded::new(broker, topology());
    let refused = guarded.consume(&queue_of(Apple::KIND), 1).await.unwrap_err();
    assert!(matches!(&refused, BrokerError::Refused { reason, .. } if reason.contains('5')), "{refused:?}");
    guarded.consume(&queue_of(Pear::KIND), 1).await.unwrap();
    let missing = guarded.consume("ackord.nobody", 1).await.unwrap_err();
    assert!(matches!(missing, BrokerError::NoSuchQueue { .. }), "{missing:?}");
}

/// A broker whose answer to an imprint may be lost.
struct Lossy {
    inner: Arc<EmbeddedBroker>,
    breaks: AtomicBool,
}

#[async_trait]
impl crate::broker::Around for Lossy {
    fn inner(&self) -> &dyn Broker {
        &*self.inner
    }

    async fn imprint(&self, incarnation: Incarnation) -> Result<(), BrokerError> {
        self.inner.imprint(incarnation).await?;
        if self.breaks.load(Ordering::Relaxed) { Err(BrokerError::Closed) } else { Ok(()) }
    }
}

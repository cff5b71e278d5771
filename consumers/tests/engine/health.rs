//! Health is about progress: what waits, what is held, what is stuck, and that it is over again without help. And what an
//! outage costs: no delivery goes back in order to come again.

use std::sync::Arc;
use std::time::Duration;

use ackord_consumers::handler::Outcome;
use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, eventually};
use ackord_consumers::worker::{Worker, WorkerError, WorkerOptions};
use ackord_entities::database::Database;
use ackord_entities::ids::JobId;
use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_producer::broker::topology::{PUBLISH_EXCHANGE, UNROUTABLE};
use ackord_producer::broker::{Broker, Held};
use ackord_producer::health::Condition;
use sea_orm::{ConnectionTrait, DbBackend};

use crate::effects::write_effect;
use crate::kinds::{Hasty, Long, Scripted, Short, Work};
use crate::observed::{Observed, Patient};
use crate::steps::{Gate, all_settled, gated, letter_with, letters, message, quiet};

fn quick() -> WorkerOptions {
    WorkerOptions {
        grace: Duration::from_secs(5),
        watch: Duration::from_millis(20),
        idle_after: Duration::from_millis(60),
        stuck_after: Duration::from_millis(100),
        ..WorkerOptions::default()
    }
}

fn works() -> Registry {
    Registry::new().with(Scripted::<Work>::new())
}

/// A worker behind a broker that is watched.
async fn watched(
    database: TestDatabase,
    registry: Registry,
    options: WorkerOptions,
) -> (Stage, Arc<Observed>, Patient) {
    let stage = quiet(database, registry.clone()).await;
    let broker = Observed::new(Arc::clone(&stage.broker));
    let patient = Patient::start(&stage, &broker, registry, options);
    (stage, broker, patient)
}

fn find(patient: &Patient, name: &str, subject: Option<&str>) -> Option<Condition> {
    let conditions = patient.health.part().conditions();
    conditions.into_iter().find(|one| one.name == name && one.subject.as_deref() == subject)
}

async fn fails(patient: &Patient, name: &str, subject: Option<&str>) -> String {
    eventually(&format!("{name} fails"), async || find(patient, name, subject).filter(|one| !one.ok)?.reason)
        .await
}

async fn all_good(patient: &Patient) {
    eventually("every condition holds again", async || patient.health.part().is_good().then_some(())).await;
}

/// Keeps whoever writes from the database, for as long as it lives.
struct Outage {
    other: Database,
}

impl Outage {
    async fn begin(stage: &Stage) -> Self {
        let other = stage.reopen().await;
        if other.backend() == DbBackend::Postgres {
            read_only(&other, true).await;
        } else {
            for pool in [stage.database.write(), stage.database.read()] {
                pool.execute_unprepared("PRAGMA busy_timeout = 20").await.unwrap();
            }
            other.write().execute_unprepared("BEGIN EXCLUSIVE").await.unwrap();
        }
        Self { other }
    }

    async fn end(self) {
        match self.other.backend() {
            DbBackend::Postgres => read_only(&self.other, false).await,
            _ => drop(self.other.write().execute_unprepared("COMMIT").await.unwrap()),
        }
        self.other.close().await;
    }
}

/// A server that has fallen back to a standby: it reads and does not write. Sessions keep what they began with, so they end;
/// those of `other` too.
async fn read_only(other: &Database, read_only: bool) {
    let statement = format!(
        "SET TRANSACTION READ WRITE; \
         DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {read_only}', current_database()); END $$"
    );
    let end_the_others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                          WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for statement in [statement.as_str(), end_the_others] {
        // A connection of the pool may have been ended by the time before.
        eventually("the server is told", async || other.write().execute_unprepared(statement).await.ok())
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_stops_without_a_word_is_noticed_and_started_again() {
    let stage = quiet(TestDatabase::sqlite().await, works()).await;
    let broker = Observed::new(Arc::clone(&stage.broker));
    broker.fall_silent();
    let patient = Patient::start(&stage, &broker, works(), quick());
    eventually("there is a consumer", async || (broker.consumers() > 0).then_some(())).await;
    let id = JobId::new();
    stage.deliver(message(id, None, &Work::new("tea"))).await;
    let reason = fails(&patient, "taken", Some("work")).await;
    assert!(reason.contains("1 messages wait"), "{reason}");
    assert!(!patient.health.condition().takes_work());
    let silent = broker.consumers();
    broker.speak();
    assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
    assert!(broker.consumers() > silent, "another consumer was started");
    assert_eq!(broker.deliveries(), 1);
    all_good(&patient).await;
    patient.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_whose_slots_are_taken_is_not_taken_for_silent() {
    let gate = Gate::new();
    let registry = Registry::new().with(gated::<Work>(&gate));
    // Three attempts of a minute get through in the broker's patience.
    let options = WorkerOptions {
        concurrency: [("work".to_owned(), 1)].into(),
        consumer_timeout: Duration::from_secs(210),
        ..quick()
    };
    let (stage, broker, patient) = watched(TestDatabase::sqlite().await, registry, options).await;
    for number in 0..10 {
        let id = JobId::new();
        stage.deliver(message(id, None, &Work::new(&number.to_string()))).await;
    }
    gate.entered().await;
    // More looks than a silent consumer would survive.
    broker.looked_at(20).await;
    assert_eq!(broker.deliveries(), 1, "a consumer begins with what can be under way");
    gate.open(1);
    gate.entered().await;
    eventually("it holds as many as get through in time", async || (broker.deliveries() == 4).then_some(()))
        .await;
    broker.looked_at(20).await;
    assert_eq!(broker.deliveries(), 4);
    gate.open(9);
    all_settled::<Work>(&stage).await;
    assert_eq!(broker.consumers(), 1, "nobody was taken for silent");
    assert_eq!(broker.deliveries(), 10);
    patient.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_database_costs_no_redeliveries() {
    for database in TestDatabase::each().await {
        let (stage, broker, patient) = watched(database, works(), quick()).await;
        all_good(&patient).await;
        let outage = Outage::begin(&stage).await;
        // Foreign ids have to be written before anything else.
        for number in 0..5 {
            stage.deliver(message(format!("order-{number}"), None, &Work::new("tea"))).await;
        }
        fails(&patient, "database", None).await;
        fails(&patient, "read", Some("work")).await;
        assert!(!patient.health.condition().takes_work());
        outage.end().await;
        all_settled::<Work>(&stage).await;
        assert_eq!((broker.deliveries(), broker.consumers()), (5, 1), "each came once");
        assert!(letters(&stage).await.is_empty());
        all_good(&patient).await;
        patient.stopped().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_that_outlasts_the_hold_closes_the_consumer_once() {
    for database in TestDatabase::each().await {
        let options = WorkerOptions { hold: Duration::from_millis(100), ..quick() };
        let (stage, broker, patient) = watched(database, works(), options).await;
        all_good(&patient).await;
        let outage = Outage::begin(&stage).await;
        for number in 0..5 {
            stage.deliver(message(format!("order-{number}"), None, &Work::new("tea"))).await;
        }
        eventually("what was held went back to the queue", async || {
            let depth = stage.broker.depth("ackord.work").await.ok()?;
            (broker.deliveries() == 5 && depth.ready == 5).then_some(())
        })
        .await;
        assert_eq!(broker.consumers(), 1, "no other consumer while the database is away");
        outage.end().await;
        all_settled::<Work>(&stage).await;
        assert_eq!((broker.deliveries(), broker.consumers()), (10, 2), "each came back once");
        all_good(&patient).await;
        patient.stopped().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_cannot_be_kept_stays_with_the_broker() {
    for database in TestDatabase::each().await {
        let (stage, _, patient) = watched(database, works(), quick()).await;
        all_good(&patient).await;
        let outage = Outage::begin(&stage).await;
        let nobodys = message(JobId::new(), None, &Short::new("tea"));
        stage.broker.publish(PUBLISH_EXCHANGE, &[nobodys]).await.unwrap();
        fails(&patient, "archive", Some(UNROUTABLE)).await;
        assert_eq!(stage.broker.held(UNROUTABLE).unwrap(), Held { unsettled: 1, ..Held::default() });
        outage.end().await;
        letter_with(&stage, Reason::Unroutable).await;
        eventually("it is settled", async || {
            (stage.broker.held(UNROUTABLE)? == Held::default()).then_some(())
        })
        .await;
        all_good(&patient).await;
        patient.stopped().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_work_waits_for_its_commit_over_an_outage_and_is_not_performed_again() {
    for database in TestDatabase::each().await {
        let (gate, calls) = (Gate::new(), crate::kinds::Calls::default());
        let handler = Scripted::<Work>::new().perform({
            let (gate, calls) = (gate.clone(), calls.clone());
            move |turn, _| {
                let gate = gate.clone();
                calls.count(&turn.job.note);
                Box::pin(async move {
                    gate.pass().await;
                    Ok(turn.job.note.clone())
                })
            }
        });
        let registry = Registry::new().with(handler);
        let (stage, broker, patient) = watched(database, registry, quick()).await;
        let id = JobId::new();
        stage.deliver(message(id, None, &Work::new("tea"))).await;
        gate.entered().await;
        let outage = Outage::begin(&stage).await;
        gate.open(1);
        fails(&patient, "database", None).await;
        fails(&patient, "commit", Some("work")).await;
        outage.end().await;
        assert_eq!(stage.ended(id).await.attempt, 1);
        all_settled::<Work>(&stage).await;
        assert_eq!((calls.of("tea"), broker.deliveries()), (1, 1));
        all_good(&patient).await;
        patient.stopped().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_stuck_is_said_and_over_when_it_is_through() {
    let gate = Gate::new();
    let handler = Scripted::<Short>::new().commit({
        let gate = gate.clone();
        move |turn, tx| {
            let gate = gate.clone();
            Box::pin(async move {
                write_effect(tx, turn.id, &turn.job.note).await?;
                gate.pass().await;
                Ok(Outcome::succeeded())
            })
        }
    });
    let registry = Registry::new().with(handler);
    let (stage, _, patient) = watched(TestDatabase::sqlite().await, registry, quick()).await;
    let id = JobId::new();
    stage.deliver(message(id, None, &Short::new("tea"))).await;
    gate.entered().await;
    let reason = fails(&patient, "commit", Some("short")).await;
    assert!(reason.contains("a commit runs for"), "{reason}");
    assert!(!patient.health.condition().takes_work());
    gate.open(1);
    assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
    all_good(&patient).await;
    patient.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_and_a_closed_broker_are_said_and_told_apart() {
    let (stage, _, patient) = watched(TestDatabase::sqlite().await, works(), quick()).await;
    all_good(&patient).await;
    stage.broker.block();
    let blocked = fails(&patient, "broker", None).await;
    stage.broker.unblock();
    all_good(&patient).await;
    stage.broker.close();
    let closed = fails(&patient, "broker", None).await;
    assert_ne!(blocked, closed);
    let reason = fails(&patient, "consumer", Some("work")).await;
    assert!(reason.contains("closed"), "{reason}");
    patient.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_takes_nothing_ahead_holds_no_more_than_it_has_slots_for() {
    let gate = Gate::new();
    let registry = Registry::new().with(gated::<Long>(&gate));
    // An attempt may take as long as the broker is patient, so a delivery must not wait for a slot.
    let options = WorkerOptions {
        concurrency: [("long".to_owned(), 2)].into(),
        consumer_timeout: Duration::from_secs(60),
        ..quick()
    };
    let (stage, broker, patient) = watched(TestDatabase::sqlite().await, registry, options).await;
    let ids: Vec<_> = (0..6).map(|_| JobId::new()).collect();
    for id in &ids {
        stage.deliver(message(*id, None, &Long::new("tea"))).await;
    }
    for round in 1..=3 {
        gate.entered().await;
        gate.entered().await;
        let depth = stage.broker.depth("ackord.long").await.unwrap();
        assert_eq!((broker.deliveries(), depth.ready), (2 * round, 6 - 2 * round));
        gate.open(2);
    }
    for id in ids {
        assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
    }
    assert_eq!((broker.deliveries(), broker.consumers()), (6, 1), "nothing went back");
    patient.stopped().await;
}

#[tokio::test]
async fn a_kind_that_the_broker_would_never_let_finish_is_refused_at_the_start() {
    let registry = Registry::new().with(Scripted::<Work>::new()).with(Scripted::<Hasty>::new());
    let stage = quiet(TestDatabase::sqlite().await, registry.clone()).await;
    let options = WorkerOptions { consumer_timeout: Duration::from_secs(30), ..quick() };
    let broker: Arc<dyn Broker> = Arc::clone(&stage.broker) as Arc<dyn Broker>;
    let refused =
        Worker::new(stage.database.clone(), broker, registry, stage.doorbell.clone(), options).err().unwrap();
    assert!(matches!(refused, WorkerError::TooSlow(ref slow) if slow.kind == "work"), "{refused}");
}

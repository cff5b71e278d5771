//! The archive: what the broker gave up by itself, and what found no queue, is kept with its cause.

use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, StageOptions, eventually};
use ackord_consumers::worker::WorkerOptions;
use ackord_entities::envelope::Message;
use ackord_entities::ids::JobId;
use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::job::Origin;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_producer::broker::topology::{
    DEAD_LETTERS, DELIVERY_LIMIT, PUBLISH_EXCHANGE, UNROUTABLE, queue_of,
};
use ackord_producer::broker::{Broker, Held};

use crate::kinds::{Scripted, Short, Work};
use crate::steps::{
    Gate, effects_of, letter_with, letters, letters_of, message, permanent, quiet, reasons, staged,
    transient, waiting,
};

async fn is_empty(stage: &Stage, queue: &str) {
    eventually("the queue is empty", async || (stage.broker.held(queue)? == Held::default()).then_some(()))
        .await;
}

/// Lets the broker give the kind's first message up, as it does after too many deaths of workers.
async fn over_the_limit<J: ackord_entities::jobs::Job>(stage: &Stage) {
    let mut consumer = stage.broker.consume(&queue_of(J::KIND), 1).await.unwrap();
    for _ in 0..=DELIVERY_LIMIT {
        let delivery = consumer.deliveries.recv().await.unwrap();
        assert!(consumer.settler.requeue(delivery.tag));
    }
}

/// Hands the kind's first message over so often that it is given up the next time that a worker is lost with it.
async fn at_the_limit<J: ackord_entities::jobs::Job>(stage: &Stage) {
    let mut consumer = stage.broker.consume(&queue_of(J::KIND), 1).await.unwrap();
    for times in 1..=DELIVERY_LIMIT {
        let delivery = consumer.deliveries.recv().await.unwrap();
        if times == DELIVERY_LIMIT {
            consumer.settler.set_prefetch(0);
        }
        assert!(consumer.settler.requeue(delivery.tag));
    }
}

/// Sends what is due, and nothing else.
async fn relayed(stage: &Stage, id: JobId) {
    let stop = tokio_util::sync::CancellationToken::new();
    let relay = ackord_producer::relay::Relay::new(
        stage.database.clone(),
        std::sync::Arc::clone(&stage.broker) as std::sync::Arc<dyn Broker>,
        stage.doorbell.clone(),
        ackord_producer::relay::RelayOptions::default(),
    );
    let relay = tokio::spawn(relay.run(stop.clone()));
    eventually("the message is with the broker", async || waiting(stage, id).await.is_none().then_some(()))
        .await;
    stop.cancel();
    relay.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_gave_up_ends_its_job() {
    for database in TestDatabase::each().await {
        let mut stage = quiet(database, Registry::new().with(Scripted::<Work>::new())).await;
        let id = stage.publish(&Work::new("tea")).await;
        relayed(&stage, id).await;
        over_the_limit::<Work>(&stage).await;
        stage.start(StageOptions::default());
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.error_code.as_deref()), (JobState::Dead, Some("delivery_limit")));
        let letters = letters_of(&stage, id).await;
        assert_eq!(reasons(&letters), [Reason::DeliveryLimit]);
        assert_eq!(letters[0].queue.as_deref(), Some("ackord.work"));
        assert_eq!(letters[0].body, br#"{"note":"tea"}"#);
        assert_eq!(effects_of(&stage, id).await, ["abandoned: delivery_limit"]);
        is_empty(&stage, DEAD_LETTERS).await;
        stage.stop().await;
    }
}

/// Its worker has lost the channel and works on.
#[tokio::test(flavor = "multi_thread")]
async fn a_direct_message_that_the_broker_gave_up_is_a_job_that_has_ended_when_a_late_worker_commits() {
    for database in TestDatabase::each().await {
        let gate = Gate::new();
        let handler = Scripted::<Work>::new().perform({
            let gate = gate.clone();
            move |_, _| {
                let gate = gate.clone();
                Box::pin(async move {
                    gate.pass().await;
                    Ok("late".to_owned())
                })
            }
        });
        let mut stage = quiet(database, Registry::new().with(handler)).await;
        let id = JobId::new();
        stage.deliver(message(id, None, &Work::new("tea"))).await;
        at_the_limit::<Work>(&stage).await;
        stage.start(StageOptions::default());
        gate.entered().await;
        stage.broker.close_consumers();
        let dead = stage.ended(id).await;
        assert_eq!(
            (dead.state, dead.origin, dead.error_code.as_deref()),
            (JobState::Dead, Origin::Direct, Some("delivery_limit"))
        );
        gate.open(1);
        // A drain waits for what is performed, and for its commit.
        stage.stop().await;
        assert_eq!(stage.job(id).await, dead);
        let letters = letters_of(&stage, id).await;
        assert_eq!(reasons(&letters), [Reason::DeliveryLimit]);
        assert_eq!((letters[0].seq, &letters[0].body[..]), (Some(1), &br#"{"note":"tea"}"#[..]));
        assert_eq!(effects_of(&stage, id).await, ["abandoned: delivery_limit"]);
    }
}

/// The same bytes once more under their right routing key are a job.
#[tokio::test(flavor = "multi_thread")]
async fn what_found_no_queue_is_kept_and_takes_no_id() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, Registry::new().with(Scripted::<Work>::new())).await;
        let id = JobId::new();
        let sent = message(id, None, &Work::new("tea"));
        // The embedded broker routes by the kind: as if another routing key had brought it here.
        let stray = Message { kind: Some("wrok".to_owned()), ..sent.clone() };
        stage.broker.publish(PUBLISH_EXCHANGE, &[stray]).await.unwrap();
        letter_with(&stage, Reason::Unroutable).await;
        stage.broker.publish(PUBLISH_EXCHANGE, &[sent]).await.unwrap();
        assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_seq_moved_on_is_not_changed_by_an_old_message() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Work>::new().perform(|turn, _| {
            Box::pin(
                async move { if turn.attempt == 1 { Err(transient("busy")) } else { Ok("fine".to_owned()) } },
            )
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = stage.publish(&Work::new("tea")).await;
        let job = stage.ended(id).await;
        stage.stop().await;
        stage.deliver(message(id, Some(1), &Work::new("tea"))).await;
        over_the_limit::<Work>(&stage).await;
        stage.start(StageOptions::default());
        is_empty(&stage, DEAD_LETTERS).await;
        assert_eq!(stage.job(id).await, job);
        assert!(letters(&stage).await.is_empty());
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_finds_no_queue_is_kept() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, Registry::new().with(Scripted::<Work>::new())).await;
        let id = JobId::new();
        let stray = Message { kind: Some("wrok".to_owned()), ..message(id, None, &Work::new("tea")) };
        stage.broker.publish(PUBLISH_EXCHANGE, &[stray.clone(), stray]).await.unwrap();
        let letter = letter_with(&stage, Reason::Unroutable).await;
        assert_eq!((letter.kind.as_deref(), letter.job_id), (Some("wrok"), Some(id)));
        is_empty(&stage, UNROUTABLE).await;
        assert_eq!(letters(&stage).await.len(), 1, "the same bytes are kept once");
        let unnamed = Message { kind: None, message_id: None, ..message(id, None, &Work::new("tea")) };
        stage.broker.publish(PUBLISH_EXCHANGE, &[unnamed]).await.unwrap();
        eventually("it is kept as well", async || (letters(&stage).await.len() == 2).then_some(())).await;
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_our_worker_wrote_are_not_doubled_and_stay_queued_without_an_archive() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Short>::new().commit(|_, _| Box::pin(async { Err(permanent("lost")) }));
        let mut stage = quiet(database, Registry::new().with(handler)).await;
        let worker = WorkerOptions { archive: false, ..StageOptions::default().worker };
        stage.start(StageOptions { worker, ..StageOptions::default() });
        let mut ids = Vec::new();
        for number in 0..10 {
            ids.push(stage.publish(&Short::new(&number.to_string())).await);
        }
        for id in &ids {
            stage.ended(*id).await;
        }
        eventually("they lie in the dead-letter queue", async || {
            (stage.broker.held(DEAD_LETTERS)?.ready == 10).then_some(())
        })
        .await;
        stage.stop().await;
        stage.start(StageOptions::default());
        is_empty(&stage, DEAD_LETTERS).await;
        let letters = letters(&stage).await;
        assert_eq!(letters.len(), 10);
        assert!(letters.iter().all(|letter| letter.reason == Reason::Permanent));
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stranger_rejected_is_kept_and_ends_its_job() {
    for database in TestDatabase::each().await {
        let mut stage = quiet(database, Registry::new().with(Scripted::<Work>::new())).await;
        let id = stage.publish(&Work::new("tea")).await;
        relayed(&stage, id).await;
        let mut consumer = stage.broker.consume(&queue_of("work"), 1).await.unwrap();
        let delivery = consumer.deliveries.recv().await.unwrap();
        assert!(consumer.settler.reject(delivery.tag));
        drop(consumer);
        stage.start(StageOptions::default());
        assert_eq!(stage.ended(id).await.state, JobState::Dead);
        assert_eq!(reasons(&letters_of(&stage, id).await), [Reason::Rejected]);
        stage.stop().await;
    }
}

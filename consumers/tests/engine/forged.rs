//! Messages of publishers who write a fence of their own: whoever may publish past `enqueue` knows ids and can guess numbers.

use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, StageOptions, eventually};
use ackord_entities::envelope::{Message, SEQ_HEADER};
use ackord_entities::ids::JobId;
use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::job::Origin;
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_producer::broker::topology::{DEAD_LETTERS, DELIVERY_LIMIT, PUBLISH_EXCHANGE, queue_of};
use ackord_producer::broker::{Broker, Confirm, Held};

use crate::kinds::{Long, Noted, Scripted, Short, Work};
use crate::steps::{
    advance, effects_of, letters, letters_of, message, publish_with, quiet, reasons, staged, transient,
};

/// Publishes as whoever is not the relay has to.
async fn publish(stage: &Stage, message: Message) {
    let confirms = stage.broker.publish(PUBLISH_EXCHANGE, &[message]).await.unwrap();
    assert_eq!(confirms, [Confirm::Confirmed]);
}

async fn settled(stage: &Stage, kind: &str) {
    for queue in [queue_of(kind), DEAD_LETTERS.to_owned()] {
        eventually("the message is settled", async || {
            (stage.broker.held(&queue)? == Held::default()).then_some(())
        })
        .await;
    }
}

async fn due_in_an_hour<J: Noted>(stage: &Stage, job: &J) -> JobId {
    publish_with(stage, job, |publish| publish.due_in(std::time::Duration::from_secs(3600))).await.id
}

/// One job of the kind waits; a message with its id and its fence brings another payload.
async fn is_not_taken_in<J: Noted>(stage: &Stage, job: &J, forged: &J) {
    let id = due_in_an_hour(stage, job).await;
    publish(stage, message(id, Some(1), forged)).await;
    settled(stage, J::KIND).await;
    let letters = letters_of(stage, id).await;
    assert_eq!(reasons(&letters), [Reason::NotAccepted], "{}", J::KIND);
    assert_eq!(letters[0].seq, None);
    assert!(letters[0].headers.contains(SEQ_HEADER), "{}", letters[0].headers);
    assert_eq!(stage.job(id).await.state, JobState::Pending, "{}", J::KIND);
    advance(stage, 3601);
    assert_eq!(stage.ended(id).await.state, JobState::Succeeded, "{}", J::KIND);
    assert_eq!(effects_of(stage, id).await, ["tea"], "{}", J::KIND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_fence_does_not_change_the_payload_that_is_performed() {
    for database in TestDatabase::each().await {
        let registry = Registry::new()
            .with(Scripted::<Short>::new())
            .with(Scripted::<Work>::new())
            .with(Scripted::<Long>::new());
        let mut stage = staged(database, registry).await;
        is_not_taken_in(&stage, &Short::new("tea"), &Short::new("forged")).await;
        is_not_taken_in(&stage, &Work::new("tea"), &Work::new("forged")).await;
        is_not_taken_in(&stage, &Long::new("tea"), &Long::new("forged")).await;
        stage.stop().await;
    }
}

/// The broker gives it up before a worker has seen it: the archive is not taken in either.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_fence_does_not_end_a_job_by_dying() {
    for database in TestDatabase::each().await {
        let mut stage = quiet(database, Registry::new().with(Scripted::<Work>::new())).await;
        let id = due_in_an_hour(&stage, &Work::new("tea")).await;
        publish(&stage, message(id, Some(1), &Work::new("forged"))).await;
        let mut consumer = stage.broker.consume(&queue_of("work"), 1).await.unwrap();
        for _ in 0..=DELIVERY_LIMIT {
            let delivery = consumer.deliveries.recv().await.unwrap();
            assert!(consumer.settler.requeue(delivery.tag));
        }
        drop(consumer);
        stage.start(StageOptions::default());
        settled(&stage, "work").await;
        assert_eq!(reasons(&letters_of(&stage, id).await), [Reason::DeliveryLimit]);
        assert_eq!(stage.job(id).await.state, JobState::Pending);
        advance(&stage, 3601);
        assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
        assert_eq!(effects_of(&stage, id).await, ["tea"]);
        stage.stop().await;
    }
}

/// Its own id is a publisher's to use: the first message makes the job, and the fence keeps all others off.
#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_fence_on_a_direct_publish_is_as_good_as_none() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Work>::new().perform(|turn, _| {
            let note = turn.job.note().to_owned();
            let first = turn.attempt == 1;
            Box::pin(async move { if first { Err(transient("busy")) } else { Ok(note) } })
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = JobId::new();
        publish(&stage, message(id, Some(9), &Work::new("tea"))).await;
        // Whichever of these come while its retry waits, they are stale.
        for seq in [1, 2, 3] {
            publish(&stage, message(id, Some(seq), &Work::new("forged"))).await;
        }
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.origin, job.seq), (JobState::Succeeded, Origin::Direct, 2));
        settled(&stage, "work").await;
        assert_eq!(effects_of(&stage, id).await, ["tea"]);
        assert!(letters(&stage).await.is_empty());
        stage.stop().await;
    }
}

//! What a delivery means: every row of the table of the fence, from the broker to the database and back.

use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, eventually};
use ackord_entities::envelope::Message;
use ackord_entities::ids::JobId;
use ackord_entities::queue::dead_letter::Reason;
use ackord_entities::queue::job::{self, Origin};
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_producer::broker::Held;
use ackord_producer::broker::topology::{DEAD_LETTERS, queue_of};

use crate::kinds::{Calls, Long, Scripted, Short, Strict, Work};
use crate::steps::{
    effects_of, letter_with, letters, letters_of, message, permanent, reasons, staged, transient,
};

fn registry() -> Registry {
    Registry::new()
        .with(Scripted::<Short>::new())
        .with(Scripted::<Strict>::new())
        .with(Scripted::<Work>::new())
        .with(Scripted::<Long>::new())
}

/// Delivers `message` and waits until it was answered.
async fn deliver(stage: &Stage, message: Message) {
    let kind = message.kind.clone().unwrap();
    stage.deliver(message).await;
    for queue in [queue_of(&kind), DEAD_LETTERS.to_owned()] {
        eventually("the message is settled", async || {
            (stage.broker.held(&queue)? == Held::default()).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_delivery_of_a_finished_job_has_no_effect() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, registry()).await;
        let (short, work, long) = (Short::new("tea"), Work::new("tea"), Long::new("tea"));
        let ids = [stage.publish(&short).await, stage.publish(&work).await, stage.publish(&long).await];
        let mut before = Vec::new();
        for id in ids {
            before.push(stage.ended(id).await);
        }
        deliver(&stage, message(ids[0], Some(1), &short)).await;
        deliver(&stage, message(ids[1], Some(1), &work)).await;
        deliver(&stage, message(ids[2], Some(1), &long)).await;
        deliver(&stage, message(ids[2], Some(2), &long)).await;
        for (id, before) in ids.into_iter().zip(before) {
            assert_eq!(stage.job(id).await, before);
            assert_eq!(effects_of(&stage, id).await, ["tea"]);
        }
        assert!(letters(&stage).await.is_empty());
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_a_lower_seq_than_its_row_is_stale() {
    for database in TestDatabase::each().await {
        let calls = Calls::default();
        let handler = Scripted::<Work>::new().perform({
            let calls = calls.clone();
            move |turn, _| {
                calls.count(&turn.job.note);
                Box::pin(async move {
                    if turn.attempt == 1 { Err(transient("busy")) } else { Ok("fine".to_owned()) }
                })
            }
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let job = Work::new("tea");
        let id = stage.publish(&job).await;
        assert_eq!(stage.ended(id).await.seq, 2);
        deliver(&stage, message(id, Some(1), &job)).await;
        assert_eq!(effects_of(&stage, id).await, ["fine"]);
        assert_eq!(calls.of("tea"), 2, "what is stale is dropped before any work is done");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_message_of_a_dead_job_is_rejected_again_without_a_second_letter() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Work>::new().perform(|_, _| Box::pin(async { Err(permanent("lost")) }));
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let job = Work::new("tea");
        let id = stage.publish(&job).await;
        let dead = stage.ended(id).await;
        deliver(&stage, message(id, Some(dead.seq), &job)).await;
        assert_eq!(stage.job(id).await, dead);
        assert_eq!(reasons(&letters_of(&stage, id).await), [Reason::Permanent]);
        assert_eq!(effects_of(&stage, id).await, ["abandoned: lost"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_ahead_of_its_row_is_given_up_and_the_row_is_left_alone() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, registry()).await;
        let job = Short::new("tea");
        let id = stage.publish(&job).await;
        let before = stage.ended(id).await;
        deliver(&stage, message(id, Some(5), &job)).await;
        let letters = letters_of(&stage, id).await;
        assert_eq!(reasons(&letters), [Reason::AheadOfRow]);
        assert_eq!(letters[0].seq, Some(5));
        assert_eq!(stage.job(id).await, before);
        assert_eq!(effects_of(&stage, id).await, ["tea"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_job_is_gone_is_orphaned() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, registry()).await;
        let id = JobId::new();
        deliver(&stage, message(id, Some(1), &Short::new("tea"))).await;
        deliver(&stage, message("no job id", Some(1), &Short::new("tea"))).await;
        let letters = letters(&stage).await;
        assert_eq!(reasons(&letters), [Reason::Orphaned, Reason::Orphaned]);
        assert!(job::find(stage.database.read(), id).await.unwrap().is_none());
        assert!(effects_of(&stage, id).await.is_empty());
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_publish_makes_its_row_and_a_second_one_has_no_effect() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, registry()).await;
        for kind in 0..3 {
            let id = JobId::new();
            let direct = match kind {
                0 => message(id, None, &Short::keyed("tea", "unused")),
                1 => message(id, None, &Work::new("tea")),
                _ => message(id, None, &Long::new("tea")),
            };
            deliver(&stage, direct.clone()).await;
            let job = stage.ended(id).await;
            assert_eq!((job.state, job.origin), (JobState::Succeeded, Origin::Direct));
            deliver(&stage, direct).await;
            assert_eq!(stage.job(id).await, job);
            assert_eq!(effects_of(&stage, id).await, ["tea"]);
        }
        assert!(letters(&stage).await.is_empty());
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_publish_that_fails_is_retried_under_its_own_row() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Work>::new().perform(|turn, _| {
            Box::pin(
                async move { if turn.attempt == 1 { Err(transient("busy")) } else { Ok("fine".to_owned()) } },
            )
        });
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = JobId::new();
        deliver(&stage, message(id, None, &Work::new("tea"))).await;
        let job = stage.ended(id).await;
        assert_eq!((job.state, job.attempt, job.seq), (JobState::Succeeded, 2, 2));
        assert_eq!(effects_of(&stage, id).await, ["fine"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_message_is_not_accepted_by_a_kind_that_does_not_want_it() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, registry()).await;
        let id = JobId::new();
        deliver(&stage, message(id, None, &Strict::new("tea"))).await;
        assert_eq!(reasons(&letters_of(&stage, id).await), [Reason::NotAccepted]);
        assert!(job::find(stage.database.read(), id).await.unwrap().is_none());
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_message_never_stands_for_an_enqueued_job_and_does_not_take_its_letter() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Short>::new().commit(|_, _| Box::pin(async { Err(permanent("lost")) }));
        let mut stage = staged(database, Registry::new().with(handler)).await;
        let id = crate::steps::publish_with(&stage, &Short::new("tea"), |publish| {
            publish.due_in(std::time::Duration::from_secs(3600))
        })
        .await
        .id;
        deliver(&stage, message(id, None, &Short::new("forged"))).await;
        assert_eq!(reasons(&letters_of(&stage, id).await), [Reason::NotAccepted]);
        assert_eq!(stage.job(id).await.state, JobState::Pending);
        crate::steps::advance(&stage, 3601);
        stage.ended(id).await;
        let letters = letters_of(&stage, id).await;
        assert_eq!(
            reasons(&letters),
            [Reason::NotAccepted, Reason::Permanent],
            "the job has a letter of its own"
        );
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_message_id_is_one_job_for_ever() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, registry()).await;
        let foreign = message("order-4711", None, &Work::new("tea"));
        deliver(&stage, foreign.clone()).await;
        deliver(&stage, foreign).await;
        // The same name under another kind is another job.
        deliver(&stage, message("order-4711", None, &Short::new("cake"))).await;
        let filter = job::Filter { kind: Some("work".to_owned()), ..job::Filter::default() };
        let jobs = job::list(stage.database.read(), &filter, 10).await.unwrap();
        let direct: Vec<_> = jobs.into_iter().filter(|job| job.origin == Origin::Direct).collect();
        assert_eq!(direct.len(), 1);
        assert_eq!(stage.ended(direct[0].id).await.state, JobState::Succeeded);
        assert_eq!(effects_of(&stage, direct[0].id).await, ["tea"]);
        assert!(letters(&stage).await.is_empty());
        stage.stop().await;
    }
}

/// A publisher that uses one id for messages of two kinds must hear that the second did not happen.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_bears_the_id_of_another_kinds_job_is_given_up() {
    for database in TestDatabase::each().await {
        let mut stage = staged(database, registry()).await;
        let id = JobId::new();
        deliver(&stage, message(id, None, &Short::new("tea"))).await;
        stage.ended(id).await;
        deliver(&stage, message(id, None, &Work::new("cake"))).await;
        let letter = letter_with(&stage, Reason::NotAccepted).await;
        assert_eq!(letter.kind.as_deref(), Some("work"));
        assert_eq!(effects_of(&stage, id).await, ["tea"]);
        stage.stop().await;
    }
}

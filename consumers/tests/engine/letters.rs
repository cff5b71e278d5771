//! Dead letters and what operators do with them.

use ackord_consumers::registry::Registry;
use ackord_consumers::testing::{Stage, eventually};
use ackord_entities::ids::{DeadLetterId, JobId};
use ackord_entities::queue::audit;
use ackord_entities::queue::dead_letter::{LetterState, Reason};
use ackord_entities::queue::state::JobState;
use ackord_entities::testing::TestDatabase;
use ackord_producer::operate::{self, Edit, ReplayError, Replayed};

use crate::kinds::{Scripted, Short, Versioned, Work};
use crate::steps::{
    effects_of, in_transaction, letter_with, letters_of, operator, permanent, publish_with, raw, reasons,
    staged,
};

/// Refuses the note `bad`.
fn picky() -> Scripted<Short> {
    Scripted::<Short>::new().commit(|turn, tx| {
        Box::pin(async move {
            if turn.job.note == "bad" {
                return Err(permanent("bad"));
            }
            crate::effects::write_effect(tx, turn.id, &turn.job.note).await?;
            Ok(ackord_consumers::handler::Outcome::succeeded())
        })
    })
}

async fn replay(
    stage: &Stage,
    registry: &Registry,
    id: DeadLetterId,
    edited: Option<&str>,
) -> Result<Replayed, ReplayError> {
    let tx = stage.database.begin().await.unwrap();
    let now = stage.database.clock().now(&tx).await.unwrap();
    let edit = edited.map_or(Edit::None, Edit::Payload);
    let answer = operate::replay(&tx, &registry.catalogue(), id, edit, &operator(), now).await;
    if answer.is_ok() {
        tx.commit().await.unwrap();
        stage.doorbell.ring();
    } else {
        tx.rollback().await.unwrap();
    }
    answer
}

async fn dead(stage: &Stage, id: JobId) -> DeadLetterId {
    assert_eq!(stage.ended(id).await.state, JobState::Dead);
    letters_of(stage, id).await.pop().unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_letter_keeps_its_job_and_the_effect_happens_once() {
    for database in TestDatabase::each().await {
        let registry = Registry::new().with(picky());
        let mut stage = staged(database, registry.clone()).await;
        let id = stage.publish(&Short::new("bad")).await;
        let letter = dead(&stage, id).await;
        let replayed = replay(&stage, &registry, letter, Some(r#"{"note":"good"}"#)).await.unwrap();
        assert_eq!((replayed.job, replayed.seq), (id, 2));
        let job = eventually("the replay succeeds", async || {
            let job = stage.job(id).await;
            (job.state == JobState::Succeeded).then_some(job)
        })
        .await;
        assert_eq!((job.attempt, job.seq, job.payload.as_str()), (2, 2, r#"{"note":"good"}"#));
        assert_eq!(effects_of(&stage, id).await, ["abandoned: bad", "good"]);
        let letter = letters_of(&stage, id).await.pop().unwrap();
        assert_eq!(
            (letter.state, letter.body.as_slice()),
            (LetterState::Replayed, br#"{"note":"bad"}"#.as_slice())
        );
        assert_eq!(letter.edited_payload.as_deref(), Some(r#"{"note":"good"}"#));
        assert_eq!(letter.resolved_by.as_deref(), Some("ada"));
        let twice = replay(&stage, &registry, letter.id, None).await.unwrap_err();
        assert!(matches!(twice, ReplayError::NotOpen { .. }), "{twice}");
        let deeds = audit::of_subject(stage.database.read(), &id.to_string()).await.unwrap();
        assert_eq!(deeds.iter().map(|deed| deed.verb.as_str()).collect::<Vec<_>>(), ["replay"]);
        assert_eq!(deeds[0].reason.as_deref(), Some("a test"));
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_fails_again_makes_another_letter() {
    for database in TestDatabase::each().await {
        let registry = Registry::new().with(picky());
        let mut stage = staged(database, registry.clone()).await;
        let id = stage.publish(&Short::new("bad")).await;
        let first = dead(&stage, id).await;
        replay(&stage, &registry, first, None).await.unwrap();
        eventually("it is dead again", async || {
            (letters_of(&stage, id).await.len() == 2 && stage.job(id).await.state == JobState::Dead)
                .then_some(())
        })
        .await;
        let letters = letters_of(&stage, id).await;
        assert_eq!((letters[0].seq, letters[1].seq), (Some(1), Some(2)));
        assert_eq!((letters[0].state, letters[1].state), (LetterState::Replayed, LetterState::Open));
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_does_not_fit_is_refused_and_nothing_is_changed() {
    for database in TestDatabase::each().await {
        let registry = Registry::new().with(picky());
        let mut stage = staged(database, registry.clone()).await;
        let id = stage.publish(&Short::new("bad")).await;
        let letter = dead(&stage, id).await;
        let refused = replay(&stage, &registry, letter, Some(r#"{"note":7}"#)).await.unwrap_err();
        assert!(refused.to_string().contains("`note`"), "{refused}");
        assert_eq!(letters_of(&stage, id).await[0].state, LetterState::Open);
        let unknown = replay(&stage, &registry, DeadLetterId::new(), None).await.unwrap_err();
        assert!(matches!(unknown, ReplayError::NotFound(_)), "{unknown}");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_whose_dedup_key_is_taken_names_the_holder() {
    for database in TestDatabase::each().await {
        let registry = Registry::new().with(picky());
        let mut stage = staged(database, registry.clone()).await;
        let id = stage.publish(&Short::keyed("bad", "k")).await;
        let letter = dead(&stage, id).await;
        let later = publish_with(&stage, &Short::keyed("good", "k"), |publish| {
            publish.due_in(std::time::Duration::from_secs(3600))
        })
        .await;
        match replay(&stage, &registry, letter, None).await.unwrap_err() {
            ReplayError::DedupKeyTaken { holder, key } => assert_eq!((holder, key.as_str()), (later.id, "k")),
            other => panic!("{other}"),
        }
        assert_eq!(letters_of(&stage, id).await[0].state, LetterState::Open);
        stage.stop().await;
    }
}

/// The key that an edited payload brings is the job's own from then on: freed when it ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_dedup_key_that_comes_with_an_edited_payload_is_freed_at_the_end() {
    for database in TestDatabase::each().await {
        let registry = Registry::new().with(picky());
        let mut stage = staged(database, registry.clone()).await;
        let id = stage.publish(&Short::new("bad")).await;
        let letter = dead(&stage, id).await;
        replay(&stage, &registry, letter, Some(r#"{"note":"good","key":"k"}"#)).await.unwrap();
        eventually("the replay succeeds", async || {
            (stage.job(id).await.state == JobState::Succeeded).then_some(())
        })
        .await;
        assert_eq!(stage.job(id).await.dedup_key.as_deref(), Some("k"));
        assert!(!publish_with(&stage, &Short::keyed("next", "k"), |publish| publish).await.duplicate);
        stage.stop().await;
    }
}

/// An edited payload has the newest shape, whatever shape the dead one had.
#[tokio::test(flavor = "multi_thread")]
async fn an_edited_payload_is_not_upgraded_once_more() {
    for database in TestDatabase::each().await {
        let handler = Scripted::<Versioned>::new().commit(|turn, tx| {
            Box::pin(async move {
                if turn.job.colour == "none" {
                    return Err(permanent("colourless"));
                }
                crate::effects::write_effect(tx, turn.id, &turn.job.colour).await?;
                Ok(ackord_consumers::handler::Outcome::succeeded())
            })
        });
        let registry = Registry::new().with(handler);
        let mut stage = staged(database, registry.clone()).await;
        let id = JobId::new();
        let mut old = raw::<Versioned>(id, None, r#"{"note":"tea"}"#);
        old.schema_version = Some(1);
        stage.deliver(old).await;
        let letter = dead(&stage, id).await;
        replay(&stage, &registry, letter, Some(r#"{"note":"tea","colour":"red"}"#)).await.unwrap();
        eventually("the replay ends", async || stage.job(id).await.finished_at).await;
        assert_eq!(reasons(&letters_of(&stage, id).await), [Reason::Permanent]);
        assert_eq!(effects_of(&stage, id).await, ["abandoned: colourless", "red"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_without_a_job_gets_one_when_it_is_replayed() {
    for database in TestDatabase::each().await {
        let registry = Registry::new().with(Scripted::<Work>::new());
        let mut stage = staged(database, registry.clone()).await;
        let id = JobId::new();
        stage.deliver(raw::<Work>(id, None, r#"{"note":7}"#)).await;
        let letter = letter_with(&stage, Reason::Undecodable).await;
        let replayed = replay(&stage, &registry, letter.id, Some(r#"{"note":"tea"}"#)).await.unwrap();
        assert_eq!(replayed.job, id);
        assert_eq!(stage.ended(id).await.state, JobState::Succeeded);
        assert_eq!(effects_of(&stage, id).await, ["tea"]);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_letter_stays_and_cannot_be_replayed() {
    for database in TestDatabase::each().await {
        let registry = Registry::new().with(picky());
        let mut stage = staged(database, registry.clone()).await;
        let id = stage.publish(&Short::new("bad")).await;
        let letter = dead(&stage, id).await;
        let discard = async || {
            in_transaction(&stage, async |tx, now| {
                operate::discard(tx, &[letter], &operator(), now).await.unwrap()
            })
            .await
        };
        assert_eq!(discard().await, 1);
        assert_eq!(discard().await, 0, "pressed twice, done once");
        assert_eq!(letters_of(&stage, id).await[0].state, LetterState::Discarded);
        let refused = replay(&stage, &registry, letter, None).await.unwrap_err();
        assert!(matches!(refused, ReplayError::NotOpen { .. }), "{refused}");
        let deeds = audit::of_subject(stage.database.read(), &id.to_string()).await.unwrap();
        assert_eq!(deeds.iter().map(|deed| deed.verb.as_str()).collect::<Vec<_>>(), ["discard"]);
        stage.stop().await;
    }
}

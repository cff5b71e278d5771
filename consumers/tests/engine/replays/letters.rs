//! Which letters of a run go out, which are left behind and why, and what they carry.

use std::time::Duration;

use ackord_consumers::testing::StageOptions;
use ackord_entities::ids::DeadLetterId;
use ackord_entities::queue::replay_letter::RunLetterState;
use ackord_entities::queue::replay_run::RunState;
use ackord_entities::queue::state::JobState;
use ackord_entities::queue::{dead_letter, job, replay_letter};
use ackord_entities::testing::TestDatabase;
use ackord_producer::operate::{self, Edit, Patch, Started};

use super::{
    buried, bury, effects, many, notes, open_letters, ramp, registry, run_in, run_to_its_end, set, start,
    start_with,
};
use crate::kinds::Short;
use crate::steps::{in_transaction, operator, publish_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_arrives_later_is_not_in_the_frozen_set() {
    for database in TestDatabase::each().await {
        let (mut stage, _) = buried(database, &many("good", 3)).await;
        let run = start(&stage).await;
        let late = bury::<Short>(&stage, &many("good", 1)).await;
        stage.start(StageOptions::default());
        run_in(&stage, run, RunState::Finished).await;
        assert_eq!(open_letters(&stage).await, [late[0].0]);
        assert_eq!(stage.job(late[0].1).await.state, JobState::Dead);
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_cannot_go_out_are_left_with_their_reasons_and_the_run_goes_on() {
    for database in TestDatabase::each().await {
        let (mut stage, _) = set(database).await;
        let keyed = |key: &str| serde_json::to_string(&Short::keyed("good", key)).unwrap();
        // The first two cannot go out: the first step is filled all the same.
        let payloads = [
            "nonsense".to_owned(),
            keyed("taken"),
            keyed("free"),
            keyed("free"),
            notes(&["good"])[0].clone(),
        ];
        let dead = bury::<Short>(&stage, &payloads).await;
        let holder = publish_with(&stage, &Short::keyed("later", "taken"), |publish| {
            publish.due_in(Duration::from_secs(3600))
        })
        .await;
        stage.start(StageOptions::default());
        let run = run_to_its_end(&stage).await;
        let left = replay_letter::left_behind(stage.database.read(), run, 10).await.unwrap();
        let codes: Vec<_> = left.iter().map(|left| (left.letter_id, left.code.as_deref().unwrap())).collect();
        assert_eq!(codes[..2], [(dead[0].0, "not_json"), (dead[1].0, "dedup_key_taken")]);
        assert!(left[1].note.as_deref().unwrap().contains(&holder.id.to_string()), "{left:?}");
        // Those are open still, and their jobs as they were.
        assert_eq!(open_letters(&stage).await[..2], [dead[0].0, dead[1].0]);
        assert_eq!(stage.job(dead[1].1).await.state, JobState::Dead);
        // Of two with one key the first went out in a step of its own, so the second found the key free again.
        assert_eq!(ramp(&stage, run).await, [1, 2]);
        assert_eq!(effects(&stage).await, (3, 1));
        stage.stop().await;
    }
}

/// In one step, two letters with one key: one job waits under a key, the other letter names it.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_letters_with_one_dedup_key_one_goes_out_at_a_time() {
    for database in TestDatabase::each().await {
        let (mut stage, _) = set(database).await;
        let keyed = serde_json::to_string(&Short::keyed("good", "k")).unwrap();
        let payloads = [notes(&["good"])[0].clone(), keyed.clone(), keyed];
        let dead = bury::<Short>(&stage, &payloads).await;
        stage.start(StageOptions::default());
        let run = run_to_its_end(&stage).await;
        let left = replay_letter::left_behind(stage.database.read(), run, 10).await.unwrap();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!((left[0].letter_id, left[0].code.as_deref()), (dead[2].0, Some("dedup_key_taken")));
        assert!(left[0].note.as_deref().unwrap().contains(&dead[1].1.to_string()), "{left:?}");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_and_jobs_that_moved_on_meanwhile_are_left_alone() {
    for database in TestDatabase::each().await {
        let (mut stage, broken) = set(database).await;
        let dead = bury::<Short>(&stage, &many("good", 6)).await;
        let run = start(&stage).await;
        let catalogue = registry(&broken).catalogue();
        in_transaction(&stage, async |tx, now| {
            operate::replay(tx, &catalogue, dead[0].0, Edit::None, &operator(), now).await.unwrap();
            assert_eq!(operate::discard(tx, &[dead[1].0], &operator(), now).await.unwrap(), 1);
            // Revived past its letter, as a second letter of the same job does it.
            let revival = job::Revival { id: dead[2].1, attempts: 3, dedup_key: None, edit: None };
            assert_eq!(job::revive(tx, &[revival]).await.unwrap()[&dead[2].1], 2);
        })
        .await;
        stage.start(StageOptions::default());
        run_in(&stage, run, RunState::Finished).await;
        let left = replay_letter::left_behind(stage.database.read(), run, 10).await.unwrap();
        let left: Vec<_> =
            left.iter().map(|left| (left.letter_id, left.state, left.code.as_deref().unwrap())).collect();
        assert_eq!(
            left,
            [
                (dead[0].0, RunLetterState::Skipped, "not_open"),
                (dead[1].0, RunLetterState::Skipped, "not_open"),
                (dead[2].0, RunLetterState::Refused, "job_not_dead"),
            ]
        );
        assert_eq!(ramp(&stage, run).await, [1, 2]);
        assert_eq!(stage.job(dead[1].1).await.state, JobState::Dead);
        let (all, most) = effects(&stage).await;
        assert!(all >= 4 && most == 1, "{all} {most}");
        stage.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_edits_every_payload_and_the_letters_keep_the_originals() {
    for database in TestDatabase::each().await {
        let (mut stage, dead) = buried(database, &notes(&["bad", "bad", "good"])).await;
        let patch = Patch::parse(r#"[{"op": "replace", "path": "/note", "value": "good"}]"#).unwrap();
        stage.start(StageOptions::default());
        let Started::Run { run, .. } = start_with(&stage, "{}", Some(&patch), &operator()).await else {
            panic!("it was not started")
        };
        run_in(&stage, run, RunState::Finished).await;
        assert_eq!(stage.job(dead[0].1).await.payload, r#"{"note":"good"}"#);
        let letters: Vec<DeadLetterId> = dead.iter().map(|(letter, _)| *letter).collect();
        let letters = dead_letter::read(stage.database.read(), &letters).await.unwrap();
        assert_eq!(letters[0].body, br#"{"note":"bad"}"#);
        assert_eq!(letters[0].edited_payload.as_deref(), Some(r#"{"note":"good"}"#));
        assert_eq!(letters[2].edited_payload, None, "it was as the patch wants it");
        assert_eq!(effects(&stage).await, (3, 1));
        stage.stop().await;
    }
}

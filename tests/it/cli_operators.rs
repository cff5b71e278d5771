//! What operators do: cancel, pause, dead letters.

use ackord_entities::envelope::Message;
use ackord_entities::ids::JobId;
use ackord_entities::queue::dead_letter::{self, NewLetter, Reason};
use ackord_entities::queue::job::{self, ErrorText, Transition};
use ackord_entities::queue::outbox;
use ackord_entities::queue::state::JobState;
use bytes::Bytes;
use serde_json::Value;

use crate::program::Folder;

const PAYLOAD: &str = r#"{"topic": "leases"}"#;

fn publish(folder: &Folder) -> String {
    let published = folder.ackord(&["publish", "synthesis", "--payload", PAYLOAD, "--json"]).expect(0).json();
    published["id"].as_str().unwrap().to_owned()
}

/// Gives a published job up, as a worker's transaction does. Answers its dead letter.
async fn give_up(folder: &Folder, id: &str) -> String {
    let database = folder.database().await;
    let id: JobId = id.parse().unwrap();
    let tx = database.begin().await.unwrap();
    let now = database.clock().now(&tx).await.unwrap();
    let error = ErrorText {
        code: "disk_full".to_owned(),
        operator: "no space left on /var/lib".to_owned(),
        public: "no space left".to_owned(),
    };
    outbox::remove_sent(&tx, &[(id, 1)]).await.unwrap();
    let dead = Transition {
        id,
        seq: 1,
        next_seq: 1,
        state: JobState::Dead,
        attempt: 1,
        deferrals: 0,
        started_at: Some(now),
        error: Some(error.clone()),
        result: None,
    };
    assert_eq!(job::transition(&tx, &[dead], now).await.unwrap(), 1);
    let letter = NewLetter {
        job_id: Some(id),
        message: Message {
            message_id: Some(id.to_string()),
            kind: Some("synthesis".to_owned()),
            schema_version: Some(1),
            seq: Some(1),
            body: Bytes::from_static(PAYLOAD.as_bytes()),
            ..Message::default()
        },
        queue: Some("ackord.synthesis".to_owned()),
        reason: Reason::Permanent,
        error,
        attempts: 1,
        first_failed_at: None,
    };
    assert!(dead_letter::insert(&tx, letter, now).await.unwrap());
    tx.commit().await.unwrap();
    let letter = dead_letter::of_job(database.read(), id).await.unwrap().remove(0).id.to_string();
    database.close().await;
    letter
}

fn story(folder: &Folder, id: &str) -> Value {
    folder.ackord(&["jobs", "show", id, "--json"]).expect(0).json()
}

#[test]
fn a_cancelled_job_is_told_as_called_off_and_cancelling_twice_is_fine() {
    let folder = Folder::with_schema();
    let id = publish(&folder);
    for _ in 0..2 {
        let done = folder.ackord(&["jobs", "cancel", &id, "--reason", "twice", "--json"]).expect(0).json();
        assert_eq!(done["outcome"], "cancel_requested");
    }
    assert_eq!(story(&folder, &id)["why_not_running"][0]["code"], "called_off");
}

#[test]
fn a_paused_kind_is_told_with_who_and_why_until_it_is_resumed() {
    let folder = Folder::with_schema();
    let id = publish(&folder);
    let pause = ["pause", "synthesis", "--reason", "stocktaking", "--as", "ada", "--json"];
    assert_eq!(folder.ackord(&pause).expect(0).json()["changed"], true);
    assert_eq!(folder.ackord(&pause).expect(0).json()["changed"], false);
    let text = serde_json::to_string(&story(&folder, &id)["why_not_running"]).unwrap();
    assert!(text.contains("paused") && text.contains("ada") && text.contains("stocktaking"), "{text}");
    assert_eq!(folder.ackord(&["resume", "synthesis", "--json"]).expect(0).json()["changed"], true);
    let text = serde_json::to_string(&story(&folder, &id)["why_not_running"]).unwrap();
    assert!(!text.contains("paused"), "{text}");
}

#[tokio::test]
async fn a_dead_letter_is_listed_shown_and_replayed_with_an_edited_payload() {
    let folder = Folder::with_schema();
    let id = publish(&folder);
    let letter = give_up(&folder, &id).await;

    let listed = folder.ackord(&["dead-letters", "list", "--reason", "permanent", "--json"]).expect(0).json();
    assert_eq!(listed["dead_letters"][0]["id"], letter.as_str());
    let shown = folder.ackord(&["dead-letters", "show", &letter, "--json"]).expect(0).json();
    assert_eq!((shown["body"].as_str(), shown["error_code"].as_str()), (Some(PAYLOAD), Some("disk_full")));
    let text = folder.ackord(&["dead-letters", "show", &letter]).expect(0).stdout;
    assert!(text.contains("no space left on /var/lib"), "{text}");

    // `retry` names the right verb, a payload that does not fit changes nothing.
    let refused = folder.ackord(&["jobs", "retry", &id]).expect(4);
    assert!(refused.stderr.contains("dead-letters replay"), "{}", refused.stderr);
    folder.ackord(&["dead-letters", "replay", &letter, "--payload", "{}"]).expect(2);
    let edited = r#"{"topic": "leases and terms"}"#;
    let alone = folder.ackord(&["dead-letters", "replay", &letter, "--payload", edited]).expect(4);
    assert!(alone.stderr.contains("--yes"), "{}", alone.stderr);
    let dry = ["dead-letters", "replay", &letter, "--payload", edited, "--dry-run", "--json"];
    let dry = folder.ackord(&dry).expect(0).json();
    assert!(dry["diff"].as_str().unwrap().contains("+  \"topic\": \"leases and terms\""), "{dry}");
    assert_eq!(story(&folder, &id)["job"]["state"], "dead");

    let replayed = folder
        .ackord(&["dead-letters", "replay", &letter, "--payload", edited, "--reason", "repaired", "--yes"])
        .expect(0);
    assert!(
        replayed.stdout.contains("-   \"topic\": \"leases\"")
            && replayed.stdout.contains("+   \"topic\": \"leases and terms\""),
        "{}",
        replayed.stdout
    );
    let story = story(&folder, &id);
    assert_eq!((story["job"]["state"].as_str(), story["job"]["seq"].as_i64()), (Some("queued"), Some(2)));
    assert_eq!(story["payload"]["topic"], "leases and terms");
    assert_eq!(story["dead_letters"][0]["state"], "replayed");
    let timeline = serde_json::to_string(&story["timeline"]).unwrap();
    assert!(timeline.contains("replay by tester: repaired"), "{timeline}");
    // Pressed twice: nothing is done. Another payload would be another wish, which a living job does not take.
    let twice = folder.ackord(&["dead-letters", "replay", &letter, "--json"]).expect(0).json();
    assert_eq!((twice["changed"].as_bool(), twice["job_id"].as_str()), (Some(false), Some(id.as_str())));
    folder.ackord(&["dead-letters", "replay", &letter, "--payload", PAYLOAD]).expect(4);
}

#[tokio::test]
async fn a_discarded_letter_keeps_its_row() {
    let folder = Folder::with_schema();
    let letter = give_up(&folder, &publish(&folder)).await;
    let discard = ["dead-letters", "discard", &letter, "--reason", "gone", "--json"];
    assert_eq!(folder.ackord(&discard).expect(0).json()["changed"], true);
    assert_eq!(folder.ackord(&discard).expect(0).json()["changed"], false);
    let open = folder.ackord(&["dead-letters", "list", "--json"]).expect(0).json();
    assert_eq!(open["dead_letters"].as_array().unwrap().len(), 0);
    let all = folder.ackord(&["dead-letters", "list", "--state", "discarded", "--json"]).expect(0).json();
    assert_eq!(all["dead_letters"][0]["resolved_by"], "tester");
}

#[test]
fn reconcile_writes_lost_messages_and_leaves_waiting_ones_alone() {
    let folder = Folder::with_schema();
    publish(&folder);
    assert_eq!(folder.ackord(&["reconcile", "--json"]).expect(0).json()["written"], 0);
}

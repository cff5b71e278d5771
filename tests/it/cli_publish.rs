//! `ackord publish`.

use ackord_entities::queue::job::{self, Filter};

use crate::program::Folder;

const PAYLOAD: &str = r#"{"topic": "leases"}"#;

async fn count(folder: &Folder) -> usize {
    let database = folder.database().await;
    job::list(database.read(), &Filter::default(), 100).await.unwrap().len()
}

#[tokio::test]
async fn a_published_job_waits_in_the_database_for_a_worker() {
    let folder = Folder::with_schema();
    let published = folder.ackord(&["publish", "synthesis", "--payload", PAYLOAD, "--json"]).expect(0).json();
    assert_eq!(
        (published["kind"].as_str(), published["duplicate"].as_bool()),
        (Some("synthesis"), Some(false))
    );
    let id = published["id"].as_str().unwrap();
    let story = folder.ackord(&["jobs", "show", id, "--json"]).expect(0).json();
    assert_eq!(story["job"]["state"], "queued");
    assert_eq!(story["payload"]["topic"], "leases");
    let reasons: Vec<&str> = story["why_not_running"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["code"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["sending", "no_worker"]);
    let text = folder.ackord(&["jobs", "show", id]).expect(0).stdout;
    assert!(text.contains("ackord up") && text.contains("leases"), "{text}");
}

#[test]
fn a_payload_comes_from_a_file_or_from_stdin() {
    let folder = Folder::with_schema();
    std::fs::write(folder.path().join("job.json"), PAYLOAD).unwrap();
    folder.ackord(&["publish", "synthesis", "--payload", "@job.json"]).expect(0);
    folder.ackord_reading(&["publish", "synthesis", "--payload", "-"], PAYLOAD.as_bytes()).expect(0);
    let listed = folder.ackord(&["jobs", "list", "--json"]).expect(0).json();
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 2);
}

#[test]
fn a_job_for_later_is_scheduled_until_an_operator_is_in_a_hurry() {
    let folder = Folder::with_schema();
    let delayed = folder
        .ackord(&["publish", "synthesis", "--payload", PAYLOAD, "--delay", "2h", "--json"])
        .expect(0)
        .json();
    let dated = folder
        .ackord(&["publish", "synthesis", "--payload", PAYLOAD, "--at", "2126-12-24T18:00:00Z", "--json"])
        .expect(0)
        .json();
    assert_eq!(dated["due_at"], "2126-12-24T18:00:00Z");
    for published in [&delayed, &dated] {
        let id = published["id"].as_str().unwrap();
        let story = folder.ackord(&["jobs", "show", id, "--json"]).expect(0).json();
        assert_eq!(story["job"]["state"], "scheduled");
        assert_eq!(story["why_not_running"][0]["code"], "scheduled");
    }
    let id = delayed["id"].as_str().unwrap();
    let retried = folder.ackord(&["jobs", "retry", id, "--reason", "in a hurry", "--json"]).expect(0).json();
    assert_eq!(retried["outcome"], "due_now");
    let story = folder.ackord(&["jobs", "show", id, "--json"]).expect(0).json();
    assert_eq!(story["job"]["state"], "queued");
    let text = serde_json::to_string(&story["timeline"]).unwrap();
    assert!(text.contains("retry by tester: in a hurry"), "{text}");
}

#[tokio::test]
async fn the_same_idempotency_key_gives_the_first_answer() {
    let folder = Folder::with_schema();
    let publish = |payload: &str| {
        folder.ackord(&["publish", "synthesis", "--payload", payload, "--idempotency-key", "k1", "--json"])
    };
    let first = publish(PAYLOAD).expect(0).json();
    let second = publish(PAYLOAD).expect(0).json();
    assert_eq!(first["id"], second["id"]);
    assert_eq!(
        (first["answered_before"].as_bool(), second["answered_before"].as_bool()),
        (Some(false), Some(true))
    );
    assert_eq!(count(&folder).await, 1, "the second request wrote a job");
    let other = publish(r#"{"topic": "terms"}"#).expect(4);
    assert_eq!(other.error()["code"], "refused");
    assert_eq!(count(&folder).await, 1);
}

#[test]
fn waiting_ends_with_its_own_code_when_the_time_is_over() {
    let folder = Folder::with_schema();
    let told = folder
        .ackord(&["publish", "synthesis", "--payload", PAYLOAD, "--wait", "--timeout", "100ms", "--json"])
        .expect(7);
    assert_eq!(told.error()["code"], "timed_out");
}

//! `ackord up`: one worker per file, verbs beside it, an orderly end.

use crate::program::Folder;

#[test]
fn a_second_worker_on_one_file_is_refused_with_the_first_ones_process() {
    let folder = Folder::empty();
    let running = folder.up();
    assert_eq!(running.ready["process"], running.id());
    let refused = folder.ackord(&["up", "--json", "--log", "off"]).expect(4);
    assert!(refused.error()["message"].as_str().unwrap().contains(&running.id().to_string()));
    // The file is free again at once when its holder dies.
    running.kill();
    let (code, _) = folder.up().stop();
    assert_eq!(code, Some(0));
}

#[test]
fn a_signal_ends_it_in_order() {
    let folder = Folder::empty();
    let (code, log) = folder.up().stop();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("ERROR"), "{log}");
    assert!(folder.database_file().exists());
}

#[test]
fn a_job_published_beside_it_is_performed_and_waited_for() {
    let folder = Folder::empty();
    let running = folder.up();
    // No document was imported, so there is nothing to write from: a recorded failure of the domain.
    let payload = r#"{"topic": "leases"}"#;
    let ended = folder
        .ackord(&["publish", "synthesis", "--payload", payload, "--wait", "--timeout", "20s", "--json"])
        .expect(6)
        .json();
    assert_eq!(ended["job"]["state"], "failed");
    let id = ended["id"].as_str().unwrap();
    folder.ackord(&["jobs", "wait", id, "--json"]).expect(6);
    let story = folder.ackord(&["jobs", "show", id, "--json"]).expect(0).json();
    assert_eq!(story["why_not_running"].as_array().unwrap().len(), 0);
    assert_eq!(story["attempts"][0]["outcome"], "failed");
    let refused = folder.ackord(&["jobs", "retry", id]).expect(4);
    assert!(refused.stderr.contains("failed"), "{}", refused.stderr);
    folder.ackord(&["jobs", "cancel", id]).expect(4);
    assert_eq!(running.stop().0, Some(0));
}

#[test]
fn a_paused_kind_waits_until_it_is_resumed() {
    let folder = Folder::with_schema();
    folder.ackord(&["pause", "synthesis"]).expect(0);
    let _running = folder.up();
    let payload = r#"{"topic": "leases"}"#;
    let published = folder.ackord(&["publish", "synthesis", "--payload", payload, "--json"]).expect(0).json();
    let id = published["id"].as_str().unwrap();
    folder.ackord(&["jobs", "wait", id, "--timeout", "300ms"]).expect(7);
    folder.ackord(&["resume", "synthesis"]).expect(0);
    folder.ackord(&["jobs", "wait", id, "--timeout", "20s"]).expect(6);
}

#[test]
fn a_cancelled_job_ends_as_cancelled() {
    let folder = Folder::with_schema();
    let payload = r#"{"topic": "leases"}"#;
    let published = folder
        .ackord(&["publish", "synthesis", "--payload", payload, "--delay", "1h", "--json"])
        .expect(0)
        .json();
    let id = published["id"].as_str().unwrap();
    let _running = folder.up();
    folder.ackord(&["jobs", "cancel", id]).expect(0);
    let ended = folder.ackord(&["jobs", "wait", id, "--timeout", "20s", "--json"]).expect(6).json();
    assert_eq!(ended["state"], "cancelled");
    folder.ackord(&["jobs", "cancel", id]).expect(0);
}

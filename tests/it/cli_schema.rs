//! `ackord schema`, and what other verbs say to a database whose schema does not fit.

use sea_orm::ConnectionTrait;

use crate::program::Folder;

#[test]
fn the_schema_goes_up_and_down_and_tells_where_it_stands() {
    let folder = Folder::empty();
    folder.ackord(&["schema", "status"]).expect(5);
    let up = folder.ackord(&["schema", "up", "--json"]).expect(0).json();
    assert_eq!(up["state"], "current");
    assert!(!up["changed"].as_array().unwrap().is_empty());
    let again = folder.ackord(&["schema", "up", "--json"]).expect(0).json();
    assert_eq!(again["changed"].as_array().unwrap().len(), 0);

    // Nobody can be asked in a script, so it has to be said.
    let refused = folder.ackord(&["schema", "down"]).expect(2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    let down = folder.ackord(&["schema", "down", "--yes", "--steps", "99", "--json"]).expect(0).json();
    assert_eq!(down["state"], "missing");
    assert_eq!(down["changed"].as_array().unwrap().len(), up["changed"].as_array().unwrap().len());
}

#[test]
fn a_missing_schema_is_told_with_its_remedy() {
    let folder = Folder::with_schema();
    folder.ackord(&["schema", "down", "--yes", "--steps", "99"]).expect(0);
    let told = folder.ackord(&["jobs", "list"]).expect(5);
    assert!(told.stderr.contains("ackord schema up"), "{}", told.stderr);
    assert_eq!(told.stdout, "");
}

#[tokio::test]
async fn a_newer_schema_is_left_alone_by_every_verb() {
    let folder = Folder::with_schema();
    let database = folder.database().await;
    let later = "INSERT INTO ackord_migrations (version, applied_at) VALUES ('m20990101_000001_later', 0)";
    database.write().execute_unprepared(later).await.unwrap();
    database.close().await;
    for verb in [&["jobs", "list"][..], &["schema", "up"], &["up"]] {
        let told = folder.ackord(verb).expect(5);
        assert!(told.stderr.contains("m20990101_000001_later"), "{}", told.stderr);
    }
    folder.ackord(&["schema", "down", "--yes"]).expect(4);
}

#[test]
fn a_schema_is_not_taken_away_under_a_worker() {
    let folder = Folder::empty();
    let running = folder.up();
    let refused = folder.ackord(&["schema", "down", "--yes"]).expect(4);
    assert!(refused.stderr.contains(&running.id().to_string()), "{}", refused.stderr);
}

//! The configuration from its three places.

use crate::program::Folder;

fn setting(settings: &serde_json::Value, key: &str) -> (serde_json::Value, String) {
    let found = settings.as_array().unwrap().iter().find(|setting| setting["key"] == key);
    let setting = found.unwrap_or_else(|| panic!("no setting {key} in {settings}"));
    (setting["value"].clone(), setting["from"].as_str().unwrap().to_owned())
}

#[test]
fn each_value_is_shown_with_where_it_came_from() {
    let folder = Folder::empty();
    let file = "database = \"sqlite:file.db\"\nlog_format = \"json\"\n[worker.concurrency]\nsynthesis = 3\n";
    std::fs::write(folder.path().join("ackord.toml"), file).unwrap();
    let mut command = folder.command(&["config", "--json", "--database", "postgres://me:s3cret@db/jobs"]);
    let output = command.env("ACKORD_LOG", "debug").output().unwrap();
    let settings = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        setting(&settings, "database"),
        ("postgres://me:***@db/jobs".into(), "flag --database".to_owned())
    );
    assert_eq!(setting(&settings, "log"), ("debug".into(), "environment ACKORD_LOG".to_owned()));
    let (format, from) = setting(&settings, "log_format");
    assert_eq!(format, "json");
    assert!(from.ends_with("ackord.toml"), "{from}");
    let (concurrency, from) = setting(&settings, "worker.concurrency.synthesis");
    assert_eq!(concurrency, 3);
    assert!(from.ends_with("ackord.toml"), "{from}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("s3cret"));
}

#[test]
fn without_any_the_defaults_are_shown() {
    let settings = Folder::empty().ackord(&["config", "--json"]).expect(0).json();
    assert_eq!(setting(&settings, "database"), ("sqlite:.ackord/ackord.db".into(), "default".to_owned()));
    assert_eq!(setting(&settings, "worker.concurrency.synthesis").1, "default");
}

#[test]
fn an_unknown_key_in_the_file_is_an_error_that_names_it() {
    let folder = Folder::empty();
    std::fs::write(folder.path().join("ackord.toml"), "databse = \"sqlite:x.db\"\n").unwrap();
    let told = folder.ackord(&["jobs", "list", "--json"]).expect(2).error();
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("`databse`") && message.contains("ackord.toml"), "{message}");
}

#[test]
fn a_kind_that_is_not_there_has_no_concurrency() {
    let told = Folder::empty().ackord(&["up", "--concurrency", "sinthesis=2"]).expect(2);
    assert!(told.stderr.contains("`sinthesis`") && told.stderr.contains("synthesis"), "{}", told.stderr);
}

#[test]
fn a_log_filter_that_cannot_be_read_is_refused() {
    let told = Folder::empty().ackord(&["config", "--log", "ackord=loudly"]).expect(2);
    assert!(told.stderr.contains("ackord=loudly"), "{}", told.stderr);
}

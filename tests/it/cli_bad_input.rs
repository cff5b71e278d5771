//! Bad input: a clear message, its exit code, nothing written.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use ackord_entities::queue::job::{self, Filter};
use rstest::rstest;
use sea_orm::ConnectionTrait;

use crate::program::Folder;

async fn jobs(folder: &Folder) -> usize {
    let database = folder.database().await;
    let jobs = job::list(database.read(), &Filter::default(), 10).await.unwrap();
    database.close().await;
    jobs.len()
}

#[rstest]
#[case::unknown_kind(&["publish", "no-such-kind"], 3, &["no-such-kind", "synthesis"])]
#[case::wrong_type(&["publish", "synthesis", "--payload", r#"{"topic": 5}"#], 2, &["`topic`", "string"])]
#[case::missing_field(&["publish", "synthesis", "--payload", "{}"], 2, &["topic"])]
#[case::unknown_field(&["publish", "synthesis", "--payload", r#"{"topic": "x", "colour": 1}"#], 2, &["colour"])]
#[case::rule(&["publish", "synthesis", "--payload", r#"{"topic": "x", "max_words": 1}"#], 2, &["`max_words`", "50"])]
#[case::no_json(&["publish", "synthesis", "--payload", "{topic"], 2, &["not JSON", "line 1"])]
#[case::nul(&["publish", "synthesis", "--payload", r#"{"topic": "a\u0000b"}"#], 2, &["`topic`", "NUL"])]
#[case::no_file(&["publish", "synthesis", "--payload", "@nowhere.json"], 2, &["nowhere.json"])]
#[case::bad_delay(&["publish", "synthesis", "--payload", r#"{"topic": "x"}"#, "--delay", "soon"], 2, &["soon"])]
#[case::bad_moment(&["publish", "synthesis", "--payload", r#"{"topic": "x"}"#, "--at", "noon"], 2, &["noon", "RFC 3339"])]
#[case::no_id(&["jobs", "show", "seven"], 2, &["`seven`"])]
#[case::no_job(&["jobs", "show", "01890a5d-ac96-774b-bcce-b302099a8057"], 3, &["01890a5d", "ackord jobs list"])]
#[case::no_job_to_cancel(&["jobs", "cancel", "01890a5d-ac96-774b-bcce-b302099a8057"], 3, &["01890a5d"])]
#[case::no_job_to_retry(&["jobs", "retry", "01890a5d-ac96-774b-bcce-b302099a8057"], 3, &["01890a5d"])]
#[case::no_job_to_wait_for(&["jobs", "wait", "01890a5d-ac96-774b-bcce-b302099a8057"], 3, &["01890a5d"])]
#[case::no_letter(&["dead-letters", "show", "01890a5d-ac96-774b-bcce-b302099a8057"], 3, &["01890a5d"])]
#[case::no_letter_to_replay(&["dead-letters", "replay", "01890a5d-ac96-774b-bcce-b302099a8057"], 3, &["01890a5d"])]
#[case::no_letter_to_discard(&["dead-letters", "discard", "01890a5d-ac96-774b-bcce-b302099a8057"], 3, &["01890a5d"])]
#[case::no_reason(&["dead-letters", "list", "--reason", "bad-luck"], 2, &["bad-luck", "permanent"])]
#[case::no_kind_to_pause(&["pause", "no-such-kind"], 3, &["no-such-kind"])]
#[case::no_kind_to_reconcile(&["reconcile", "no-such-kind"], 3, &["no-such-kind"])]
#[case::no_verb(&["frobnicate"], 2, &["frobnicate"])]
#[tokio::test]
async fn what_is_wrong_is_named(#[case] arguments: &[&str], #[case] code: i32, #[case] words: &[&str]) {
    let folder = Folder::with_schema();
    let told = folder.ackord(arguments).expect(code);
    for word in words {
        assert!(told.stderr.contains(word), "{word} is not in: {}", told.stderr);
    }
    assert_eq!(told.stdout, "");
    assert_eq!(jobs(&folder).await, 0, "something was written");
}

#[tokio::test]
async fn an_oversized_payload_is_refused_with_its_size_before_anything_is_written() {
    let folder = Folder::with_schema();
    let payload = format!(r#"{{"topic": "{}"}}"#, "x".repeat(1024 * 1024));
    let told =
        folder.ackord_reading(&["publish", "synthesis", "--payload", "-"], payload.as_bytes()).expect(2);
    assert!(
        told.stderr.contains(&payload.len().to_string()) && told.stderr.contains("1048576"),
        "{}",
        told.stderr
    );
    assert_eq!(jobs(&folder).await, 0);
}

#[test]
fn an_error_for_a_script_is_one_json_object_on_stderr() {
    let folder = Folder::with_schema();
    let told = folder.ackord(&["jobs", "show", "01890a5d-ac96-774b-bcce-b302099a8057", "--json"]).expect(3);
    let error = told.error();
    assert_eq!((error["code"].as_str(), error["exit_code"].as_i64()), (Some("not_found"), Some(3)));
    assert!(error["remedy"].as_str().unwrap().contains("ackord jobs list"), "{error}");
    assert_eq!(told.stdout, "");
}

#[rstest]
#[case::unknown_scheme("mysql://localhost/x", 2, "mysql")]
#[case::in_memory("sqlite::memory:", 2, "path of a file")]
#[case::not_there("sqlite:elsewhere.db", 5, "elsewhere.db")]
#[case::no_server("postgres://me:s3cret@127.0.0.1:1/jobs", 5, "127.0.0.1:1")]
fn a_database_that_cannot_be_opened_is_named(#[case] url: &str, #[case] code: i32, #[case] word: &str) {
    let told = Folder::empty().ackord(&["jobs", "list", "--database", url]).expect(code);
    assert!(told.stderr.contains(word), "{}", told.stderr);
    assert!(!told.stderr.contains("s3cret"), "{}", told.stderr);
}

#[rstest]
#[case::jobs(&["jobs", "list"])]
#[case::up(&["up"])]
#[case::schema(&["schema", "up"])]
fn a_file_that_is_no_database_is_left_as_it_is(#[case] verb: &[&str]) {
    let folder = Folder::empty();
    let text =
        "Dear diary, this is a letter and no database, although it is long enough to be mistaken for one.\n"
            .repeat(50);
    std::fs::create_dir(folder.path().join(".ackord")).unwrap();
    std::fs::write(folder.database_file(), &text).unwrap();
    let told = folder.ackord(verb).expect(5);
    assert!(
        told.stderr.contains("not a SQLite database") && told.stderr.contains("ackord.db"),
        "{}",
        told.stderr
    );
    assert_eq!(std::fs::read_to_string(folder.database_file()).unwrap(), text);
}

#[tokio::test]
async fn a_database_that_another_process_holds_is_told_as_locked() {
    let folder = Folder::with_schema();
    let database = folder.database().await;
    let held = database.begin().await.unwrap();
    let told = folder.ackord(&["publish", "synthesis", "--payload", r#"{"topic": "x"}"#]).expect(5);
    assert!(told.stderr.contains("locked") && told.stderr.contains("ackord.db"), "{}", told.stderr);
    held.rollback().await.unwrap();
    database.write().execute_unprepared("SELECT 1").await.unwrap();
    database.close().await;
    assert_eq!(jobs(&folder).await, 0);
    // And once it is free, the same command works.
    folder.ackord(&["publish", "synthesis", "--payload", r#"{"topic": "x"}"#]).expect(0);
}

/// Rights do not bind root, so as root the program runs as somebody else.
#[tokio::test]
async fn a_database_that_may_only_be_read_is_told_as_such() {
    const NOBODY: u32 = 65_534;
    let folder = Folder::with_schema();
    let ackord = folder.database_file().parent().unwrap().to_owned();
    let set = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set(folder.path(), 0o755);
    set(&folder.database_file(), 0o444);
    set(&ackord, 0o555);
    let mut command = folder.command(&["publish", "synthesis", "--payload", r#"{"topic": "x"}"#]);
    if rustix::process::getuid().is_root() {
        // The program itself may lie where only its owner looks.
        let program = folder.path().join("ackord");
        std::fs::copy(env!("CARGO_BIN_EXE_ackord"), &program).unwrap();
        set(&program, 0o755);
        let mut other = std::process::Command::new(&program);
        other.args(command.get_args()).current_dir(folder.path()).uid(NOBODY).gid(NOBODY);
        command = other;
    }
    let output = command.output().unwrap();
    set(&ackord, 0o755);
    set(&folder.database_file(), 0o644);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{told}");
    assert!(told.contains("cannot be written"), "{told}");
    assert_eq!(jobs(&folder).await, 0);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let told = Folder::empty().ackord(&["up", "--database", "sqlite:/proc/ackord/ackord.db"]).expect(5);
    assert!(told.stderr.contains("/proc/ackord"), "{}", told.stderr);
}
